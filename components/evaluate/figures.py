"""The plots of the report, each as an SVG element, drawn from computed numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from components.common.artifacts.metrics import Metrics
from components.common.artifacts.policy import DecisionPolicy
from components.common.artifacts.presentation import named
from components.common.artifacts.scores import Scores
from components.common.runtime.svg import BAND, BENIGN, INK, MALIGNANT, MODEL, MUTED, new_axes, to_svg
from components.common.statistics.numeric import Floats
from components.evaluate.curves import Curve

_THRESHOLD_TICKS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1)


def roc_svg(curve: Curve, metrics: Metrics) -> str:
    """ROC curve with band and the operating point."""
    figure, axes = new_axes()
    axes.fill_between(curve.grid, curve.lower, curve.upper, color=BAND, alpha=0.45, linewidth=0, step="post")
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle="--")
    axes.step(curve.x, curve.y, where="post", color=MODEL)
    if metrics.specificity.value is not None and metrics.sensitivity.value is not None:
        point = 1 - metrics.specificity.value, metrics.sensitivity.value
        axes.plot(*point, "o", color=MALIGNANT, markersize=7)
        axes.annotate("operating point", point, xytext=(8, -14), textcoords="offset points", fontsize=9)
    axes.set(xlabel="false positive rate (1 - specificity)", ylabel="sensitivity", xlim=(-0.01, 1), ylim=(0, 1.01))
    axes.set_title(f"ROC curve, area {_number(metrics.roc_auc.value):.3f}")
    return to_svg(figure, "ROC curve with 95 % band")


def pr_svg(curve: Curve, metrics: Metrics) -> str:
    """Precision-recall curve with band, the prevalence and the operating point."""
    figure, axes = new_axes()
    axes.fill_between(curve.grid, curve.lower, curve.upper, color=BAND, alpha=0.45, linewidth=0)
    axes.axhline(metrics.prevalence, color=MUTED, linewidth=1, linestyle="--")
    axes.text(0.99, metrics.prevalence - 0.015, "chance: the prevalence", ha="right", va="top", fontsize=9, color=MUTED)
    axes.plot(curve.x, curve.y, color=MODEL)
    if metrics.ppv.value is not None and metrics.sensitivity.value is not None:
        axes.plot(metrics.sensitivity.value, metrics.ppv.value, "o", color=MALIGNANT, markersize=7)
    axes.set(xlabel="sensitivity (recall)", ylabel="PPV (precision)", xlim=(0, 1.01), ylim=(0, 1.02))
    axes.set_title(f"Precision and recall, average precision {_number(metrics.average_precision.value):.3f}")
    return to_svg(figure, "Precision-recall curve with 95 % band")


def histogram_svg(scores: Scores, policy: DecisionPolicy) -> str:
    """Share of each class over the calibrated probability."""
    figure, axes = new_axes()
    edges = np.linspace(0, 1, 41)
    for k, colour, name in ((0, BENIGN, "benign"), (1, MALIGNANT, "malignant")):
        count, _ = np.histogram(scores.probability[scores.label == k], edges)
        axes.stairs(100 * count / max(count.sum(), 1), edges, color=colour, fill=True, alpha=0.45, label=name)
    axes.axvline(policy.threshold_probability, color=INK, linewidth=1.2)
    place = axes.get_xaxis_transform()
    axes.text(policy.threshold_probability + 0.012, 0.97, "threshold", fontsize=9, va="top", transform=place)
    axes.set(xlabel="calibrated probability of malignancy", ylabel="% of the images of each class", xlim=(0, 1))
    axes.set_title("Probabilities by class")
    axes.legend(loc="upper right")
    return to_svg(figure, "Histogram of probabilities by class")


def reliability_svg(metrics: Metrics, limit: float) -> str:
    """Observed share against predicted probability with the bins' intervals; `limit` < 1 is a close-up."""
    bins = [b for b in metrics.calibration.bins if b.predicted <= limit]
    figure, axes = new_axes()
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle="--")
    top = limit
    if bins:
        x, y = [b.predicted for b in bins], [_number(b.observed.value) for b in bins]
        low = [v if b.observed.lower is None else b.observed.lower for b, v in zip(bins, y, strict=True)]
        high = [v if b.observed.upper is None else b.observed.upper for b, v in zip(bins, y, strict=True)]
        axes.fill_between(x, low, high, color=BAND, alpha=0.45, linewidth=0)
        axes.plot(x, y, color=MODEL, marker="o", markersize=4)
        top = max(limit, 1.1 * max(high)) if limit < 1 else 1.0
    axes.set(xlabel="predicted probability", ylabel="malignant share observed", xlim=(0, limit), ylim=(0, top))
    axes.set_title("Reliability" if limit >= 1 else f"Reliability below {limit:g}, close up")
    return to_svg(figure, "Reliability diagram with 95 % band")


def sweep_svg(metrics: Metrics) -> str:
    """Sensitivity, specificity and predicted positive rate over the threshold, with the chosen point on each.

    On a logarithmic scale: thresholds that find nine malignant lesions in ten lie where a linear one has no room.
    """
    rows = metrics.sweep
    x = [row.threshold for row in rows]
    chosen = metrics.threshold.probability
    figure, axes = new_axes()
    axes.set_xscale("log")
    axes.axvline(chosen, color=INK, linewidth=1.2)
    for name, colour, found, here in (
        ("sensitivity", MALIGNANT, [row.sensitivity for row in rows], metrics.sensitivity),
        ("specificity", BENIGN, [row.specificity for row in rows], metrics.specificity),
        (
            "predicted_positive_rate",
            MUTED,
            [row.predicted_positive_rate for row in rows],
            metrics.predicted_positive_rate,
        ),
    ):
        value, low, high = (_floats([getattr(one, part) for one in found]) for part in ("value", "lower", "upper"))
        axes.fill_between(x, low, high, color=colour, alpha=0.18, linewidth=0)
        axes.plot(x, value, color=colour, label=named(name))
        axes.plot(chosen, _number(here.value), "o", color=colour, markersize=7, markeredgecolor="white")
    ticks = [t for t in _THRESHOLD_TICKS if t >= min(chosen, x[0]) / 2]
    axes.set_xticks(ticks, [f"{t:g}" for t in ticks])
    axes.minorticks_off()
    axes.set(xlabel="threshold probability", ylabel="share of images", ylim=(0, 1.02))
    axes.set_xlim(min(chosen / 1.5, x[0]), 1)
    axes.set_title(f"Other thresholds than the chosen {chosen:.3g}")
    figure.legend(loc="outside lower center", ncols=3)
    return to_svg(figure, "Sensitivity and specificity over the threshold")


def decision_curve_svg(metrics: Metrics) -> str:
    """Net benefit of the model, of referring everybody and of referring nobody."""
    rows = metrics.decision_curve
    x = [row.threshold for row in rows]
    value, low, high = (_floats([getattr(row, part) for row in rows]) for part in ("value", "lower", "upper"))
    figure, axes = new_axes()
    axes.fill_between(x, low, high, color=BAND, alpha=0.45, linewidth=0)
    axes.plot(x, value, color=MODEL, label="model")
    axes.plot(x, [row.treat_all for row in rows], color=MALIGNANT, linewidth=1.2, label="refer everybody")
    axes.axhline(0, color=INK, linewidth=1.2, label="refer nobody")
    axes.axvline(metrics.threshold.probability, color=MUTED, linewidth=1, linestyle=":")
    top = max(float(np.nanmax(high)) if np.isfinite(high).any() else 0.0, float(np.nanmax(value)), 0.01)
    axes.set(xlabel="threshold probability", ylabel="net benefit", xlim=(0, 0.5), ylim=(-0.25 * top, 1.08 * top))
    axes.set_title("Decision curve")
    axes.legend(loc="upper right")
    return to_svg(figure, "Decision curve with 95 % band")


def training_svgs(history: Mapping[str, Sequence[float | None]]) -> list[str]:
    """Training and validation loss, and validation scores, over the epochs; nothing without a history."""
    epochs = [e for e in history.get("epoch", ()) if e is not None]
    panels = (
        ("Loss", "loss", [("loss", MUTED, "training loss"), ("val_loss", MODEL, "validation loss")]),
        (
            "Validation",
            "score",
            [("val_roc_auc", BENIGN, "ROC-AUC"), ("val_average_precision", MODEL, "average precision")],
        ),
    )
    out = []
    for title, unit, lines in panels:
        shown = [line for line in lines if any(v is not None for v in history.get(line[0], ()))]
        if not epochs or not shown:
            continue
        figure, axes = new_axes(height=3.0)
        for name, colour, label in shown:
            axes.plot(epochs, _floats(history[name]), color=colour, marker="o", markersize=3, label=label)
        axes.set(xlabel="epoch", ylabel=unit, ylim=(0, 1.02) if unit == "score" else (0, None))
        axes.locator_params(axis="x", integer=True)
        axes.set_title(title)
        if len(shown) > 1:
            axes.legend(loc="lower right")
        out.append(to_svg(figure, f"{title} by epoch"))
    return out


def _number(value: float | None) -> float:
    return np.nan if value is None else value


def _floats(values: Sequence[float | None]) -> Floats:
    return np.array([_number(v) for v in values], dtype=np.float64)
