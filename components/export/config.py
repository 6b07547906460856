"""Parameters of the export step."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from components.common.runtime.config import StepConfig


class ExportConfig(StepConfig):
    """How the bundle is built and how closely it must agree with the model it was made from."""

    precision: Literal["float32", "as_trained"] = Field(
        "float32", description="arithmetic of the served network; float32 also for models trained in mixed precision"
    )
    augmentation: Literal["none", "flips"] = Field(
        "none", description="test-time augmentation: flips averages the logits of four mirrored views"
    )
    formats: list[Literal["onnx", "litert"]] = Field(
        default_factory=list,
        description="further files for runtimes without TensorFlow, onnx and litert; needs the extra `formats`",
    )
    reference_images: int = Field(
        1000,
        description="training images that show what dermoscopy looks like; images far from them get the status "
        "not_dermoscopy, at most 1 % of validation groups among them; 0 switches this off",
        ge=0,
    )
    # the two defaults are ingest's own limits: what it accepts, the bundle reads
    min_side: int = Field(16, description="shortest side in pixels that is read", ge=1)
    max_megapixels: float = Field(
        100.0,
        description="largest image that is read, in megapixels; larger ones are refused before decoding",
        gt=0,
        le=500,
    )
    parity_images: int = Field(500, description="validation images the bundle is compared on", ge=1)
    parity_tolerance: float = Field(
        1e-5, description="largest difference in probability between the Keras path and the bundle", gt=0, lt=1
    )
    format_tolerance: float = Field(
        1e-4,
        description="largest difference in probability between the bundle and an onnx or litert file, whose runtimes "
        "round in another order",
        gt=0,
        lt=1,
    )
    max_logit_shift: float = Field(
        0.25,
        description="largest mean absolute difference in logit between training-time and serving-time images",
        gt=0,
    )
    max_changed_decisions: float = Field(
        0.05, description="largest share of images whose decision differs between the two preparations", ge=0, le=1
    )
