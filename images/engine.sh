#!/usr/bin/env bash
# Starts a Docker engine of its own for tests, without touching one that runs already.
#   images/engine.sh FOLDER      prints DOCKER_HOST; the engine's process id is in FOLDER/dockerd.pid
# Needs root and Debian's docker.io. Containers get no network unless a build asks for the host's.
set -euo pipefail
folder=$(realpath -m "${1:?usage: images/engine.sh FOLDER}")
host="unix://$folder/docker.sock"
mkdir -p "$folder"
command -v dockerd >/dev/null || { echo "error: dockerd is missing: apt-get install docker.io" >&2; exit 2; }
if ! docker --host "$host" info >/dev/null 2>&1; then
  setsid dockerd --host "$host" --data-root "$folder/data" --exec-root "$folder/exec" --pidfile "$folder/dockerd.pid" \
    --bridge none --iptables=false >"$folder/dockerd.log" 2>&1 &
  for _ in $(seq 60); do
    docker --host "$host" info >/dev/null 2>&1 && break
    sleep 0.5
  done
fi
docker --host "$host" info >/dev/null 2>&1 || {
  echo "error: the engine does not start; last lines of $folder/dockerd.log:" >&2
  tail -n 15 "$folder/dockerd.log" >&2
  exit 1
}
echo "$host"
