"""The entries of a cluster file, each with its checks; `cluster_file` puts them together."""

from __future__ import annotations

import math
import subprocess
from collections.abc import Mapping
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_serializer, model_validator

from components.common.runtime.config import StepConfig
from pipelines.cluster_values import (
    Cpu,
    FileName,
    LabelKey,
    LabelValue,
    Memory,
    MountPath,
    ObjectName,
    ObjectUri,
    Region,
    ResourceName,
    ServerUrl,
)


@cache
def default_tag() -> str:
    """The commit's first 12 hex digits; outside a git checkout the package version."""
    command = ["git", "rev-parse", "--short=12", "HEAD"]
    try:
        done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return metadata.version("lesionflow")
    return done.stdout.strip()


class Images(StepConfig):
    """Container image references, by digest or tagged with the commit they were built from; empty: the latter."""

    data: str = Field("", description="ingest, split, records, calibrate, gate; empty: lesionflow-data:COMMIT")
    cpu: str = Field("", description="export, evaluate, training without a GPU; empty: lesionflow-cpu:COMMIT")
    gpu: str = Field("", description="training on a GPU; empty: lesionflow-gpu:COMMIT")

    def reference(self, kind: Literal["data", "cpu", "gpu"]) -> str:
        """The image of one kind; where none is named, the one that `make images` tags with this commit."""
        return getattr(self, kind) or f"lesionflow-{kind}:{default_tag()}"


class Toleration(StepConfig):
    """A toleration, in Kubernetes' own words."""

    key: str = ""
    operator: Literal["Equal", "Exists"] = "Equal"
    value: str = ""
    effect: Literal["", "NoSchedule", "PreferNoSchedule", "NoExecute"] = ""
    tolerationSeconds: int | None = Field(None, ge=0)  # noqa: N815 - Kubernetes' name

    @model_validator(mode="after")
    def _is_accepted_by_kubernetes(self) -> Toleration:
        if self.operator == "Exists" and self.value:
            raise ValueError("allowed: no value with operator Exists")
        if self.operator == "Equal" and not self.key:
            raise ValueError("allowed: a key, or operator Exists")
        if self.tolerationSeconds is not None and self.effect != "NoExecute":
            raise ValueError("allowed: tolerationSeconds only with effect NoExecute")
        return self

    def manifest(self) -> dict[str, str | int]:
        """As a pod's manifest has it: only what says something."""
        return {name: value for name, value in self if value not in ("", None)}

    @model_serializer
    def _serialized(self) -> dict[str, str | int]:
        return self.manifest()


class Gpu(StepConfig):
    """The GPU request of the training pod, and where it may run; count 0 trains on the CPU image."""

    resource: ResourceName = Field("nvidia.com/gpu", description="extended resource, the GPU type to schedule by")
    count: int = Field(1, ge=0, le=16, description="GPUs of the training pod")
    node_selector: dict[LabelKey, LabelValue] = Field(
        default_factory=dict, description="nodeSelector of the training pod (JSON object)"
    )
    tolerations: list[Toleration] = Field(
        default_factory=lambda: [Toleration(key="nvidia.com/gpu", operator="Exists", effect="NoSchedule")],
        description="tolerations of the training pod (JSON list)",
    )

    @model_validator(mode="before")
    @classmethod
    def _tolerates_gpu_nodes_for_a_gpu(cls, values: Any) -> Any:
        """Without a GPU the default toleration, which would put the pod on nodes that are kept for GPUs, goes."""
        if isinstance(values, Mapping) and values.get("count") == 0 and "tolerations" not in values:
            return {**values, "tolerations": []}
        return values


class Size(StepConfig):
    """CPU and memory of one step, as Kubernetes quantities."""

    cpu: Cpu = Field("2", description="CPU request and limit, such as 2 or 500m")
    memory: Memory = Field("4Gi", description="memory request and limit, such as 4Gi")


class Training(StepConfig):
    """What only the training pod needs."""

    shm: Memory = Field("8Gi", description="size of /dev/shm")
    timeout_s: int = Field(86_400, ge=60, description="seconds one attempt may run; Pending does not count")
    retries: int = Field(3, ge=0, le=10, description="further attempts after a failed or lost one")
    parallelism: int = Field(
        0, ge=0, le=100, description="members of one run that train at the same time; 0: all of them"
    )
    retry_wait_s: int = Field(60, ge=0, le=86_400, description="seconds before the first retry")
    retry_wait_factor: float = Field(2.0, ge=1, le=10, description="each further wait is this many times as long")

    @property
    def waits_s(self) -> int:
        """Seconds of all waits between attempts together."""
        return math.ceil(sum(self.retry_wait_s * self.retry_wait_factor**number for number in range(self.retries)))


class Rounds(StepConfig):
    """What bounds the trainings of a run with members."""

    parallelism: int
    timeout_s: int
    deadline_s: int

    def seconds(self, members: int) -> int:
        """That so many trainings take at most, one attempt at each and none waiting for a node."""
        at_once = self.parallelism or members
        return math.ceil(members / at_once) * self.timeout_s

    def warning(self, members: int) -> str:
        """That the members, each training for as long as it may, outlast the run's deadline; empty where not.

        A warning: `training.timeout_s` is the longest that a training may take, not how long it takes.
        """
        if self.seconds(members) <= self.deadline_s:
            return ""
        return (
            f"{members} members, {self.parallelism} at a time (training.parallelism), may take "
            f"{self.seconds(members)} s if each trains for training.timeout_s = {self.timeout_s} s, and the whole run "
            f"has deadline_s = {self.deadline_s} s; raise deadline_s or parallelism, or lower timeout_s, "
            "in the cluster file or with --set-cluster"
        )


class Checkpoints(StepConfig):
    """Where training keeps what it resumes from after a lost node; neither: in the pod, lost with it."""

    pvc: ObjectName = Field("", description="name of a persistent volume claim, mounted into the training pod")
    mount_path: MountPath = Field("/checkpoints", description="where the claim is mounted")
    uri: ObjectUri = Field("", description="gs:// or s3:// folder, instead of a claim")

    @model_validator(mode="after")
    def _one_place(self) -> Checkpoints:
        if self.pvc and self.uri:
            raise ValueError('allowed: one of pvc and uri, the other left out or empty: ""')
        return self

    @property
    def root(self) -> str:
        """The folder or URI below which each run has its own folder; empty when nothing outlives the pod."""
        return self.mount_path if self.pvc else self.uri


class DataVolume(StepConfig):
    """A persistent volume claim with images, tables or weights, for data outside object storage.

    Kubeflow Pipelines cannot mount a claim read-only. The steps only read from it; permissions of the files or
    `readOnly` of the volume keep everything else from writing.
    """

    pvc: ObjectName = Field(min_length=1, description="name of the claim")
    mount_path: MountPath = Field("/data", description="where the steps find it")


class Credentials(StepConfig):
    """How the pods sign in to Google Cloud Storage; no secret: workload identity of the service account."""

    secret: ObjectName = Field("", description="name of a secret with a service account key; empty: workload identity")
    key: FileName = Field("key.json", description="name of the file inside the secret")
    mount_path: MountPath = Field("/var/run/secrets/gcs", description="where the secret is mounted")


class Registry(StepConfig):
    """Kubeflow's Model Registry, in which a run that passed its gate registers its bundle; no server: it does not."""

    server: ServerUrl = Field(
        "",
        description="address, such as http://model-registry-service.kubeflow.svc:8080",
    )
    name: str = Field("lesionflow", min_length=1, description="name of the registered model")
    models: ObjectUri = Field(
        "",
        description="gs:// or s3:// folder where registered models are staged for model servers; empty: nowhere",
    )
    token_secret: ObjectName = Field("", description="name of a secret whose entry `token` signs in to the registry")
    signing_secret: ObjectName = Field(
        "",
        description="name of a secret whose entry `key` (and `certificate`, if there is one) signs what is staged; "
        "empty: unsigned",
    )


class Serving(StepConfig):
    """What the servers of this cluster's bundles need beside the SavedModel; the step checks each file it writes."""

    formats: list[Literal["onnx", "litert"]] = Field(
        default_factory=list, description="further files in the bundle for runtimes without TensorFlow"
    )
    augmentation: Literal["none", "flips"] = Field("none", description="test-time augmentation inside the bundle")


class S3(StepConfig):
    """How the pods sign in to S3, and where it is; no secret: web identity of the service account, or a role."""

    secret: ObjectName = Field("", description="name of a secret with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
    endpoint: ServerUrl = Field("", description="address of another S3-compatible server; empty: AWS")
    region: Region = Field("", description="region, where the server asks for one")
