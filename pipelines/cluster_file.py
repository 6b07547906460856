"""`cluster.yaml`: what a cluster is like, read once when the pipeline is compiled.

Images, GPU resource, selectors, tolerations, sizes, timeouts and retries are facts of a cluster, not
of an experiment; they have defaults here and one file overrides them. What KFP lets a run override
(selector and tolerations) is a pipeline parameter whose default comes from the same file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BeforeValidator, Field, model_validator

from components.common.runtime import yaml_text
from components.common.runtime.config import StepConfig, nearest
from components.common.runtime.errors import ConfigError
from pipelines.cluster_entries import (
    S3,
    Checkpoints,
    Credentials,
    DataVolume,
    Gpu,
    Images,
    Registry,
    Rounds,
    Serving,
    Size,
    Training,
)
from pipelines.cluster_values import (
    LabelKey,
    LabelValue,
    ObjectName,
    ObjectUri,
)
from pipelines.cluster_volumes import Volume, refuse_conflicts

PLACEHOLDER = "YOUR-BUCKET"
CLUSTERS = Path(__file__).parent / "configs" / "clusters"
STEPS = ("check", "ingest", "split", "feasibility", "records", "train", "calibrate", "export", "evaluate", "gate")
VALIDATE_TASK = "validate"  # of the pipeline for another clinic: check, ingest, validate
MONITOR_TASK, ALARM_TASK = "monitor", "alarm"  # of the pipeline for a bundle in use: check, monitor, alarm
PIPELINE_OF = {VALIDATE_TASK: "lesionflow-validate", MONITOR_TASK: "lesionflow-monitor"}  # others are of `lesionflow`
PLAN_TASK, COMBINE_TASK = "plan", "combine"  # before and after the trainings of a run with members
REGISTER_TASK = "register"  # after the gate, on a cluster with a Model Registry
EXIT_TASK = "report-end"  # after all others, however they ended
PART_OF = {"ingest-part": "ingest", "records-part": "records"}  # tasks before a step that data_shards divides
_AROUND = {"train": (PLAN_TASK, "train", COMBINE_TASK)} | {step: (part, step) for part, step in PART_OF.items()}
_MAIN = tuple(task for step in STEPS for task in _AROUND.get(step, (step,)))
TASKS = (*_MAIN, VALIDATE_TASK, MONITOR_TASK, ALARM_TASK, REGISTER_TASK, EXIT_TASK)
_DIGEST = re.compile(r"^\S+@sha256:[0-9a-f]{64}$")
_COMMIT_TAG = re.compile(r"^\S+:[0-9a-f]{12,40}$")
S3_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
# the steps that read images, tables, weights, checkpoints or a champion's scores outside KFP's artifact store
_READING = ("check", "ingest", "feasibility", "records", "train", "export", "evaluate")
STORAGE_STEPS = (*_READING, VALIDATE_TASK, MONITOR_TASK, REGISTER_TASK)
_ON_CPU_IMAGE = (COMBINE_TASK, "export", "evaluate", VALIDATE_TASK, REGISTER_TASK)
_CACHED = (*STEPS[1:], PLAN_TASK, COMBINE_TASK, VALIDATE_TASK, MONITOR_TASK)


def _as_list(value: object) -> object:
    return [value] if isinstance(value, Mapping) else value


class Cluster(StepConfig):
    """All facts of one cluster."""

    images: Images = Field(default_factory=Images)
    gpu: Gpu = Field(default_factory=Gpu)
    sizes: dict[Literal[(*STEPS, PLAN_TASK, COMBINE_TASK, VALIDATE_TASK, MONITOR_TASK)], Size] = Field(  # type: ignore[valid-type]
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
        description="pods that check and prepare the images, each a part of them; the results are byte for byte those "
        "of one pod",
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
    run_as_user: int = Field(65_532, ge=1, le=2**31 - 1, description="user id of the steps; never 0")
    deadline_s: int = Field(172_800, ge=60, description="seconds until the whole run is stopped, Pending included")
    ttl_s: int = Field(604_800, ge=0, description="seconds after its end until pods and workflow are removed")
    caching: bool = Field(True, description="reuse results of unchanged steps")
    uncached_steps: list[Literal[(*STEPS, VALIDATE_TASK, MONITOR_TASK)]] = Field(  # type: ignore[valid-type]
        default_factory=list, description="steps whose results are never reused, whatever caching says"
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
        registry = [(f"registry.{kind}", getattr(self.registry, kind)) for kind in ("token_secret", "signing_secret")]
        # mounted beside the others by register, and by validate
        for own in (registry, [("bundle_key_secret", self.bundle_key_secret)]):
            refuse_conflicts([*self._volumes(), *(Volume(entry, name) for entry, name in own if name)])
        return self

    def _volumes(self) -> Iterator[Volume]:
        """Claims and secrets that become volumes of most steps' pods."""
        kept = [("checkpoints", self.checkpoints.pvc, self.checkpoints.mount_path)]
        kept += [(f"data.{number}", one.pvc, one.mount_path) for number, one in enumerate(self.data)]
        for entry, pvc, path in kept:
            if pvc:
                yield Volume(f"{entry}.pvc", pvc, f"{entry}.mount_path", path)
        if self.gcs_credentials.secret:
            given = self.gcs_credentials
            yield Volume("gcs_credentials.secret", given.secret, "gcs_credentials.mount_path", given.mount_path)

    @property
    def training_attempts_s(self) -> int:
        """Seconds that all attempts at training together may take, waits and Pending included.

        Argo starts no attempt after this and stops the one that runs, counting from the start of the first:
        it must not be over while the run's own deadline allows an attempt.
        """
        training = self.training
        return max(self.deadline_s, (training.retries + 1) * training.timeout_s + training.waits_s)

    @property
    def rounds(self) -> Rounds:
        """What bounds the trainings of a run with members."""
        training = self.training
        return Rounds(parallelism=training.parallelism, timeout_s=training.timeout_s, deadline_s=self.deadline_s)

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
        defaults = dict.fromkeys((PLAN_TASK, ALARM_TASK, EXIT_TASK), small)
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
                    "gives stale cache hits (--allow-mutable-tags accepts it anyway)"
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
        near = nearest(str(path), known)
        hint = f"did you mean {near!r}? " if near else ""
        raise ConfigError(
            f"--cluster: received {str(path)!r}; {hint}allowed: a YAML file, or one of {', '.join(sorted(known))}"
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
