"""Parameters of the train step. Importable without TensorFlow."""

from __future__ import annotations

import re
from typing import Literal, Self

from pydantic import Field, model_validator

from components.common.config import StepConfig
from components.train.registry import BACKBONES, backbone

_SIZE = re.compile(r"([0-9]{1,4})x([0-9]{1,4})")
_PLATEAU_ONLY = ("plateau_factor", "plateau_patience")
_COSINE_ONLY = ("warmup_epochs",)


class TrainConfig(StepConfig):
    """What is trained, on which view of the records, and how."""

    architecture: str = Field("efficientnet_lite0", description=f"backbone: {', '.join(BACKBONES)}")
    alpha: float = Field(1.0, description="width of mobilenet_v2: 0.35, 0.5, 0.75, 1.0, 1.3 or 1.4", gt=0, le=2)
    weights: str = Field("none", description="pretrained weights: imagenet, none, a file or a gs:// or s3:// URI")
    image_size: str = Field("224x224", description="height x width in pixels, such as 144x192")
    target: Literal["binary", "diagnosis"] = Field(
        "diagnosis", description="binary: one logit; diagnosis: softmax whose malignant mass is summed"
    )
    class_balance: Literal["class_weight", "sample_weight", "none"] = Field(
        "class_weight", description="weight of the malignant class in the loss: by class, by image, or none"
    )
    label_smoothing: float = Field(0.0, description="share of the target spread over all classes", ge=0, lt=0.5)
    dropout: float = Field(0.2, description="dropout before the last layer", ge=0, lt=1)

    epochs: int = Field(20, description="most epochs; early stopping may end before", ge=1, le=10_000)
    batch_size: int = Field(32, description="images a step, over all GPUs", ge=1, le=65_536)
    learning_rate: float = Field(4e-4, description="peak learning rate of AdamW", gt=0, le=1)
    weight_decay: float = Field(0.02, description="AdamW's decoupled weight decay of kernels", ge=0, le=1)
    schedule: Literal["cosine", "plateau"] = Field(
        "cosine", description="cosine to zero with warm-up, or lower on a plateau of average precision"
    )
    warmup_epochs: float = Field(0.3, description="epochs of linear warm-up (cosine)", ge=0)
    plateau_factor: float = Field(0.5, description="learning rate factor on a plateau", gt=0, lt=1)
    plateau_patience: int = Field(2, description="epochs without a better average precision until then", ge=1)
    early_stopping: int = Field(
        5, description="epochs without a better average precision until the end; 0 is off", ge=0
    )
    average: float = Field(
        0.0, description="decay of an exponential moving average of the weights, per 4 steps; 0 is off", ge=0, lt=1
    )
    head_epochs: int = Field(0, description="first train the head alone so long, on features computed once", ge=0)
    freeze_until: str = Field("", description="keep layers up to this one as they are; all = the whole backbone")

    rotation: float = Field(180.0, description="augmentation: largest rotation in degrees", ge=0, le=180)
    zoom: float = Field(0.2, description="augmentation: scale 1/(1+zoom) to 1+zoom", ge=0, le=2)
    translation: float = Field(0.05, description="augmentation: largest shift, as a share of the side", ge=0, le=0.5)
    flip: bool = Field(True, description="augmentation: mirror in both directions")
    brightness: float = Field(0.06, description="augmentation: largest shift, as a share of 255", ge=0, le=0.5)
    contrast: float = Field(0.15, description="augmentation: contrast 1-c to 1+c", ge=0, lt=1)
    cache: Literal["auto", "memory", "stream"] = Field(
        "auto", description="keep decoded images in memory, decode on the way, or whichever fits"
    )
    feed_workers: int = Field(
        0, description="threads that prepare batches; 0 for one less than the cores", ge=0, le=256
    )

    precision: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description="auto: bfloat16 on compute capability 8.0+, float16 on 7.x, else float32"
    )
    seed: int = Field(42, description="seed of everything random", ge=0, le=2**31 - 1)
    deterministic: bool = Field(False, description="equal runs give equal bits, somewhat slower")
    checkpoint_dir: str = Field("", description="folder or URI for resume files; empty: beside the output")

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        height, _, width = self.image_size.partition("x")
        return int(height), int(width)

    @model_validator(mode="after")
    def _model(self) -> Self:
        line = backbone(self.architecture)
        if not _SIZE.fullmatch(self.image_size) or min(self.size) < line.smallest:
            raise ValueError(
                f"image_size: received {self.image_size!r}; allowed: height x width such as 144x192, "
                f"each at least {line.smallest} for {self.architecture}"
            )
        if line.widths and self.alpha not in line.widths:
            raise ValueError(f"alpha: received {self.alpha:g}; {self.architecture} has {_listed(line.widths)}")
        if not line.widths and self.alpha != 1.0:
            raise ValueError(f"alpha: received {self.alpha:g}; {self.architecture} has one width, leave it at 1")
        if self.weights == "imagenet" and not line.imagenet:
            raise ValueError(
                f"weights: received 'imagenet' with architecture {self.architecture!r}; nothing can be downloaded for "
                "it: give a file or none"
            )
        return self

    @model_validator(mode="after")
    def _known_pairs(self) -> Self:
        other = _PLATEAU_ONLY if self.schedule == "cosine" else _COSINE_ONLY
        clash = [name for name in other if self._changed(name)]
        if clash:
            raise ValueError(
                f"{clash[0]} and schedule: received {clash[0]} {getattr(self, clash[0])!r} with schedule "
                f"{self.schedule!r}; {clash[0]} counts only with schedule "
                f"{'plateau' if self.schedule == 'cosine' else 'cosine'!r}"
            )
        if self.freeze_until and self.weights == "none":
            raise ValueError(
                f"freeze_until and weights: received freeze_until {self.freeze_until!r} with weights 'none'; "
                "random layers are not worth keeping: give weights"
            )
        return self

    def _changed(self, name: str) -> bool:
        # a record of all parameters names every one of them: only a value that differs was meant
        return name in self.model_fields_set and getattr(self, name) != type(self).model_fields[name].default


def _listed(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:g}" for value in values)
