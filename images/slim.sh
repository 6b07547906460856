#!/bin/sh
# Takes out of a virtual environment what no step reads at run time, then byte-compiles the rest.
#   slim.sh ENVIRONMENT
# What goes, and why, stands at each part; tests/containers shows that the steps, s3:// and gs:// work without it.
set -eu
packages=$(echo "$1"/lib/python3*/site-packages)

# TensorFlow and Keras import packages of their own that are called test
find "$packages" \( -path "$packages/tensorflow" -o -path "$packages/keras" -o -path "$packages/tensorboard" \) -prune \
  -o -type d \( -name tests -o -name test \) -prune -exec rm -rf {} +
find "$packages/kfp" -name '*_test.py' -delete
# CUDA's own headers stay: parts of it compile at run time
find "$packages" -path "$packages/nvidia" -prune -o -type f \( -name '*.pyx' -o -name '*.pxd' -o -name '*.pxi' -o -name '*.pyi' -o -name '*.h' \
  -o -name '*.hpp' -o -name '*.c' -o -name '*.cpp' -o -name '*.a' \) -exec rm -f {} +
# Arrow's network file systems: storage goes through components/common/storage
for part in libarrow_flight libarrow_python_flight _flight libarrow_s3 _s3fs _gcsfs \
  _azurefs _hdfs; do
  rm -f "$packages/pyarrow/$part"*
done
# the wheel holds this library under three names; the loader asks for the middle one
rm -f "$packages/pyarrow/libarrow_python.so" "$packages"/pyarrow/libarrow_python.so.*.*.*
# figures are SVG and PNG: what matplotlib needs for PDF alone
find "$packages/fontTools" -mindepth 1 -maxdepth 1 -type d ! -name misc -exec rm -rf {} +
rm -rf "$packages/matplotlib/mpl-data/sample_data" "$packages/matplotlib/mpl-data/fonts/afm" \
  "$packages/matplotlib/mpl-data/fonts/pdfcorefonts" "$packages/sklearn/datasets/data" "$packages/sklearn/datasets/images"
# example files, and the codes of structured reports
rm -rf "$packages/pydicom/data/test_files" "$packages/pydicom/sr"
# Pillow reads AVIF only where it finds this; no data set has it
rm -f "$packages"/PIL/_avif.* "$packages"/pillow.libs/libavif-*
# service models of all of AWS: object storage and the ways to sign in to it stay
if [ -d "$packages/botocore/data" ]; then
  find "$packages/botocore/data" -mindepth 1 -maxdepth 1 -type d ! -name s3 ! -name sts ! -name sso ! -name sso-oidc \
    ! -name signin -exec rm -rf {} +
fi
# what only the `lesionflow` command needs, which is at home on a person's machine: clients of Kubernetes and Kubeflow
rm -rf "$packages/kubernetes" "$packages/kfp_server_api" "$packages/pygments"
"$1/bin/python3" -m compileall -q -j 2 "$packages"
