"""Parameters of the validate step."""

from __future__ import annotations

from pydantic import Field

from components.common.runtime.config import BundleDigest, StepConfig


class ValidateConfig(StepConfig):
    """How a finished bundle is measured on another clinic's images."""

    site: str = Field("", max_length=80, description="name of the clinic, for the report")
    max_overlap_pct: float = Field(
        5.0,
        ge=0,
        le=100,
        description="the run stops when the bundle was trained or chosen on more than this percentage of the images; "
        "up to it, such images are listed and left out",
    )
    resamples: int = Field(2000, description="bootstrap resamples of groups", ge=200, le=100_000)
    seed: int = Field(0, description="seed of the resamples", ge=0)
    batch_size: int = Field(64, description="images sent to the bundle at once", ge=1, le=4096)
    bundle_digest: BundleDigest = ""
    cases: int = Field(8, description="pictures of each kind in the report", ge=0, le=50)


class ValidateSources(ValidateConfig):
    """The step's parameters together with the bundle: what a run of the pipeline gives to the step."""

    bundle: str = Field(
        min_length=1,
        description="folder or URI of the bundle to validate; `lesionflow validate` and the pipeline also take a "
        "registered version, model-registry://NAME/VERSION",
        examples=["gs://bucket/handover"],
    )
    internal: str = Field(
        "",
        description="folder or URI of the bundle's own evaluation to compare with; empty: the internal test that the "
        "bundle carries",
    )
