"""Parameters of the evaluate step."""

from __future__ import annotations

from typing import Any, Self

from pydantic import Field, field_validator, model_validator

from components.common.runtime.config import StepConfig
from components.evaluate.gate import parse_condition, refuse_impossible


class EvaluateConfig(StepConfig):
    """How the shipped bundle is measured on the test images, and what a release must reach."""

    gate: list[str] = Field(
        [],
        description="conditions on the test result that fail the run when missed",
        examples=[["ap.lower >= 0.60"], ["calibration_slope in [0.8, 1.2]"], ["test.openings <= 3"]],
    )
    champion: str = Field(
        "", description="path or URI of another model's test_probs.npz on the same test images; empty: no comparison"
    )
    resamples: int = Field(2000, description="bootstrap resamples of lesion groups", ge=200, le=100_000)
    seed: int = Field(0, description="seed of the resamples", ge=0)
    ledger: str = Field(
        "",
        description="folder or URI of the test ledger, which records every opening of a test set; empty: below the "
        "cluster's checkpoint root, where there is one",
    )
    batch_size: int = Field(64, description="images sent to the bundle at once", ge=1, le=4096)
    cases: int = Field(8, description="pictures of each kind in the report", ge=0, le=50)

    @field_validator("gate", mode="before")
    @classmethod
    def _split_text(cls, value: Any) -> Any:
        """A pipeline parameter is a single string: conditions separated by semicolons."""
        parts = value.split(";") if isinstance(value, str) else [p for item in value for p in str(item).split(";")]
        return [part.strip() for part in parts if part.strip()]

    @field_validator("gate")
    @classmethod
    def _readable(cls, value: list[str]) -> list[str]:
        for text in value:
            refuse_impossible(parse_condition(text))
        return value

    @model_validator(mode="after")
    def _champion_given(self) -> Self:
        needing = [text for text in self.gate if text.startswith("champion")]
        if needing and not self.champion:
            raise ValueError(
                f"{{gate}} and {{champion}}: received the condition {needing[0]!r} without a champion; "
                "give {champion} (another model's test_probs.npz) or drop the condition"
            )
        return self
