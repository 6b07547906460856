#!/usr/bin/env bash
# Runs a Docker engine of its own for tests, in the foreground, without touching one that runs already.
#   images/engine.sh FOLDER      answers at unix://FOLDER/docker.sock; ends with the process that started it
# Needs root and Debian's docker.io. Containers get no network unless a build asks for the host's.
set -euo pipefail
folder=$(realpath -m "${1:?usage: images/engine.sh FOLDER}")
mkdir -p "$folder"
command -v dockerd >/dev/null || { echo "error: dockerd is missing: apt-get install docker.io" >&2; exit 2; }
exec setpriv --pdeathsig TERM dockerd --host "unix://$folder/docker.sock" --data-root "$folder/data" \
  --exec-root "$folder/exec" --pidfile "$folder/dockerd.pid" --bridge none --iptables=false
