"""Choosing a calibrator by cross-fitted log loss on groups the fit has not seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from components.calibrate.fitting import fit_calibrator
from components.common.artifacts.calibration import Candidate
from components.common.artifacts.policy import CALIBRATORS
from components.common.artifacts.scores import Scores
from components.common.runtime.errors import DataError
from components.common.statistics.folds import TooFewGroupsError, deal_folds, order_by_seed
from components.common.statistics.numeric import Floats
from components.common.statistics.reliability import brier, calibration_error, log_losses
from components.common.statistics.resampling import group_codes


def fold_of(scores: Scores, folds: int, seed: int) -> npt.NDArray[np.intp]:
    """(n,) fold of each image: no group crosses folds, malignant groups are dealt out evenly.

    Raises:
        DataError: fewer malignant or benign groups than folds.
    """
    try:
        return deal_folds(scores.group_id, scores.label, folds, order_by_seed(seed))
    except TooFewGroupsError as error:
        raise DataError(
            f"validation has {error.groups} {error.kind} groups, expected at least {folds} (parameter folds): "
            "use a larger validation split, or fewer folds"
        ) from error


def cross_fit(scores: Scores, offset: float, folds: int, seed: int) -> list[Candidate]:
    """Every calibrator's cross-fitted log loss, best first; equal ones in order of simplicity."""
    y = scores.label.astype(np.float64)
    codes, groups = group_codes(scores.group_id)
    fold = fold_of(scores, folds, seed)
    losses: dict[str, Floats] = {}
    found: dict[str, Candidate] = {}
    for name in CALIBRATORS:
        try:
            p = _held_out(name, scores.logit, y, fold, offset)
        except DataError as error:
            found[name] = Candidate(name, None, note=str(error))
            continue
        losses[name] = log_losses(y, p)
        found[name] = Candidate(name, float(losses[name].mean()), ece=calibration_error(y, p), brier=brier(y, p))
    best = min(losses, key=lambda name: losses[name].mean())  # the first of equals, and CALIBRATORS is by simplicity
    out = [_with_excess(found[name], losses[name] - losses[best], codes, groups) for name in losses]
    out.sort(key=lambda c: c.log_loss if c.log_loss is not None else np.inf)
    return out + [c for c in found.values() if c.log_loss is None]


def cross_fitted(name: str, scores: Scores, offset: float, folds: int, seed: int) -> Floats:
    """(n,) probabilities of calibrator `name`, each by a fit without the image's group; folds as in `cross_fit`.

    Raises:
        DataError: too few groups for the folds, or scores that do not rank.
    """
    y = scores.label.astype(np.float64)
    return _held_out(name, scores.logit, y, fold_of(scores, folds, seed), offset)


def pick(candidates: list[Candidate]) -> Candidate:
    """The lowest cross-fitted log loss; isotonic only where it wins by more than one standard error.

    Isotonic regression makes ties, which cost average precision, and overfits small validation sets.
    """
    best, *others = candidates
    if best.name != "isotonic" or not others or others[0].log_loss is None:
        return best
    second = others[0]
    return best if (second.excess or 0.0) > (second.excess_error or 0.0) else second


def reason(candidates: list[Candidate], chosen: str, asked: str) -> str:
    """One sentence a person reads: why this calibrator."""
    mine = next(c for c in candidates if c.name == chosen)
    if asked != "auto":
        return f"{chosen} was requested (cross-fitted log loss {_loss(mine)}; lowest: {_named(candidates[0])})"
    if mine is not candidates[0]:
        return (
            f"{_named(mine)} is within one standard error ({mine.excess_error:.4f}) of {_named(candidates[0])}, the "
            "lowest cross-fitted log loss, and makes no ties"
        )
    if len(candidates) == 1 or candidates[1].log_loss is None:
        return f"{_named(mine)}: the only calibrator that could be fitted"
    second = candidates[1]
    sure = "more" if (second.excess or 0.0) > 2 * (second.excess_error or 0.0) else "not more"
    return (
        f"{_named(mine)}: the lowest cross-fitted log loss; next is {_named(second)}, a difference of "
        f"{second.excess:.4f}, {sure} than twice its standard error {second.excess_error:.4f}"
    )


def _named(one: Candidate) -> str:
    return f"{one.name} ({_loss(one)})"


def _loss(one: Candidate) -> str:
    return "not fitted" if one.log_loss is None else f"{one.log_loss:.4f}"


def _held_out(name: str, logit: Floats, y: Floats, fold: npt.NDArray[np.intp], offset: float) -> Floats:
    p = np.empty_like(y)
    for k in np.unique(fold):
        inside = fold == k
        p[inside] = fit_calibrator(name, logit[~inside], y[~inside], offset).probability(logit[inside])
    return p


def _with_excess(one: Candidate, difference: Floats, codes: npt.NDArray[np.intp], groups: int) -> Candidate:
    total = np.bincount(codes, weights=difference - difference.mean(), minlength=groups)
    error = float(np.sqrt((total**2).sum()) / len(difference))
    return replace(one, excess=float(difference.mean()), excess_error=error)
