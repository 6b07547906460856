"""How a finished model does on one set of images and on another, independent one: figures, differences, case mix.

Every figure is computed on weighted rows: a resample of whole groups is a weight per group, and standardising to
another mix of diagnoses is a weight per diagnosis.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import beta

from components.common.statistics.intervals import Interval, percentile, proportion, rarer
from components.common.statistics.logistic import fit_logistic
from components.common.statistics.numeric import Floats, logit_of
from components.common.statistics.recalibration import refit
from components.common.statistics.resampling import Codes, row_weights

FIGURES = ("roc_auc", "sensitivity", "specificity", "calibration_intercept", "calibration_slope")
_SHARES = {"sensitivity": 1, "specificity": 0}  # shares of the images with this label
_CLIP = 1e-7


@dataclass(frozen=True)
class Sample:
    """Scored images of one set.

    Attributes:
        score: (n,) what ranks: the raw logit.
        probability: (n,) calibrated P(malignant).
        positive: (n,) predicted malignant.
        label: (n,) 0 or 1.
        codes: (n,) group of each image, 0..groups-1.
        groups: how many groups.
        weight: (n,) of each image; None for 1.
    """

    score: Floats
    probability: Floats
    positive: npt.NDArray[np.bool_]
    label: npt.NDArray[np.int8]
    codes: Codes
    groups: int
    weight: Floats | None = None

    @property
    def counted(self) -> npt.NDArray[np.bool_]:
        """(n,) images with any weight."""
        return np.ones(len(self.label), bool) if self.weight is None else self.weight > 0

    def groups_of(self, label: int) -> int:
        """Groups with a counted image of this label."""
        return len(np.unique(self.codes[self.counted & (self.label == label)]))


@dataclass(frozen=True)
class Drawn:
    """A figure on the data and on resamples of whole groups.

    Attributes:
        value: on the data; NaN where it cannot be computed.
        resampled: (B,) on the resamples.
        units: groups that carry it.
        share: whether it is a share, whose resamples say nothing where it is 0 or 1.
    """

    value: float
    resampled: Floats
    units: int
    share: bool

    def interval(self) -> Interval:
        """With its 95 % interval."""
        made = proportion if self.share else percentile
        return made(self.value, self.resampled, self.units)

    def minus(self, other: Drawn) -> Interval:
        """The difference to the same figure of an independent set: resamples are paired in opposite order.

        So they are independent even where both come from one seed.
        """
        resampled = self._spread() - other._spread()[::-1]
        return percentile(self.value - other.value, resampled, min(self.units, other.units))

    def _spread(self) -> Floats:
        """The resamples; of a share that is 0 or 1, quantiles of the Beta whose tails are Clopper-Pearson's.

        All of 40 found is found in every resample; without this its difference to another set would seem certain. The
        quantiles are in a fixed random order, so that two such figures are not paired by rank.
        """
        if not self.share or self.value not in (0.0, 1.0) or not self.units:
            return self.resampled
        place = np.random.default_rng(self.units).permutation(len(self.resampled))
        spread = beta.ppf((place + 0.5) / len(place), self.units, 1)
        return np.asarray(spread if self.value == 1.0 else 1 - spread, np.float64)


def draw(sample: Sample, resamples: int, seed: int) -> dict[str, Drawn]:
    """Each of `FIGURES` on the data and on `resamples` resamples of its groups."""
    y = sample.label.astype(np.float64)
    s = logit_of(np.clip(sample.probability, _CLIP, 1 - _CLIP))
    weight = np.ones(len(y)) if sample.weight is None else sample.weight
    both = bool((weight[y == 1] > 0).any() and (weight[y == 0] > 0).any())
    lines = _lines(s, y, weight) if both else (np.nan, np.array([np.nan, np.nan]))
    value = _figures(sample, s, y, weight[:, None], lines, fitted=True)
    drawn = row_weights(sample.codes, sample.groups, resamples, seed) if both else ()
    blocks = [_figures(sample, s, y, weight[:, None] * w, lines) for w in drawn]
    counted = sample.counted
    rare = rarer(sample.codes[counted], sample.label[counted])
    return {
        name: Drawn(
            value=float(value[name][0]),
            resampled=np.concatenate([block[name] for block in blocks]) if blocks else np.full(resamples, np.nan),
            units=sample.groups_of(_SHARES[name]) if name in _SHARES else rare,
            share=name in _SHARES,
        )
        for name in FIGURES
    }


def weighted_auc(score: Floats, label: npt.NDArray[np.int8], weight: Floats) -> Floats:
    """Area under the ROC curve of weighted rows, ties one half: (b,) for (n, b) weights."""
    order = np.argsort(score, kind="stable")
    starts = np.flatnonzero(np.diff(score[order], prepend=-np.inf))
    w, malignant = weight[order], label[order] == 1
    gain = np.add.reduceat(w * malignant[:, None], starts, axis=0)
    fall = np.add.reduceat(w * ~malignant[:, None], starts, axis=0)
    below = np.cumsum(fall, axis=0) - fall
    with np.errstate(divide="ignore", invalid="ignore"):
        area: Floats = (gain * (below + 0.5 * fall)).sum(axis=0) / (gain.sum(axis=0) * fall.sum(axis=0))
    return area


@dataclass(frozen=True)
class Mix:
    """Weights that give one set of images the mix of diagnoses of another.

    Attributes:
        weight: (n,) share there / share here of each image's diagnosis; 0 where the other set lacks it.
        represented: share of the other set whose diagnosis is here at all.
        effective: effective number of images, (sum of weights)^2 / sum of squared weights (Kish 1965).
    """

    weight: Floats
    represented: float
    effective: float


def standardise(here: npt.NDArray[np.str_], there: npt.NDArray[np.str_]) -> Mix:
    """Weights of the images `here` that give them the diagnoses of those `there`.

    >>> mix = standardise(np.array(["mel", "nv", "nv"]), np.array(["mel", "nv"]))
    >>> mix.weight.tolist(), mix.represented
    ([1.5, 0.75, 0.75], 1.0)
    """
    shares, wanted = _shares(here), _shares(there)
    weight = np.array([wanted.get(one, 0.0) / shares[one] for one in here.tolist()], np.float64)
    squares = float((weight**2).sum())
    return Mix(
        weight=weight,
        represented=sum(share for one, share in wanted.items() if one in shares),
        effective=float(weight.sum() ** 2 / squares) if squares else 0.0,
    )


def _shares(values: npt.NDArray[np.str_]) -> Mapping[str, float]:
    names, counts = np.unique(values, return_counts=True)
    return dict(zip(names.tolist(), (counts / len(values)).tolist(), strict=True))


def _lines(s: Floats, y: Floats, weight: Floats) -> tuple[float, Floats]:
    """Calibration in the large, and intercept and slope, of the weighted data."""
    ones = np.ones_like(s)
    intercept = fit_logistic(ones[:, None], y, offset=s, weight=weight)
    return float(intercept[0]), fit_logistic(np.column_stack([ones, s]), y, weight=weight)


def _figures(
    sample: Sample, s: Floats, y: Floats, w: Floats, lines: tuple[float, Floats], *, fitted: bool = False
) -> dict[str, Floats]:
    """Each figure, (b,), for (n, b) weights; `lines` is what refits start from, and with `fitted` what they find."""
    a, line = lines
    right = np.where(y == 1, sample.positive, ~sample.positive)[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = {
            name: (w * (right & (y == label)[:, None])).sum(axis=0) / (w * (y == label)[:, None]).sum(axis=0)
            for name, label in _SHARES.items()
        }
        intercept, slope = (np.array([a]), line[1:2]) if fitted else refit(s, y, w, a, line)
    return {
        "roc_auc": weighted_auc(sample.score, sample.label, w),
        **shares,
        "calibration_intercept": intercept,
        "calibration_slope": slope,
    }
