"""Calibrate: from a trained model's validation scores to one recorded decision policy."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from components.calibrate.abstain import abstain_band
from components.calibrate.config import CalibrateConfig
from components.calibrate.fitting import fit_calibrator
from components.calibrate.operating_point import OperatingPoint, choose
from components.calibrate.plots import operating_point_svg, reliability_svg
from components.calibrate.ranking_check import check_ranking
from components.calibrate.selection import cross_fit, cross_fitted, pick, reason
from components.common.artifacts.calibration import Calibration, Candidate, CrossFitted, Quality
from components.common.artifacts.folder import new_artifact
from components.common.artifacts.json_file import write_atomic
from components.common.artifacts.model import NETWORK, VAL_SCORES, open_model
from components.common.artifacts.policy import ASKED, FILE, Calibrator, DecisionPolicy
from components.common.artifacts.scores import Scores
from components.common.statistics.numeric import Floats, sigmoid
from components.common.statistics.reliability import brier, calibration_error, calibration_error_null, log_loss
from components.common.statistics.resampling import group_codes

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CalibrateResult:
    """The outcome of calibration."""

    path: Path
    policy: DecisionPolicy
    why: str
    point: OperatingPoint

    def metrics(self) -> dict[str, float]:
        """What KFP shows for the step."""
        return {
            "threshold_probability": float(self.policy.threshold_probability),
            "val_sensitivity": float(self.point.sensitivity),
            "val_sensitivity_lower": float(self.point.sensitivity_lower),
            "val_specificity": float(self.point.specificity),
        }


def run(config: CalibrateConfig, model: Path, out: Path) -> CalibrateResult:
    """Fits the calibrator, chooses the threshold and writes the policy artifact.

    Raises:
        ArtifactError: the model artifact is damaged or incomplete.
        DataError: one class only, too few malignant groups, or scores that do not rank.
    """
    trained = open_model(model)
    scores = trained.val_scores()
    check_ranking(scores)
    offset = trained.logit_offset()
    candidates = cross_fit(scores, offset, config.folds, config.seed)
    name = pick(candidates).name if config.calibration == "auto" else config.calibration
    why = reason(candidates, name, config.calibration)
    calibrator = fit_calibrator(name, scores.logit, scores.label.astype(np.float64), offset)
    point = choose(config, scores, calibrator)
    policy = policy_of(config, scores, calibrator, point, trained.sha256(NETWORK), trained.sha256(VAL_SCORES))
    log.info("%s", why)
    log.info(
        "threshold %.4f by %s: validation sensitivity %.3f, specificity %.3f",
        policy.threshold_probability,
        config.operating_point,
        point.sensitivity,
        point.specificity,
    )
    with new_artifact(
        out, "policy", {"model": trained.artifact.digest, "val_probs": policy.val_probs_sha256}
    ) as folder:
        policy.save(folder / FILE)
        _record(config, scores, offset, candidates, why, policy).save(folder)
        write_atomic(folder / "reliability.svg", reliability_svg(scores, policy))
        write_atomic(folder / "operating_point.svg", operating_point_svg(scores, policy))
    return CalibrateResult(out, policy, why, point)


def policy_of(
    config: CalibrateConfig,
    scores: Scores,
    calibrator: Calibrator,
    point: OperatingPoint,
    model_sha256: str,
    scores_sha256: str,
) -> DecisionPolicy:
    """The decision policy of a calibrator and a threshold, with the counts of the scores they were chosen on.

    Raises:
        DataError: an abstain band is asked for and a class has too few groups for it.
    """
    probability = calibrator.probability(scores.logit)
    threshold = float(calibrator.probability(np.array([point.threshold_logit]))[0])
    band = abstain_band(scores, probability, threshold, config.abstain_alpha) if config.abstain_alpha else None
    measured = {key: value for key, value in asdict(point).items() if key != "threshold_logit"}
    asked = {name: getattr(config, name) for name in ASKED[config.operating_point]}
    malignant = scores.label == 1
    return DecisionPolicy(
        calibrator=calibrator,
        threshold_logit=point.threshold_logit,
        threshold_probability=threshold,
        operating_point={"policy": config.operating_point, **asked, **measured},
        counts={
            "n": len(scores),
            "malignant": int(malignant.sum()),
            "groups": group_codes(scores.group_id)[1],
            "malignant_groups": group_codes(scores.group_id[malignant])[1],
        },
        prevalence=float(malignant.mean()),
        model_sha256=model_sha256,
        val_probs_sha256=scores_sha256,
        abstain=band,
    )


def _record(
    config: CalibrateConfig,
    scores: Scores,
    offset: float,
    candidates: list[Candidate],
    why: str,
    policy: DecisionPolicy,
) -> Calibration:
    y = scores.label.astype(np.float64)
    calibrated = policy.probability(scores.logit)
    null = calibration_error_null(calibrated, seed=config.seed)
    chosen = next(c for c in candidates if c.name == policy.calibrator.name)
    return Calibration(
        policy_id=policy.policy_id,
        config=config.model_dump(mode="json"),
        logit_offset=offset,
        chosen=policy.calibrator.name,
        why=why,
        candidates=candidates,
        ece_null_95=float(np.quantile(null, 0.95)),
        raw=_quality(y, sigmoid(scores.logit)),
        calibrated_in_sample=_quality(y, calibrated),
        calibrated_cross_fitted=_cross_fitted(config, scores, offset, chosen),
    )


def _cross_fitted(config: CalibrateConfig, scores: Scores, offset: float, chosen: Candidate) -> CrossFitted:
    """How good the chosen calibrator is on lesions its fit has not seen, and the calibration error chance allows."""
    chance = None
    if chosen.log_loss is not None:
        p = cross_fitted(chosen.name, scores, offset, config.folds, config.seed)
        chance = float(np.quantile(calibration_error_null(p, seed=config.seed), 0.95))
    return CrossFitted(log_loss=chosen.log_loss, ece=chosen.ece, brier=chosen.brier, ece_null_95=chance)


def _quality(y: Floats, p: Floats) -> Quality:
    return Quality(log_loss=log_loss(y, p), ece=calibration_error(y, p), brier=brier(y, p))
