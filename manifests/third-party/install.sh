#!/usr/bin/env bash
# Installs the pinned third parties into the current kubectl context: install.sh kfp|kueue|nvidia-device-plugin
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=SCRIPTDIR/versions.env
source "$here/versions.env"

usage() {
  echo "usage: $0 kfp|kueue|nvidia-device-plugin" >&2
  exit 2
}

[ $# -eq 1 ] || usage
case "$1" in
  kfp)
    base="github.com/kubeflow/pipelines/manifests/kustomize"
    kubectl apply -k "$base/cluster-scoped-resources?ref=$KFP_VERSION"
    kubectl wait --for condition=established --timeout=120s crd/applications.app.k8s.io
    kubectl apply -k "$base/env/platform-agnostic?ref=$KFP_VERSION"
    kubectl rollout status deployment/ml-pipeline -n kubeflow --timeout=600s
    ;;
  kueue)
    kubectl apply --server-side \
      -f "https://github.com/kubernetes-sigs/kueue/releases/download/$KUEUE_VERSION/manifests.yaml"
    kubectl rollout status deployment/kueue-controller-manager -n kueue-system --timeout=300s
    ;;
  nvidia-device-plugin)
    # rendered from this folder: clusters without a GPU operator need nothing else
    kubectl apply -k "$here/nvidia-device-plugin"
    kubectl rollout status daemonset/nvidia-device-plugin -n kube-system --timeout=300s
    ;;
  *) usage ;;
esac
