"""`calibration.json` and `recalibration.json`: how a decision policy was chosen, and how it was adjusted for a site.

Calibrate writes the first beside the policy; the second goes into the adjusted bundle. The card tells of both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

from components.common.artifacts.estimate import Estimate
from components.common.artifacts.json_file import Count, Document, FileDocument, Number
from components.common.statistics.recalibration import Step, Update


@dataclass(frozen=True)
class Candidate:
    """One calibrator under cross-fitting.

    Attributes:
        name: the calibrator.
        log_loss: mean over images, each predicted by a fit without its group; None if it could not be fitted.
        excess: log loss above the best candidate's.
        excess_error: standard error of that difference over groups.
        ece: equal-mass calibration error of the cross-fitted probabilities.
        brier: their Brier score.
        note: why it could not be fitted.
    """

    name: str
    log_loss: float | None
    excess: float | None = None
    excess_error: float | None = None
    ece: float | None = None
    brier: float | None = None
    note: str = ""


class Quality(Document):
    """How good probabilities are; None where the calibrator could not be cross-fitted.

    Attributes:
        log_loss: mean over images.
        ece: equal-mass calibration error.
        brier: Brier score.
    """

    log_loss: Number | None
    ece: Number | None
    brier: Number | None


class CrossFitted(Quality):
    """The same on lesions that the fit has not seen.

    Attributes:
        ece_null_95: calibration error that chance alone exceeds one time in twenty.
    """

    ece_null_95: Number | None


class Calibration(FileDocument):
    """Content of `calibration.json`.

    Attributes:
        policy_id: the policy that came of it.
        config: parameters of the step.
        logit_offset: ln(w1 / w0) of the class weights, which the calibrator starts from.
        chosen: name of the calibrator.
        why: the choice in a sentence.
        candidates: every calibrator, the best first.
        ece_null_95: calibration error that chance alone exceeds one time in twenty, of the calibrated probabilities.
        raw: before calibration.
        calibrated_in_sample: on the images of the fit.
        calibrated_cross_fitted: on lesions that the fit has not seen.
    """

    FILE: ClassVar[str] = "calibration.json"
    SCHEMA: ClassVar[str] = "lesionflow.calibration/1"
    WAY_OUT: ClassVar[str] = "calibrate again"

    policy_id: str
    config: dict[str, Any]
    logit_offset: Number
    chosen: str
    why: str
    candidates: list[Candidate]
    ece_null_95: Number
    raw: Quality
    calibrated_in_sample: Quality
    calibrated_cross_fitted: CrossFitted


class Counts(Document):
    """The labelled images of a site."""

    n: Count
    malignant: Count
    groups: Count
    malignant_groups: Count
    benign_groups: Count


class Threshold(Document):
    """On the raw logit, of the parent and of the new policy; `kept` where it was not to be chosen again."""

    before: Number
    after: Number
    kept: bool


class SiteFigures(Document):
    """A rule's figures at a site, with 95 % intervals that resample lesion groups.

    Attributes:
        calibration_in_the_large: intercept of the calibration line at slope 1.
        slope: calibration slope.
        log_loss: mean over images.
        brier: Brier score.
        sensitivity: per image.
        specificity: per image.
        calibration_error: expected calibration error.
    """

    calibration_in_the_large: Estimate
    slope: Estimate
    log_loss: Estimate
    brier: Estimate
    sensitivity: Estimate
    specificity: Estimate
    calibration_error: Number


class Recalibration(FileDocument):
    """Content of `recalibration.json`.

    Attributes:
        site: the site's name.
        parent_policy_id: the policy that was adjusted.
        policy_id: the policy that came of it.
        scores_sha256: of the file with the site's scores.
        left_out_not_dermoscopy: labelled images that the bundle refused as not dermoscopic.
        config: parameters of the rule for the threshold.
        largest_allowed: the largest update that the groups carry.
        why: the choice in a sentence.
        update: of the probabilities.
        threshold: before and after.
        counts: images and groups there.
        folds: of lesion groups, for `cross_fitted`.
        roc_auc: of the scores there.
        before: the parent policy.
        cross_fitted: the new one, on lesions that it was not chosen on.
        parent: digest of the parent bundle; None before a bundle is made.
        graph_sha256: of the parent's graph, found again in the adjusted bundle, by entry point; None as above.
    """

    FILE: ClassVar[str] = "recalibration.json"
    SCHEMA: ClassVar[str] = "lesionflow.recalibration/1"
    WAY_OUT: ClassVar[str] = "recalibrate the bundle again"

    site: str
    parent_policy_id: str
    policy_id: str
    scores_sha256: str
    left_out_not_dermoscopy: Count = 0
    config: dict[str, Any]
    largest_allowed: Step
    why: str
    update: Update
    threshold: Threshold
    counts: Counts
    folds: Count
    roc_auc: Number
    before: SiteFigures
    cross_fitted: SiteFigures
    parent: str | None = None
    graph_sha256: dict[str, str] | None = None

    def of_bundle(self, parent: str, graph_sha256: dict[str, str]) -> Self:
        """The record of an adjusted bundle, with the digest of its parent and its parent's graph."""
        return self.model_copy(update={"parent": parent, "graph_sha256": graph_sha256})
