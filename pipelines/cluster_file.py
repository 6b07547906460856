"""`cluster.yaml`: what a cluster is like, read once when the pipeline is compiled.

Images, GPU resource, selectors, tolerations, sizes, timeouts and retries are facts of a cluster, not
of an experiment; they have defaults here and one file overrides them. What KFP lets a run override
(selector and tolerations) is a pipeline parameter whose default comes from the same file.
"""

from __future__ import annotations

import math
import re
import subprocess
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BeforeValidator, Field, model_serializer, model_validator

from components.common.runtime import yaml_text
from components.common.runtime.config import StepConfig
from components.common.runtime.errors import ConfigError
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
    ServerUrl,
)
from pipelines.cluster_volumes import Volume, refuse_conflicts

PLACEHOLDER = "YOUR-BUCKET"
CLUSTERS = Path(__file__).parent / "configs" / "clusters"
STEPS = ("check", "ingest", "split", "feasibility", "records", "train", "calibrate", "export", "evaluate", "gate")
VALIDATE_TASK = "validate"  # of the other pipeline: check, ingest, validate
PLAN_TASK, COMBINE_TASK = "plan", "combine"  # before and after the trainings of a run with members
REGISTER_TASK = "register"  # after the gate, on a cluster with a Model Registry
EXIT_TASK = "report-end"  # after all others, however they ended
PART_OF = {"ingest-part": "ingest", "records-part": "records"}  # tasks before a step that data_shards divides
_AROUND = {"train": (PLAN_TASK, "train", COMBINE_TASK)} | {step: (part, step) for part, step in PART_OF.items()}
_MAIN = tuple(task for step in STEPS for task in _AROUND.get(step, (step,)))
TASKS = (*_MAIN, VALIDATE_TASK, REGISTER_TASK, EXIT_TASK)
_DIGEST = re.compile(r"^\S+@sha256:[0-9a-f]{64}$")
_COMMIT_TAG = re.compile(r"^\S+:[0-9a-f]{12,40}$")
S3_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
# the steps that read images, tables, weights, checkpoints or a champion's scores outside KFP's artifact store
_READING = ("check", "ingest", "feasibility", "records", "train", "export", "evaluate")
STORAGE_STEPS = (*_READING, VALIDATE_TASK, REGISTER_TASK)
_ON_CPU_IMAGE = (COMBINE_TASK, "export", "evaluate", VALIDATE_TASK, REGISTER_TASK)
_CACHED = (*STEPS[1:], PLAN_TASK, COMBINE_TASK, VALIDATE_TASK)


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

    resource: LabelKey = Field("nvidia.com/gpu", description="extended resource, the GPU type Kubernetes schedules by")
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
        0, ge=0, le=100, description="members of one run that train at the same time; 0: as many as there are"
    )
    retry_wait_s: int = Field(60, ge=0, le=86_400, description="seconds before the first retry")
    retry_wait_factor: float = Field(2.0, ge=1, le=10, description="each further wait is this many times as long")

    @property
    def waits_s(self) -> int:
        """Seconds of all waits between attempts together."""
        return math.ceil(sum(self.retry_wait_s * self.retry_wait_factor**number for number in range(self.retries)))


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
    """A persistent volume claim with images, tables or weights, for data that lies in no bucket.

    Kubeflow Pipelines cannot mount a claim read-only. The steps only read from it; permissions of the files or
    `readOnly` of the volume keep everything else from writing.
    """

    pvc: ObjectName = Field(min_length=1, description="name of the claim")
    mount_path: MountPath = Field("/data", description="where the steps find it")


def _as_list(value: object) -> object:
    return [value] if isinstance(value, Mapping) else value


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
    endpoint: ServerUrl = Field("", description="a server of one's own; empty: AWS")
    region: Region = Field("", description="region, where the server asks for one")


class Cluster(StepConfig):
    """All facts of one cluster."""

    images: Images = Field(default_factory=Images)
    gpu: Gpu = Field(default_factory=Gpu)
    sizes: dict[Literal[(*STEPS, COMBINE_TASK, VALIDATE_TASK)], Size] = Field(  # type: ignore[valid-type]
        default_factory=dict, description="CPU and memory by step"
    )
    training: Training = Field(default_factory=Training)
    service_account: ObjectName = Field("", description="service account of the run's pods; empty: KFP's own default")
    image_pull_secret: ObjectName = Field("", description="name of the secret that pulls the images")
    gcs_credentials: Credentials = Field(default_factory=Credentials)
    s3: S3 = Field(default_factory=S3)
    checkpoints: Checkpoints = Field(default_factory=Checkpoints)
    data: Annotated[list[DataVolume], BeforeValidator(_as_list)] = Field(
        default_factory=list, description="claims that the steps which read images, tables or weights see"
    )
    data_shards: int = Field(
        1,
        ge=1,
        le=200,
        description="pods that check the images and prepare them, each a part; the results are those of one pod, to "
        "the byte",
    )
    ingest_cache: ObjectUri = Field(
        "",
        description="gs:// or s3:// folder of ingest's verdicts: an object of a known version is not read again",
    )
    registry: Registry = Field(default_factory=Registry)
    bundle_key_secret: ObjectName = Field(
        "",
        description="name of a secret whose entry `key` (public key or certificate, PEM) must have signed every bundle "
        "that the pipeline lesionflow-validate reads; empty: it need not be signed",
    )
    serving: Serving = Field(default_factory=Serving)
    labels: dict[LabelKey, LabelValue] = Field(default_factory=dict, description="labels of every pod of a run")
    annotations: dict[LabelKey, str] = Field(default_factory=dict, description="annotations of every pod of a run")
    run_as_user: int = Field(65_532, ge=1, description="user id of the steps; never 0")
    deadline_s: int = Field(172_800, ge=60, description="seconds until the whole run is stopped, Pending included")
    ttl_s: int = Field(604_800, ge=0, description="seconds after its end until pods and workflow are removed")
    caching: bool = Field(True, description="reuse results of unchanged steps")
    uncached_steps: list[Literal[(*STEPS, VALIDATE_TASK)]] = Field(  # type: ignore[valid-type]
        default_factory=list, description="steps that always run anew, whatever caching says"
    )

    @model_validator(mode="after")
    def _deadline_covers_training(self) -> Cluster:
        training = self.training
        if self.deadline_s < training.timeout_s:
            raise ValueError(
                f"deadline_s: received {self.deadline_s}; allowed: at least training.timeout_s = "
                f"{training.timeout_s}, for the run holds the training"
            )
        if self.deadline_s < training.waits_s:
            raise ValueError(
                f"training.retries: received {training.retries} with retry_wait_s {training.retry_wait_s} and "
                f"retry_wait_factor {training.retry_wait_factor:g}, waits of {training.waits_s} s together; allowed: "
                f"waits that end before deadline_s = {self.deadline_s}"
            )
        return self

    @model_validator(mode="after")
    def _volumes_fit_into_one_pod(self) -> Cluster:
        refuse_conflicts(self._volumes())
        return self

    def _volumes(self) -> Iterator[Volume]:
        """Claims and secrets that become volumes of a step's pod."""
        kept = [("checkpoints", self.checkpoints.pvc, self.checkpoints.mount_path)]
        kept += [(f"data.{number}", one.pvc, one.mount_path) for number, one in enumerate(self.data)]
        for entry, pvc, path in kept:
            if pvc:
                yield Volume(f"{entry}.pvc", pvc, f"{entry}.mount_path", path)
        if self.gcs_credentials.secret:
            given = self.gcs_credentials
            yield Volume("gcs_credentials.secret", given.secret, "gcs_credentials.mount_path", given.mount_path)
        for kind in ("token_secret", "signing_secret"):
            if name := getattr(self.registry, kind):
                yield Volume(f"registry.{kind}", name)

    @property
    def training_attempts_s(self) -> int:
        """Seconds that all attempts at training together may take, waits and Pending included.

        Argo starts no attempt after this and stops the one that runs, counting from the start of the first:
        it must not be over while the run's own deadline allows an attempt.
        """
        training = self.training
        return max(self.deadline_s, (training.retries + 1) * training.timeout_s + training.waits_s)

    def caches(self, step: str) -> bool:
        """Whether KFP may reuse an earlier result of `step`."""
        step = PART_OF.get(step, step)
        # the exit task is not a step, a cached one would tell how an earlier run ended; a cached check asks nobody
        if step == VALIDATE_TASK and self.bundle_key_secret:
            return False  # the signature is in no input's digest: an answer from before would pass for a checked one
        return self.caching and step in _CACHED and step not in self.uncached_steps

    def size_of(self, step: str) -> Size:
        """CPU and memory of `step`: its own entry, or the defaults for its kind of work."""
        step = PART_OF.get(step, step)
        training = Size(cpu="8", memory="32Gi") if self.gpu.count else Size(cpu="4", memory="16Gi")
        reading, small = Size(cpu="4", memory="4Gi"), Size(cpu="500m", memory="512Mi")
        defaults = dict.fromkeys(("feasibility", PLAN_TASK, EXIT_TASK), small)
        defaults |= {
            "ingest": reading,
            "records": reading,
            "check": Size(cpu="500m", memory="1Gi"),
            "feasibility": Size(cpu="500m", memory="1Gi"),
            "gate": Size(),  # it computes every figure again
            "train": training,
            REGISTER_TASK: Size(),
        }
        return self.sizes.get(step, defaults.get(step, Size()))

    def image_of(self, step: str) -> str:
        """The image that runs `step`."""
        if step == "train":
            return self.images.reference("gpu" if self.gpu.count else "cpu")
        return self.images.reference("cpu" if step in _ON_CPU_IMAGE else "data")

    def check_images(self, *, allow_mutable_tags: bool) -> None:
        """Refuses images that can change under the same name: KFP's cache key is the name, not the digest.

        Also an example's bucket that was never filled in, which training would only meet at its first checkpoint.

        Raises:
            ConfigError: names the image or the entry, and what is allowed.
        """
        if PLACEHOLDER in self.checkpoints.uri:
            raise ConfigError(
                f"checkpoints.uri: received {self.checkpoints.uri!r}; allowed: a bucket of yours, with "
                "--set-cluster checkpoints.uri=gs://BUCKET/lesionflow/checkpoints or in a cluster file of your own"
            )
        for kind in ("data", "cpu", "gpu"):
            image = self.images.reference(kind)
            if not (allow_mutable_tags or _DIGEST.match(image) or _COMMIT_TAG.match(image)):
                raise ConfigError(
                    f"images.{kind}: received {image!r}; allowed: NAME@sha256:DIGEST (give the file that `make images` "
                    "wrote with --image-refs) or a tag of 12 or more hex digits (the commit); a mutable tag "
                    "gives stale cache hits (--allow-mutable-tags takes it all the same)"
                )


def load_cluster(
    name_or_path: Path | str | None, images: Path | None = None, changes: Mapping[str, Any] | None = None
) -> Cluster:
    """Reads `cluster.yaml`; without one, the defaults.

    Args:
        name_or_path: a YAML file, or the name of an example in `pipelines/configs/clusters`, such as gke-t4.
        images: the file that `make images` wrote; its references replace those of the cluster file.
        changes: entries that replace those of the file, by their dotted names: `checkpoints.uri`, `sizes.train`.

    Raises:
        ConfigError: not readable, not a mapping, or a bad entry, named by its dotted name.
    """
    known = {path.stem: path for path in CLUSTERS.glob("*.yaml")}
    path = None if name_or_path is None else known.get(str(name_or_path), Path(name_or_path))
    if path is not None and not path.exists():
        raise ConfigError(
            f"--cluster: received {str(path)!r}; allowed: a YAML file, or one of {', '.join(sorted(known))}"
        )
    values = {} if path is None else load_yaml(path)
    if images is not None:
        values["images"] = {**values.get("images", {}), **load_yaml(images)}
    for name, value in (changes or {}).items():
        _set_entry(values, name, value)
    try:
        return Cluster.parse(values)
    except ConfigError as error:
        if path is None:
            raise
        raise ConfigError("\n".join(f"{path}: {line}" for line in str(error).split("\n"))) from error


def _set_entry(values: dict[str, Any], name: str, value: Any) -> None:
    """Sets one entry by its dotted name; what stands at it is replaced as a whole."""
    *path, last = name.split(".")
    inner = values
    for number, key in enumerate(path):
        inner = inner.setdefault(key, {})
        if not isinstance(inner, dict):
            above = ".".join(path[: number + 1])
            raise ConfigError(
                f"--set-cluster {name}: {above} holds no further names; allowed: the entry as a whole, {above}=VALUE"
            )
    inner[last] = value


def load_yaml(path: Path) -> dict[str, Any]:
    """Reads a YAML mapping; tags that would build Python objects are refused by the safe loader.

    Raises:
        ConfigError: missing file, bad YAML, or not a mapping.
    """
    try:
        value = yaml_text.load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: not readable ({error.strerror}); expected a YAML file") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(value, dict):
        raise ConfigError(f"{path}: received {type(value).__name__}, expected a mapping of names to values")
    return value
