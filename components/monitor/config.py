"""Parameters of the monitor."""

from __future__ import annotations

from pydantic import Field

from components.common.runtime.config import StepConfig


class MonitorConfig(StepConfig):
    """How often the monitor may be wrong, and what it watches apart."""

    alpha: float = Field(
        0.05,
        description="accepted chance of a false alarm over all looks together: of each source's test for lost "
        "sensitivity, and of all other tests together",
        gt=0,
        lt=0.5,
    )
    sources: int = Field(
        4, description="sources watched apart, in the order they appear; further ones are watched together", ge=1, le=50
    )
    block: int = Field(100, description="images per row of the tables where the log has no times", ge=10)
    seed: int = Field(0, description="seed of tie-breaking and resamples", ge=0)
