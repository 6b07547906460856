"""Adjusting for another site, on real scores with planted shifts: 200 labelled lesions, judged on the site's others.

`python tests/benchmarks/bench_recalibrate.py TEST_PROBS.npz DECISION_POLICY.json`: scores of an evaluation and the
policy that belongs to them. The site's logits are intercept + slope * logit; 200 lesions, 30 of them malignant, are
drawn 100 times, the policy is adjusted on them, and its figures are those of the lesions that were not drawn.
Calibration in the large is an offset of the log-odds (docs/explanation/methods.md), with observed less predicted
prevalence beside it. "Attainable" is what is left when the slope of the whole site is known and only the intercept is
fitted.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from components.calibrate.config import CalibrateConfig
from components.calibrate.operating_point import choose
from components.common.artifacts.policy import DecisionPolicy, load_policy
from components.common.artifacts.scores import Scores, load_scores
from components.common.statistics.logistic import fit_logistic
from components.common.statistics.numeric import logit_of, sigmoid
from components.common.statistics.recalibration import closed_test
from components.common.statistics.reliability import calibration_error
from components.common.statistics.resampling import group_codes

SHIFTS = ((3.0, 1.0), (2.0, 0.5), (2.5, 0.4), (5.0, 1.8))


@dataclass(frozen=True)
class Judged:
    """Figures on the lesions that were not drawn, (resamples,) each."""

    slope: np.ndarray
    in_the_large: np.ndarray
    in_the_large_of_lesions: np.ndarray
    difference: np.ndarray
    attainable: np.ndarray
    sensitivity: np.ndarray
    steps: list[str]


def line(p: np.ndarray, y: np.ndarray, weight: np.ndarray | None = None) -> tuple[float, float]:
    """Calibration slope and calibration in the large."""
    s, one = logit_of(p), np.ones((len(p), 1))
    slope = fit_logistic(np.column_stack([one, s]), y, weight=weight)[1]
    return float(slope), float(fit_logistic(one, y, offset=s, weight=weight)[0])


def judge(site: Scores, parent: DecisionPolicy, resamples: int, malignant: int = 30, lesions: int = 200) -> Judged:
    """Draws lesions, adjusts on them, and judges on the others."""
    names = {k: np.unique(site.group_id[site.label == k]) for k in (0, 1)}
    names[0] = np.setdiff1d(names[0], names[1])
    slope = line(parent.probability(site.logit), site.label.astype(float), lesion_weight(site))[0]
    rng = np.random.default_rng(0)
    rows, steps = [], []
    for _ in range(resamples):
        drawn = [rng.choice(names[1], malignant, False), rng.choice(names[0], lesions - malignant, False)]
        inside = np.isin(site.group_id, np.concatenate(drawn))
        seen, others = site.take(np.flatnonzero(inside)), site.take(np.flatnonzero(~inside))
        codes, _ = group_codes(seen.group_id)
        update = closed_test(
            logit_of(parent.probability(seen.logit)), seen.label.astype(float), codes, "intercept_and_slope"
        )
        calibrator = parent.calibrator.recalibrated(update.intercept, update.slope)
        threshold = choose(CalibrateConfig(), seen, calibrator).threshold_logit
        p, y = calibrator.probability(others.logit), others.label.astype(float)
        each = lesion_weight(others)
        difference = float(np.average(y - p, weights=each))
        found = float((others.logit[others.label == 1] >= threshold).mean())
        best = slope * logit_of(parent.probability(others.logit)) + intercept_at(slope, seen, parent)
        attained = line(sigmoid(best), y, each)[1]
        rows.append((*line(p, y), line(p, y, each)[1], difference, attained, found))
        steps.append(update.step)
    return Judged(*np.array(rows).T, steps)


def lesion_weight(scores: Scores) -> np.ndarray:
    """(n,) one for each lesion, shared by its images."""
    codes, _ = group_codes(scores.group_id)
    return 1 / np.bincount(codes)[codes]


def intercept_at(slope: float, seen: Scores, parent: DecisionPolicy) -> float:
    """The intercept of the drawn lesions when the slope is known."""
    offset = slope * logit_of(parent.probability(seen.logit))
    one, weight = np.ones((len(seen), 1)), lesion_weight(seen)
    return float(fit_logistic(one, seen.label.astype(float), offset=offset, weight=weight)[0])


def shifted(scores: Scores, intercept: float, slope: float) -> Scores:
    """The same images at a site whose logits are moved and stretched."""
    return replace(scores, logit=(intercept + slope * scores.logit).astype(np.float32).astype(np.float64))


def main() -> None:
    """Prints one line per planted shift."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("test_probs", type=Path)
    parser.add_argument("policy", type=Path)
    given = parser.parse_args()
    scores, parent = load_scores(given.test_probs), load_policy(given.policy)
    for intercept, slope in SHIFTS:
        site = shifted(scores, intercept, slope)
        before = calibration_error(site.label.astype(float), parent.probability(site.logit))
        found = judge(site, parent, 100)
        taken = {step: found.steps.count(step) for step in sorted(set(found.steps))}
        image, lesion = found.in_the_large, found.in_the_large_of_lesions
        sys.stdout.write(
            f"logit {intercept:+.1f} {slope:.1f}x: calibration error {before:.3f} before; after, on other lesions, "
            f"median of 100: slope {np.median(found.slope):.2f}, in the large {np.median(image):+.3f} per image, "
            f"{np.median(lesion):+.3f} per lesion (absolute {np.median(np.abs(image)):.3f}, "
            f"{np.median(np.abs(lesion)):.3f}; attainable {np.median(np.abs(found.attainable)):.3f}), observed less "
            f"predicted prevalence {np.median(found.difference):+.4f} per lesion (absolute "
            f"{np.median(np.abs(found.difference)):.4f}); sensitivity >= 0.90 in "
            f"{int((found.sensitivity >= 0.9).sum())} of 100; {taken}\n"
        )


if __name__ == "__main__":
    main()
