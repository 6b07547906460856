"""`cluster.yaml`: what a cluster is like, read once when the pipeline is compiled.

Images, GPU resource, selectors, tolerations, sizes, timeouts and retries are facts of a cluster, not
of an experiment; they have defaults here and one file overrides them. What KFP lets a run override
(selector and tolerations) is a pipeline parameter whose default comes from the same file.
"""

from __future__ import annotations

import re
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, model_validator

from components.common.config import StepConfig
from components.common.errors import ConfigError

STEPS = ("ingest", "split", "records", "train", "calibrate", "export", "evaluate", "gate")
_DIGEST = re.compile(r"^\S+@sha256:[0-9a-f]{64}$")
_COMMIT_TAG = re.compile(r"^\S+:[0-9a-f]{12,40}$")
_QUANTITY = r"^[0-9]+(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi|T|Ti)?$"


def default_tag() -> str:
    """The commit's first 12 hex digits; outside a git checkout the package version."""
    try:
        done = subprocess.run(
            ["git", "rev-parse", "--short=12", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True,
            check=True,
        )  # fmt: skip
    except (OSError, subprocess.CalledProcessError):
        return metadata.version("lesionflow")
    return done.stdout.strip()


class Images(StepConfig):
    """Image references; one by digest, or tagged with the commit they were built from."""

    data: str = Field(default_factory=lambda: f"lesionflow-data:{default_tag()}", description="ingest to calibrate")
    cpu: str = Field(default_factory=lambda: f"lesionflow-cpu:{default_tag()}", description="export, evaluate")
    gpu: str = Field(default_factory=lambda: f"lesionflow-gpu:{default_tag()}", description="train on a GPU")


class Gpu(StepConfig):
    """The GPU request of the training pod; count 0 trains on the CPU image without selector or toleration."""

    resource: str = Field("nvidia.com/gpu", description="extended resource name, the GPU type Kubernetes schedules by")
    count: int = Field(1, ge=0, le=16, description="GPUs of the training pod")
    node_selector: dict[str, str] = Field(default_factory=dict, description="labels a GPU node must carry")
    tolerations: list[dict[str, str]] = Field(
        default_factory=lambda: [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
        description="taints of GPU nodes that the pod tolerates",
    )

    @model_validator(mode="after")
    def _tolerations_are_tolerations(self) -> Gpu:
        known = {"key", "operator", "value", "effect", "tolerationSeconds"}
        for item in self.tolerations:
            if set(item) - known:
                raise ValueError(f"gpu.tolerations: received {item}; allowed keys: {', '.join(sorted(known))}")
        return self


class Size(StepConfig):
    """CPU and memory of one step, as Kubernetes quantities."""

    cpu: str = Field("2", pattern=_QUANTITY, description="CPU request and limit, such as 2 or 500m")
    memory: str = Field("4Gi", pattern=_QUANTITY, description="memory request and limit, such as 4Gi")


class Training(StepConfig):
    """What only the training pod needs."""

    shm: str = Field("8Gi", pattern=_QUANTITY, description="size of /dev/shm")
    timeout_s: int = Field(86_400, ge=60, description="seconds until the pod is stopped; Pending does not count")
    retries: int = Field(3, ge=0, le=10, description="restarts after a non-zero exit")
    retry_backoff_s: int = Field(60, ge=0, description="seconds before the first restart; doubles each time")
    retry_backoff_max_s: int = Field(900, ge=0, description="longest wait between restarts, in seconds")


class Cluster(StepConfig):
    """All facts of one cluster."""

    images: Images = Field(default_factory=Images)
    gpu: Gpu = Field(default_factory=Gpu)
    sizes: dict[Literal[STEPS], Size] = Field(default_factory=dict, description="CPU and memory by step")  # type: ignore[valid-type]
    training: Training = Field(default_factory=Training)
    image_pull_secret: str = Field("", description="name of the secret that pulls the images")
    deadline_s: int = Field(172_800, ge=60, description="seconds until the whole run is stopped")
    caching: bool = Field(True, description="reuse results of unchanged steps")

    def size_of(self, step: str) -> Size:
        """CPU and memory of `step`: its own entry, or the defaults for its kind of work."""
        training = Size(cpu="8", memory="32Gi") if self.gpu.count else Size(cpu="4", memory="16Gi")
        defaults = {"train": training, "ingest": Size(cpu="4", memory="4Gi"), "records": Size(cpu="4", memory="4Gi"),
                    "gate": Size(cpu="500m", memory="512Mi")}  # fmt: skip
        return self.sizes.get(step, defaults.get(step, Size()))

    def image_of(self, step: str) -> str:
        """The image that runs `step`."""
        if step == "train":
            return self.images.gpu if self.gpu.count else self.images.cpu
        return self.images.cpu if step in ("export", "evaluate") else self.images.data

    def check_images(self, *, allow_mutable_tags: bool) -> None:
        """Refuses images that can change under the same name: KFP's cache key is the name, not the digest.

        Raises:
            ConfigError: names the image and what is allowed.
        """
        for name in ("data", "cpu", "gpu"):
            image = getattr(self.images, name)
            fixed = _DIGEST.match(image) or _COMMIT_TAG.match(image)
            if not fixed and not (allow_mutable_tags or image.endswith(f":{metadata.version('lesionflow')}")):
                raise ConfigError(
                    f"images.{name}: received {image!r}; allowed: NAME@sha256:DIGEST or a tag of 12 or more hex digits "
                    "(the commit); a mutable tag gives stale cache hits (--allow-mutable-tags takes it all the same)"
                )


def load_cluster(path: Path | None) -> Cluster:
    """Reads `cluster.yaml`; without a path, the defaults.

    Raises:
        ConfigError: not readable, no mapping, or a bad entry, named by its dotted name.
    """
    return Cluster() if path is None else Cluster.parse(load_yaml(path))


def load_yaml(path: Path) -> dict[str, Any]:
    """Reads a YAML mapping; tags that would build Python objects are refused by the safe loader.

    Raises:
        ConfigError: missing file, bad YAML, or no mapping.
    """
    try:
        value = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: not readable ({error.strerror}); expected a YAML file") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(value, dict):
        raise ConfigError(f"{path}: received {type(value).__name__}, expected a mapping of names to values")
    return value
