#!/bin/sh
# Takes out of a virtual environment what no step reads at run time, then byte-compiles the rest.
#   slim.sh ENVIRONMENT
# Tests and headers of the scientific packages, Arrow's network file systems (storage goes through
# components/common/storage.py) and what matplotlib needs for PDF alone (figures are SVG and PNG) are a quarter.
set -eu
packages=$(echo "$1"/lib/python3*/site-packages)

# TensorFlow and Keras import packages of theirs that are called test
find "$packages" \( -path "$packages/tensorflow" -o -path "$packages/keras" -o -path "$packages/tensorboard" \) -prune \
  -o -type d \( -name tests -o -name test \) -prune -exec rm -rf {} +
find "$packages/kfp" -name '*_test.py' -delete
# CUDA's own headers stay: parts of it compile at run time
find "$packages" -path "$packages/nvidia" -prune -o -type f \( -name '*.pyx' -o -name '*.pxd' -o -name '*.pxi' -o -name '*.pyi' -o -name '*.h' \
  -o -name '*.hpp' -o -name '*.c' -o -name '*.cpp' -o -name '*.a' \) -exec rm -f {} +
for part in libarrow_flight libarrow_python_flight _flight libarrow_s3 _s3fs _gcsfs _azurefs _hdfs; do
  rm -f "$packages/pyarrow/$part"*
done
# the wheel holds this library under three names; the loader asks for the middle one
rm -f "$packages/pyarrow/libarrow_python.so" "$packages"/pyarrow/libarrow_python.so.*.*.*
find "$packages/fontTools" -mindepth 1 -maxdepth 1 -type d ! -name misc -exec rm -rf {} +
rm -rf "$packages/matplotlib/mpl-data/sample_data" "$packages/matplotlib/mpl-data/fonts/afm" \
  "$packages/matplotlib/mpl-data/fonts/pdfcorefonts" "$packages/sklearn/datasets/data" "$packages/sklearn/datasets/images"
# Not compiled: what no step imports. These work all the same, only their first import is slower.
"$1/bin/python3" -m compileall -q -j 2 -x '/(kubernetes|kfp_server_api|pygments)/' "$packages"
