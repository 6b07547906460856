"""A figure with its 95 % interval, as documents hold it."""

from __future__ import annotations

from typing import Any, Literal, Protocol, Self

from pydantic import ConfigDict

from components.common.artifacts.json_file import Count, Document, Number

Status = Literal["ok", "insufficient"]


class Part(Document):
    """A part of a document whose fields are read by their own names or by those in the file."""

    model_config = ConfigDict(populate_by_name=True)


class HasInterval(Protocol):
    """A value with its interval."""

    @property
    def value(self) -> float | None:
        """On the data as it is; None where it cannot be computed."""
        ...

    @property
    def lower(self) -> float | None:
        """Lower end of the 95 % interval."""
        ...

    @property
    def upper(self) -> float | None:
        """Upper end of the 95 % interval."""
        ...


class Estimate(Part):
    """A value with its 95 % interval; None where it cannot be computed."""

    value: Number | None
    lower: Number | None
    upper: Number | None

    @classmethod
    def of(cls, found: HasInterval, **more: Any) -> Self:
        """From a computed interval, with the further fields of a subclass."""
        return cls(value=found.value, lower=found.lower, upper=found.upper, **more)


class DelongEstimate(Estimate):
    """ROC-AUC with its closed-form interval for clustered data (Obuchowski 1997)."""

    standard_error: Number | None


class GradedEstimate(Estimate):
    """A figure of one slice; `insufficient` where too few images of the class it needs carry it."""

    status: Status


class CountedEstimate(Estimate):
    """ROC-AUC on some of the test images."""

    n: Count
    malignant: Count


class SourceEstimate(CountedEstimate):
    """ROC-AUC within one acquisition source."""

    source: str


class Difference(Estimate):
    """This model's figure minus the champion's on the same images."""

    share_of_resamples_better: Number
