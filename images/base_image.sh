#!/usr/bin/env bash
# A stand-in for python:3.11-slim-bookworm where no registry is reached: Debian's own Python, from Debian's packages.
#   images/base_image.sh NAME        imports the image NAME into the engine that `docker` talks to
# The machine's certificate bundle and pip settings go in, so that pip inside a build reaches what pip outside does.
# For tests only: it is not what is shipped.
set -euo pipefail
name=${1:?usage: images/base_image.sh NAME}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
command -v mmdebstrap >/dev/null || { echo "error: mmdebstrap is missing: apt-get install mmdebstrap" >&2; exit 2; }

hooks=(--customize-hook='copy-in /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/')
[ ! -f /etc/pip.conf ] || hooks+=(--customize-hook='copy-in /etc/pip.conf /etc/')
mmdebstrap --quiet --variant=minbase --aptopt='APT::Install-Recommends "false"' \
  --include=python3,python3-pip,python3-venv,ca-certificates \
  "${hooks[@]}" bookworm "$work/base.tar"
docker import --change 'CMD ["python3"]' "$work/base.tar" "$name" >/dev/null
echo "imported $name ($(du -h "$work/base.tar" | cut -f1))"
