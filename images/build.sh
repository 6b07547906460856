#!/usr/bin/env bash
# Builds the images, pushes them, and writes their references by digest into the file that
# `lesionflow compile --image-refs FILE` reads.
#
#   images/build.sh REGISTRY [OUT]        REGISTRY like registry.example/project; OUT: out/images.yaml
#
# TARGETS="data cpu gpu"   which ones; BASE_IMAGE: another base; ALLOW_DIRTY=1: build uncommitted changes
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

registry=${1:-}
out=${2:-out/images.yaml}
read -r -a targets <<<"${TARGETS:-data cpu gpu}"

fail() {
  echo "error: $*" >&2
  exit 2
}

[ -n "$registry" ] || fail "no registry; use: images/build.sh REGISTRY [OUT], or make images REGISTRY=..."
docker info >/dev/null 2>&1 || fail "no Docker engine answers; start one, or set DOCKER_HOST"
commit=$(git rev-parse HEAD)
if [ -n "$(git status --porcelain -- components pipelines requirements images)" ] && [ -z "${ALLOW_DIRTY:-}" ]; then
  fail "uncommitted changes: an image tagged $commit would not hold that commit; commit first, or ALLOW_DIRTY=1"
fi

arguments=(--file images/Dockerfile --build-arg "COMMIT=$commit")
[ -z "${BASE_IMAGE:-}" ] || arguments+=(--build-arg "BASE_IMAGE=$BASE_IMAGE")

mkdir -p "$(dirname "$out")"
references=$(mktemp)
trap 'rm -f "$references"' EXIT
for target in "${targets[@]}"; do
  tag="$registry/lesionflow-$target:${commit:0:12}"
  echo "building $tag"
  DOCKER_BUILDKIT=1 docker build "${arguments[@]}" --target "$target" --tag "$tag" .
  docker push --quiet "$tag" >/dev/null
  digest=$(docker image inspect --format '{{range .RepoDigests}}{{println .}}{{end}}' "$tag" |
    grep -F "$registry/lesionflow-$target@sha256:" | head -n 1)
  [ -n "$digest" ] || fail "the registry gave no digest for $tag"
  echo "$target: $digest" >>"$references"
done
mv "$references" "$out"
trap - EXIT
echo "wrote $out:"
cat "$out"
