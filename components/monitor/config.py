"""Parameters of the monitor."""

from __future__ import annotations

from pydantic import Field

from components.common.runtime.config import BundleDigest, StepConfig


class MonitorConfig(StepConfig):
    """How often the monitor may raise a false alarm, and which sources it watches separately."""

    alpha: float = Field(
        0.05,
        description="accepted probability of a false alarm, however often the monitor runs: for each source's test of "
        "lost sensitivity, and for all other tests together",
        gt=0,
        lt=0.5,
    )
    sources: int = Field(
        4,
        description="sources watched separately, in the order they appear; further ones are watched together",
        ge=1,
        le=50,
    )
    block: int = Field(100, description="images per row of the tables where the log has no times", ge=10)
    seed: int = Field(0, description="seed of tie-breaking and resamples", ge=0)
    bundle_digest: BundleDigest = ""


class MonitorSources(MonitorConfig):
    """The step's parameters together with what it reads: what a run of the pipeline gives to the step."""

    bundle: str = Field(
        min_length=1,
        description="folder or URI of the bundle that made the predictions; `lesionflow monitor` and the pipeline also "
        "take a registered version, model-registry://NAME/VERSION",
        examples=["gs://bucket/bundle"],
    )
    predictions: list[str] = Field(
        min_length=1,
        description="logged predictions, all of them from the beginning on: files (CSV of `lesionflow predict`, JSON "
        "lines), or folders of such files",
        examples=["gs://bucket/logs"],
    )
    labels: str = Field(
        "",
        description="table of labels that came later (image, label, time), read again by each run; empty: none",
    )
    reference: str = Field(
        "",
        description="folder or URI of a validation or an evaluation to compare with; empty: the scores that the bundle "
        "carries",
    )
