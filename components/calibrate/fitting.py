"""Fitting one calibrator to labels and raw logits, known class-weight offset undone first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.isotonic import IsotonicRegression

from components.common.artifacts.policy import Calibrator
from components.common.runtime.errors import DataError
from components.common.statistics.logistic import fit_logistic
from components.common.statistics.numeric import Floats


def fit_calibrator(name: str, logit: Floats, label: Floats, offset: float) -> Calibrator:
    """Fits calibrator `name`.

    Args:
        name: one of `components.common.artifacts.policy.CALIBRATORS`.
        logit: (n,) raw logits.
        label: (n,) 0 or 1.
        offset: ln(w1 / w0) of the class weights used in training, 0 without.

    Raises:
        DataError: the label does not rise with the scores, so that no monotone calibrator fits.
    """
    if name == "none":
        return Calibrator("none")
    u = np.asarray(logit, np.float64) - offset
    return Calibrator(name, float(offset), _FITS[name](u, np.asarray(label, np.float64)))


def _offset(u: Floats, y: Floats) -> dict[str, Any]:
    return {}


def _temperature(u: Floats, y: Floats) -> dict[str, Any]:
    return {"t": 1.0 / _rising("temperature", float(fit_logistic(u[:, None], y)[0]))}


def _platt(u: Floats, y: Floats) -> dict[str, Any]:
    positives = y.sum()
    negatives = len(y) - positives
    # Platt's own targets keep the fit finite where the classes are separable
    target = np.where(y == 1, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    a, b = fit_logistic(np.column_stack([u, np.ones_like(u)]), target)
    return {"a": _rising("platt", float(a)), "b": float(b)}


def _beta(u: Floats, y: Floats) -> dict[str, Any]:
    columns = {"a": -np.logaddexp(0.0, -u), "b": np.logaddexp(0.0, u), "c": np.ones_like(u)}
    fitted = _by_name(columns, y)
    negative = [name for name in ("a", "b") if fitted[name] < 0]
    if negative:  # Kull 2017: drop the offending term, refit the rest
        worst = min(negative, key=lambda name: fitted[name])
        fitted = {worst: 0.0, **_by_name({k: v for k, v in columns.items() if k != worst}, y)}
    _rising("beta", min(fitted["a"], fitted["b"]) if fitted["a"] + fitted["b"] <= 0 else 1.0)
    return {name: max(fitted[name], 0.0) if name != "c" else fitted[name] for name in ("a", "b", "c")}


def _by_name(columns: dict[str, Floats], y: Floats) -> dict[str, float]:
    values = fit_logistic(np.column_stack(list(columns.values())), y)
    return {name: float(value) for name, value in zip(columns, values, strict=True)}


def _isotonic(u: Floats, y: Floats) -> dict[str, Any]:
    model = IsotonicRegression(out_of_bounds="clip").fit(u, y)
    if np.ptp(model.y_thresholds_) == 0:
        raise DataError(
            "calibration isotonic: the fit has one level only, every image would get the same probability: the model "
            "does not rank malignant images above benign ones on validation; are the labels swapped?"
        )
    # one pseudo-image on each side: a bin of 40 benign images does not make malignancy impossible
    low, high = 1 / (len(y) + 2), (len(y) + 1) / (len(y) + 2)
    knots = np.clip(model.y_thresholds_, low, high)
    return {"x": [float(v) for v in model.X_thresholds_], "y": [float(v) for v in knots]}


def _rising(name: str, slope: float) -> float:
    if slope <= 1e-6:
        raise DataError(
            f"calibration {name}: the fitted slope is {slope:.3g}, expected above 0: the model does not rank "
            "malignant images above benign ones on validation; are the labels swapped?"
        )
    return slope


_FITS: dict[str, Callable[[Floats, Floats], dict[str, Any]]] = {
    "offset": _offset,
    "temperature": _temperature,
    "platt": _platt,
    "beta": _beta,
    "isotonic": _isotonic,
}
