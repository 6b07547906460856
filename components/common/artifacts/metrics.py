"""`metrics.json`: every figure of an evaluation, by name and type.

Evaluate fills it; the report, the card, the summaries, the gate and the registry read it. A figure that could not
be computed is an `Estimate` without a value; a part the evaluation had no data for is None, or left out where the
file never had it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

from components.common.artifacts.estimate import (
    CountedEstimate,
    DelongEstimate,
    Difference,
    Estimate,
    GradedEstimate,
    Part,
    SourceEstimate,
    Status,
)
from components.common.artifacts.json_file import Count, Number, read_record, write_json

SCHEMA = "lesionflow.metrics/1"
FILE = "metrics.json"

FigureName = Literal[
    "roc_auc",
    "average_precision",
    "average_precision_normalised",
    "partial_auc",
    "sensitivity_at_specificity_0.80",
    "sensitivity_at_specificity_0.90",
    "sensitivity_at_specificity_0.95",
    "specificity_at_sensitivity_0.90",
    "specificity_at_sensitivity_0.95",
    "sensitivity",
    "specificity",
    "predicted_positive_rate",
    "ppv",
    "npv",
    "number_needed_to_biopsy",
    "accuracy",
]
FIGURES: tuple[FigureName, ...] = get_args(FigureName)
# what a reader looks for first, in this order: in summaries, the registry, Kubeflow's UI and comparisons
HEADLINE: tuple[FigureName, ...] = (
    "roc_auc",
    "average_precision",
    "sensitivity",
    "specificity",
    "predicted_positive_rate",
    "ppv",
    "npv",
)


class Method(Part):
    """How intervals were made."""

    resamples: Count
    seed: Count
    level: Number
    interval: str


class OperatingPoint(BaseModel):
    """How the threshold was chosen, as the decision policy records it; further entries are kept."""

    model_config = ConfigDict(extra="allow", frozen=True)

    policy: str = ""
    guarantee: str = ""
    target_sensitivity: Number | None = None


class Threshold(Part):
    """The decision rule that was measured."""

    probability: Number
    logit: Number
    operating_point: OperatingPoint
    calibrator: str
    logit_offset: Number


class Size(Part):
    """How much stands behind the figures; prevalence is the malignant share of the images."""

    n: Count
    malignant: Count
    groups: Count
    malignant_groups: Count
    lesions: Count
    prevalence: Number


class Confusion(Part):
    """Counts at the threshold."""

    tp: Count
    fp: Count
    fn: Count
    tn: Count


class Rates(Part):
    """What one threshold does.

    Attributes:
        sensitivity: tp / (tp + fn).
        specificity: tn / (tn + fp).
        predicted_positive_rate: (tp + fp) / n.
        ppv: tp / (tp + fp).
        npv: tn / (tn + fn).
        number_needed_to_biopsy: (tp + fp) / tp, referrals per malignant lesion found.
        accuracy: (tp + tn) / n.
    """

    sensitivity: Estimate
    specificity: Estimate
    predicted_positive_rate: Estimate
    ppv: Estimate
    npv: Estimate
    number_needed_to_biopsy: Estimate
    accuracy: Estimate


class RankingFigures(Part):
    """What the order of the scores alone says; `average_precision_normalised` is 0 by chance and 1 at best."""

    roc_auc: Estimate
    average_precision: Estimate
    average_precision_normalised: Estimate | None = None
    partial_auc: Estimate
    sensitivity_at_specificity_80: Estimate = Field(alias="sensitivity_at_specificity_0.80")
    sensitivity_at_specificity_90: Estimate = Field(alias="sensitivity_at_specificity_0.90")
    sensitivity_at_specificity_95: Estimate = Field(alias="sensitivity_at_specificity_0.95")
    specificity_at_sensitivity_90: Estimate = Field(alias="specificity_at_sensitivity_0.90")
    specificity_at_sensitivity_95: Estimate = Field(alias="specificity_at_sensitivity_0.95")


DECISION = tuple(name for name in FIGURES if name in Rates.model_fields)
RANKING = tuple(name for name in FIGURES if name not in DECISION)


class Figures(Size, Rates, RankingFigures):
    """Ranking and rates of one set of rows, images or lesions."""

    confusion: Confusion

    def figure(self, name: FigureName) -> Estimate | None:
        """A figure by its name in `metrics.json`; None where the file does not have it."""
        found: Estimate | None = getattr(self, name.replace("_0.", "_"))
        return found


class LesionLevel(Figures):
    """The same figures with one row per lesion."""

    aggregation: str


class ValidationLevel(Size, Rates):
    """The same operating point on the validation images it was chosen on."""

    roc_auc: Estimate
    average_precision: Estimate
    confusion: Confusion


class ReliabilityBin(Part):
    """One point of the reliability diagram."""

    predicted: Number
    count: Count
    observed: Estimate


class Calibration(Part):
    """Whether predicted probabilities match observed rates; see `statistics.reliability` for the definitions."""

    slope: Estimate
    intercept: Estimate
    resamples: Count
    ece: Number
    ece_debiased: Number
    ece_null_95: Number
    ece_null_mean: Number
    log_loss: Number
    brier: Number
    brier_miscalibration: Number
    brier_discrimination: Number
    brier_uncertainty: Number
    bins: list[ReliabilityBin]


class SweepRow(Part):
    """What another threshold would do."""

    threshold: Number
    sensitivity: Estimate
    specificity: Estimate
    predicted_positive_rate: Estimate
    ppv: Estimate
    npv: Estimate


class NetBenefit(Estimate):
    """Net benefit at one threshold (Vickers 2006), beside that of referring everybody."""

    threshold: Number
    treat_all: Number


class PrevalenceRow(Part):
    """The same sensitivity and specificity in a population with another prevalence."""

    prevalence: Number
    threshold_probability_shifted: Number
    ppv: Estimate
    npv: Estimate
    referrals_per_cancer: Estimate
    referred_per_1000: Estimate
    missed_per_1000: Estimate


class SliceRow(Part):
    """The operating point on one value of one column, such as sex female."""

    slice: str
    value: str
    n: Count
    malignant: Count
    groups: Count
    status: Status
    sensitivity: GradedEstimate
    specificity: GradedEstimate
    predicted_positive_rate: GradedEstimate
    roc_auc: GradedEstimate


class Shortcuts(Part):
    """How far the label can be guessed without the image, and the model where such hints are of no use."""

    alone: dict[str, CountedEstimate]
    model: CountedEstimate
    within_source: list[SourceEstimate] | None = None
    histology_only: CountedEstimate | None = None


class Abstain(Part):
    """The band of probabilities that goes to a person, and the rates of the rest."""

    low: Number
    high: Number
    referred: Count
    share: Number
    sensitivity_of_the_rest: Number | None
    specificity_of_the_rest: Number | None


class Refused(Part):
    """Test images refused as not dermoscopic; every decision figure counts them as referred."""

    images: Count
    malignant: Count
    share: Estimate
    groups: Count
    sources: dict[str, tuple[Count, Count]] = Field(
        default_factory=dict
    )  # refused images and all images, by acquisition source


class PredictionSet(Part):
    """Conformal sets at one accepted error."""

    alpha: Number
    low: Number
    high: Number
    n: Count
    malignant: Count
    malignant_coverage: Estimate
    benign_coverage: Estimate
    not_sure: Number
    neither: Number
    one_answer: Number


class ChampionComparison(Part):
    """Another model on the same images."""

    auc_champion: Estimate
    auc_difference: Difference
    ap_champion: Estimate
    ap_difference: Difference


class PairedGain(Part):
    """A figure before and after, and the difference on the same images; each resample holds the same lesions."""

    before: Number
    after: Number
    gain: Estimate


class EnsembleGain(Part):
    """What the mean of several members gains over them: `before` is the mean of their own figures.

    That is what to expect of one of them taken at random; the best of them is known only by looking at these images.
    """

    members: Count
    average_precision: PairedGain
    roc_auc: PairedGain


class Metrics(Figures):
    """The content of `metrics.json`.

    Attributes:
        policy_id: the decision policy that was measured.
        test_probs_sha256: of the test scores every figure was computed from.
        val_probs_sha256: of the validation scores the policy was chosen on.
    """

    policy_id: str
    method: Method
    threshold: Threshold
    delong: DelongEstimate
    calibration: Calibration
    lesion_level: LesionLevel
    sweep: list[SweepRow]
    decision_curve: list[NetBenefit]
    prevalence_table: list[PrevalenceRow]
    slices: list[SliceRow]
    shortcuts: Shortcuts
    abstain: Abstain | None
    refused: Refused | None = None
    prediction_sets: list[PredictionSet]
    validation: ValidationLevel | None
    champion: ChampionComparison | None
    ensemble: EnsembleGain | None = None
    test_probs_sha256: str
    val_probs_sha256: str

    def save(self, path: Path) -> None:
        """Writes `metrics.json`."""
        write_json(path, {"schema": SCHEMA, **plain(self)})


def plain(part: BaseModel) -> dict[str, Any]:
    """A part of the metrics as JSON values, by the names in `metrics.json`."""
    return part.model_dump(by_alias=True, exclude_unset=True)


def load_metrics(path: Path) -> Metrics:
    """Reads `metrics.json`.

    Raises:
        ArtifactError: missing, not JSON, or a field is missing, unknown or of another type; names the first.
    """
    return read_record(path, SCHEMA, Metrics, "evaluate the bundle again")
