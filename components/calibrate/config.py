"""Parameters of the calibrate step."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from components.common.runtime.config import StepConfig

_COST_RATIO = 9.0


class CalibrateConfig(StepConfig):
    """How probabilities are calibrated and how the threshold is chosen, both on validation scores only."""

    calibration: Literal["auto", "none", "offset", "temperature", "platt", "beta", "isotonic"] = Field(
        "auto", description="calibrator; auto chooses the one with the lowest cross-fitted log loss"
    )
    folds: int = Field(5, description="group-disjoint folds of the cross-fit", ge=2, le=50)
    operating_point: Literal["lower_bound", "point", "cost", "youden"] = Field(
        "lower_bound",
        description="rule for the threshold; lower_bound guarantees target_sensitivity, point only aims at it, "
        "cost weighs errors by cost_ratio, youden maximises sensitivity + specificity",
    )
    target_sensitivity: float = Field(0.90, description="sensitivity to reach (lower_bound, point)", gt=0, lt=1)
    delta: float = Field(0.05, description="accepted risk that the guarantee of lower_bound fails", gt=0, lt=0.5)
    cost_ratio: float = Field(
        _COST_RATIO,
        description="cost of a missed malignant image over the cost of a false positive (operating_point cost)",
        gt=0,
    )
    abstain_alpha: float = Field(
        0.0,
        description="refer to a person between class-conditional conformal limits at this error rate per class; 0: off",
        ge=0,
        lt=0.5,
    )
    seed: int = Field(0, description="seed of folds and resamples", ge=0)

    @model_validator(mode="after")
    def _known_pairs(self) -> Self:
        if self.operating_point != "cost" and self.cost_ratio != _COST_RATIO:
            raise ValueError(
                f"{{cost_ratio}}, {{operating_point}}: received {self.cost_ratio:g} and {self.operating_point}; "
                "allowed: {cost_ratio} with {operating_point} cost only"
            )
        return self
