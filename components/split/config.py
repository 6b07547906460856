"""Parameters of the split step."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, field_validator, model_validator

from components.common.runtime.config import StepConfig

_KFOLD = re.compile(r"kfold:([0-9]+)(?::([0-9]+))?")
_COLUMN = re.compile(r"column:(\S.*)")


class SplitConfig(StepConfig):
    """How images are divided into train, val and test."""

    recipe: str = Field(
        "stratified",
        description="how lesions are divided; stratified, reference (the published HAM10000 split), kfold:K or "
        "kfold:K:FOLD, or column:NAME (a split you bring)",
    )
    seed: int = Field(42, ge=0, le=2**32 - 1, description="seed of stratified and kfold (reference always uses 42)")
    val_share: float = Field(0.15, gt=0, lt=1, description="share of images in val, recipe stratified")
    test_share: float = Field(0.15, gt=0, lt=1, description="share of images in test, recipe stratified")
    fold: int = Field(
        0, ge=0, description="recipe kfold:K: the fold that is test, the next one is val; kfold:K:FOLD says it in one"
    )
    near_duplicates: Literal["auto", "group", "report"] = Field(
        "auto",
        description="group: near-duplicates share a split; report: they are only listed; "
        "auto: report for reference, group otherwise",
    )

    group_by: list[str] | None = Field(
        None,
        description="columns of the table whose equal values share a split, besides lesion_id; not given: patient_id "
        "where the table has one (recipe reference: lesions only); an empty list: lesions only",
        examples=[["patient_id"]],
    )
    contradictions: Literal["stop", "drop", "keep"] = Field(
        "stop",
        description="near-duplicates with different labels; stop: they are named and the step fails; drop: both images "
        "of each pair are left out; keep: both stay as they are",
    )

    @field_validator("recipe")
    @classmethod
    def _known_recipe(cls, value: str) -> str:
        fold = _KFOLD.fullmatch(value)
        if value in ("reference", "stratified") or _COLUMN.fullmatch(value) or (fold and int(fold[1]) >= 3):
            return value
        raise ValueError("allowed: reference, stratified, kfold:K or kfold:K:FOLD with K >= 3, column:NAME")

    @model_validator(mode="after")
    def _compatible(self) -> SplitConfig:
        if self.val_share + self.test_share >= 1:
            raise ValueError(
                f"{{val_share}}, {{test_share}}: received {self.val_share:g} and {self.test_share:g}; "
                "allowed: a sum below 1, the rest is train"
            )
        if self.folds and self.test_fold >= self.folds:
            raise ValueError(
                f"{{fold}}, {{recipe}}: received {self.test_fold} with {self.recipe}; allowed: 0 to {self.folds - 1}"
            )
        if self.fold not in (0, self.test_fold):
            raise ValueError(
                f"{{fold}}, {{recipe}}: received {self.fold} with {self.recipe}, which names a fold itself; "
                "allowed: one of the two"
            )
        if self.recipe == "reference" and self.near_duplicates == "group":
            raise ValueError(
                "{near_duplicates}, {recipe}: received group with reference; allowed: auto or report, because the "
                "reference split keeps lesion groups only"
            )
        if self.recipe == "reference" and self.group_by:
            raise ValueError(
                f"{{group_by}}, {{recipe}}: received {self.group_by} with reference; allowed: an empty list, because "
                "the reference split keeps lesion groups only"
            )
        return self

    @property
    def folds(self) -> int:
        """K of `kfold:K`, 0 for other recipes."""
        match = _KFOLD.fullmatch(self.recipe)
        return int(match[1]) if match else 0

    @property
    def test_fold(self) -> int:
        """The fold that is test: FOLD of `kfold:K:FOLD`, else `fold`."""
        match = _KFOLD.fullmatch(self.recipe)
        return int(match[2]) if match and match[2] else self.fold

    @property
    def column(self) -> str:
        """NAME of `column:NAME`, empty for other recipes."""
        match = _COLUMN.fullmatch(self.recipe)
        return match[1] if match else ""

    @property
    def grouped(self) -> bool:
        """Whether near-duplicates of different lesions are put into one group."""
        return self.near_duplicates == "group" or (self.near_duplicates == "auto" and self.recipe != "reference")
