"""The same search as an Experiment for Katib (kubeflow.org/v1beta1): every trial is a Job of its own on the cluster.

Katib reads the figure from the trial's log: each epoch's line has `val AP`, and the largest counts.
https://www.kubeflow.org/docs/components/katib/user-guides/katib-config/
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from components.common.runtime.errors import ConfigError
from pipelines.cluster_file import Cluster
from pipelines.search.space import Choice, Search

_CONTAINER = "training"
_METRIC = "AP"
_LINE = r"val (AP) ([0-9.]+)"
_NAME = re.compile(r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")
_KINDS = {True: "int", False: "double"}


def experiment_yaml(search: Search, cluster: Cluster, records: str, name: str) -> str:
    """The Experiment as YAML.

    Args:
        search: what to search.
        cluster: where the trials run: images, sizes, GPU, volumes.
        records: path of the records artifact inside the pods, below a claim of the cluster file.
        name: of the Experiment.

    Raises:
        ConfigError: a name Kubernetes would not take, or records that no claim of the cluster file holds.
    """
    if not _NAME.match(name):
        raise ConfigError(f"--name: received {name!r}; allowed: lower-case letters, digits and hyphens, at most 63")
    mounts = [volume.mount_path.rstrip("/") for volume in cluster.data]
    if not any(records.startswith(f"{mount}/") for mount in mounts):
        known = ", ".join(mounts) or "none in this cluster file"
        raise ConfigError(
            f"--records: received {records!r}; with --emit katib allowed: a folder below a claim that the cluster file "
            f"mounts (data: {{pvc, mount_path}}; {known})"
        )
    trials = search.config.trials
    body = {
        "apiVersion": "kubeflow.org/v1beta1",
        "kind": "Experiment",
        "metadata": {"name": name, "labels": {"app.kubernetes.io/part-of": "lesionflow"}},
        "spec": {
            "objective": {
                "type": "maximize",
                "objectiveMetricName": _METRIC,
                "metricStrategies": [{"name": _METRIC, "value": "max"}],
            },
            "algorithm": {
                "algorithmName": "tpe",
                "algorithmSettings": [{"name": "random_state", "value": str(search.config.seed)}],
            },
            "earlyStopping": {
                "algorithmName": "medianstop",
                "algorithmSettings": [
                    {"name": "min_trials_required", "value": "4"},
                    {"name": "start_step", "value": "2"},
                ],
            },
            "metricsCollectorSpec": {
                "collector": {"kind": "StdOut"},
                "source": {"filter": {"metricsFormat": [_LINE]}},
            },
            "maxTrialCount": trials,
            "parallelTrialCount": min(trials, cluster.training.parallelism or 3),
            "maxFailedTrialCount": max(1, trials // 4),
            "parameters": [_parameter(choice) for choice in search.choices],
            "trialTemplate": _template(search, cluster, records),
        },
    }
    return yaml.safe_dump(body, sort_keys=False, width=120)


def _parameter(choice: Choice) -> dict[str, Any]:
    if choice.span is None:
        values = [_text(value) for value in choice.values]
        return {"name": choice.field, "parameterType": "categorical", "feasibleSpace": {"list": values}}
    low, high = choice.ends()
    space = {"min": _text(low), "max": _text(high)}
    if choice.span.log:
        space["distribution"] = "logUniform"
    return {"name": choice.field, "parameterType": _KINDS[choice.whole], "feasibleSpace": space}


def _template(search: Search, cluster: Cluster, records: str) -> dict[str, Any]:
    fields = [choice.field for choice in search.choices]
    return {
        "primaryContainerName": _CONTAINER,
        "trialParameters": [{"name": field, "description": f"train.{field}", "reference": field} for field in fields],
        "trialSpec": {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "spec": {
                "backoffLimit": cluster.training.retries,
                "activeDeadlineSeconds": cluster.training.timeout_s,
                "template": {
                    "metadata": {
                        "labels": {"lesionflow/step": "train", **cluster.labels},
                        "annotations": {"sidecar.istio.io/inject": "false", **cluster.annotations},
                    },
                    "spec": _pod(search, cluster, records),
                },
            },
        },
    }


def _pod(search: Search, cluster: Cluster, records: str) -> dict[str, Any]:
    size = cluster.size_of("train")
    resources = {"cpu": size.cpu, "memory": size.memory}
    volumes = [
        {"name": f"data-{k}", "persistentVolumeClaim": {"claimName": volume.pvc, "readOnly": True}}
        for k, volume in enumerate(cluster.data)
    ]
    mounts = [
        {"name": f"data-{k}", "mountPath": volume.mount_path, "readOnly": True} for k, volume in enumerate(cluster.data)
    ]
    pod: dict[str, Any] = {
        "restartPolicy": "Never",
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": cluster.run_as_user,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [
            {
                "name": _CONTAINER,
                "image": cluster.image_of("train"),
                "command": _command(search, records),
                "resources": {"requests": dict(resources), "limits": dict(resources)},
                "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                "volumeMounts": [*mounts, {"name": "dshm", "mountPath": "/dev/shm"}],
            }
        ],
        "volumes": [*volumes, {"name": "dshm", "emptyDir": {"medium": "Memory", "sizeLimit": cluster.training.shm}}],
    }
    if cluster.gpu.count:
        pod["containers"][0]["resources"]["limits"][cluster.gpu.resource] = cluster.gpu.count
    if cluster.gpu.node_selector:
        pod["nodeSelector"] = dict(cluster.gpu.node_selector)
    if cluster.gpu.tolerations:
        pod["tolerations"] = [item.manifest() for item in cluster.gpu.tolerations]
    if cluster.image_pull_secret:
        pod["imagePullSecrets"] = [{"name": cluster.image_pull_secret}]
    return pod


def _command(search: Search, records: str) -> list[str]:
    """The step's own command, with every parameter that differs from its default."""
    searched = {choice.field for choice in search.choices}
    base = search.training({})
    own = {
        name: value
        for name, value in base.model_dump(mode="json").items()
        if name not in searched and value != type(base).model_fields[name].get_default()
    }
    command = ["python", "-m", "components.train", "--records", records, "--out", "/tmp/model"]
    for name, value in own.items():
        command += [f"--{name}", _text(value)]
    for name in sorted(searched):
        command += [f"--{name}", "${trialParameters." + name + "}"]
    return command


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
