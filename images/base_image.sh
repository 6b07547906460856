#!/usr/bin/env bash
# A stand-in for python:3.11-slim-bookworm where no registry is reached: Debian's own Python, from Debian's packages.
#   images/base_image.sh NAME        imports the image NAME into the engine that `docker` talks to
# Like python:slim it has no manuals and no translations. The machine's certificate bundle and pip settings go in, so
# that pip inside a build reaches what pip outside does. For tests only: it is not what is shipped.
set -euo pipefail
name=${1:?usage: images/base_image.sh NAME}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
command -v mmdebstrap >/dev/null || { echo "error: mmdebstrap is missing: apt-get install mmdebstrap" >&2; exit 2; }

wheels=libstdc++6 # what wheels take from the system
options=(--quiet --variant=essential --aptopt='APT::Install-Recommends "false"' --dpkgopt=force-unsafe-io)
for path in doc man info locale; do
  options+=(--dpkgopt="path-exclude=/usr/share/$path/*")
done
# usr-is-merged in place of the package that merges an old system: that one brings Perl along
options+=(--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr --include="usr-is-merged,python3,python3-venv,passwd,$wheels")
options+=(--customize-hook='copy-in /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/')
[ ! -f /etc/pip.conf ] || options+=(--customize-hook='copy-in /etc/pip.conf /etc/')
mmdebstrap "${options[@]}" bookworm "$work/base.tar" >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
docker import --change 'CMD ["python3"]' "$work/base.tar" "$name" >/dev/null
echo "imported $name ($(du -h "$work/base.tar" | cut -f1))"
