"""The report's figures, each as an SVG element. Numbers come in computed; nothing is estimated here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from components.common.decision import DecisionPolicy, Floats
from components.common.figures import BAND, BENIGN, GRID, INK, MALIGNANT, MODEL, MUTED, new_axes, to_svg
from components.common.scores import Scores
from components.evaluate.curves import Curve

Metrics = Mapping[str, Any]


def roc_svg(curve: Curve, metrics: Metrics) -> str:
    """ROC curve with band and the operating point."""
    figure, axes = new_axes()
    axes.fill_between(curve.grid, curve.lower, curve.upper, color=BAND, alpha=0.45, linewidth=0, step="post")
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle="--")
    axes.step(curve.x, curve.y, where="post", color=MODEL)
    point = 1 - metrics["specificity"]["value"], metrics["sensitivity"]["value"]
    axes.plot(*point, "o", color=MALIGNANT, markersize=7)
    axes.annotate("operating point", point, xytext=(8, -14), textcoords="offset points", fontsize=9)
    axes.set(xlabel="false positive rate (1 - specificity)", ylabel="sensitivity", xlim=(-0.01, 1), ylim=(0, 1.01))
    axes.set_title(f"ROC curve, area {metrics['roc_auc']['value']:.3f}")
    return to_svg(figure, "ROC curve with 95 % band")


def pr_svg(curve: Curve, metrics: Metrics) -> str:
    """Precision-recall curve with band, the prevalence and the operating point."""
    figure, axes = new_axes()
    axes.fill_between(curve.grid, curve.lower, curve.upper, color=BAND, alpha=0.45, linewidth=0)
    axes.axhline(metrics["prevalence"], color=MUTED, linewidth=1, linestyle="--")
    axes.text(0.99, metrics["prevalence"] - 0.015, "calling at random", ha="right", va="top", fontsize=9, color=MUTED)
    axes.plot(curve.x, curve.y, color=MODEL)
    if metrics["ppv"]["value"] is not None:
        axes.plot(metrics["sensitivity"]["value"], metrics["ppv"]["value"], "o", color=MALIGNANT, markersize=7)
    axes.set(xlabel="sensitivity (recall)", ylabel="PPV (precision)", xlim=(0, 1.01), ylim=(0, 1.02))
    axes.set_title(f"Precision and recall, average precision {metrics['average_precision']['value']:.3f}")
    return to_svg(figure, "Precision-recall curve with 95 % band")


def histogram_svg(scores: Scores, policy: DecisionPolicy) -> str:
    """Share of each class over the calibrated probability."""
    figure, axes = new_axes()
    edges = np.linspace(0, 1, 41)
    for k, colour, name in ((0, BENIGN, "benign"), (1, MALIGNANT, "malignant")):
        count, _ = np.histogram(scores.probability[scores.label == k], edges)
        axes.stairs(100 * count / max(count.sum(), 1), edges, color=colour, fill=True, alpha=0.45, label=name)
    axes.axvline(policy.threshold_probability, color=INK, linewidth=1.2)
    axes.text(policy.threshold_probability + 0.012, 0.97, "threshold", fontsize=9, va="top",
              transform=axes.get_xaxis_transform())  # fmt: skip
    axes.set(xlabel="calibrated probability of malignancy", ylabel="% of the class's images", xlim=(0, 1))
    axes.set_title("Probabilities by class")
    axes.legend(loc="upper right")
    return to_svg(figure, "Histogram of probabilities by class")


def reliability_svg(metrics: Metrics, limit: float) -> str:
    """Observed share against predicted probability with the bins' intervals; `limit` < 1 is a close-up."""
    bins = [b for b in metrics["calibration"]["bins"] if b["predicted"] <= limit]
    figure, axes = new_axes()
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle="--")
    top = limit
    if bins:
        x = [b["predicted"] for b in bins]
        y = [b["observed"]["value"] for b in bins]
        low = [
            b["observed"]["lower"] if b["observed"]["lower"] is not None else v for b, v in zip(bins, y, strict=True)
        ]
        high = [
            b["observed"]["upper"] if b["observed"]["upper"] is not None else v for b, v in zip(bins, y, strict=True)
        ]
        axes.fill_between(x, low, high, color=BAND, alpha=0.45, linewidth=0)
        axes.plot(x, y, color=MODEL, marker="o", markersize=4)
        top = max(limit, 1.1 * max(high)) if limit < 1 else 1.0
    axes.set(xlabel="predicted probability", ylabel="malignant share observed", xlim=(0, limit), ylim=(0, top))
    axes.set_title("Reliability" if limit >= 1 else f"Reliability below {limit:g}, close up")
    return to_svg(figure, "Reliability diagram with 95 % band")


def sweep_svg(metrics: Metrics) -> str:
    """Sensitivity, specificity and share called malignant over the threshold."""
    rows = metrics["sweep"]
    x = [row["threshold"] for row in rows]
    figure, axes = new_axes()
    for name, colour, label in (
        ("sensitivity", MALIGNANT, "sensitivity"),
        ("specificity", BENIGN, "specificity"),
        ("predicted_positive_rate", MUTED, "called malignant"),
    ):
        values = [[row[name][part] for row in rows] for part in ("value", "lower", "upper")]
        value, low, high = (np.array(v, dtype=float) for v in values)
        axes.fill_between(x, low, high, color=colour, alpha=0.18, linewidth=0)
        axes.plot(x, value, color=colour, label=label)
    axes.axvline(metrics["threshold"]["probability"], color=INK, linewidth=1.2)
    axes.text(metrics["threshold"]["probability"] + 0.012, 0.02, "chosen", fontsize=9)
    axes.set(xlabel="threshold probability", ylabel="share of images", xlim=(0, 1), ylim=(0, 1.01))
    axes.set_title("What other thresholds would do")
    axes.legend(loc="center right")
    return to_svg(figure, "Sensitivity and specificity over the threshold")


def decision_curve_svg(metrics: Metrics) -> str:
    """Net benefit of the model, of referring everybody and of referring nobody."""
    rows = metrics["decision_curve"]
    x = [row["threshold"] for row in rows]
    value, low, high = (np.array([r[k] for r in rows], dtype=float) for k in ("value", "lower", "upper"))
    figure, axes = new_axes()
    axes.fill_between(x, low, high, color=BAND, alpha=0.45, linewidth=0)
    axes.plot(x, value, color=MODEL, label="model")
    axes.plot(x, [row["treat_all"] for row in rows], color=MALIGNANT, linewidth=1.2, label="refer everybody")
    axes.axhline(0, color=INK, linewidth=1.2, label="refer nobody")
    axes.axvline(metrics["threshold"]["probability"], color=MUTED, linewidth=1, linestyle=":")
    top = max(float(np.nanmax(high)) if np.isfinite(high).any() else 0.0, float(np.nanmax(value)), 0.01)
    axes.set(xlabel="threshold probability", ylabel="net benefit", xlim=(0, 0.5), ylim=(-0.25 * top, 1.08 * top))
    axes.set_title("Decision curve")
    axes.legend(loc="upper right")
    return to_svg(figure, "Decision curve with 95 % band")


def training_svg(history: Mapping[str, Sequence[float | None]]) -> str:
    """Training loss and validation scores over the epochs; empty without a history."""
    epochs = [e for e in history.get("epoch", ()) if e is not None]
    lines = [("loss", MUTED, "training loss"), ("val_average_precision", MODEL, "validation AP"),
             ("val_roc_auc", BENIGN, "validation ROC-AUC")]  # fmt: skip
    shown = [
        (name, colour, label) for name, colour, label in lines if any(v is not None for v in history.get(name, ()))
    ]
    if not epochs or not shown:
        return ""
    figure, axes = new_axes()
    for name, colour, label in shown:
        axes.plot(epochs, _floats(history[name]), color=colour, marker="o", markersize=3, label=label)
    axes.set(xlabel="epoch", ylim=(0, None))
    axes.locator_params(axis="x", integer=True)
    axes.set_title("Training")
    axes.legend(loc="best")
    return to_svg(figure, "Training loss and validation scores by epoch")


def _floats(values: Sequence[float | None]) -> Floats:
    return np.array([np.nan if v is None else v for v in values], dtype=np.float64)


def thousand_svg(parts: Sequence[tuple[int, str]], label: str) -> str:
    """1,000 squares, one a lesion, coloured part by part; drawn by hand to stay small and sharp."""
    columns, step, size = 50, 8, 6.6
    paths, start = [], 0
    for count, colour in parts:
        moves = "".join(
            f"M{step * (i % columns):g} {step * (i // columns):g}h{size}v{size}h-{size}z"
            for i in range(start, start + count)
        )
        paths.append(f'<path fill="{colour}" d="{moves}"/>' if moves else "")
        start += count
    rows = -(-start // columns)
    return (
        f'<svg role="img" aria-label="{label}" viewBox="0 0 {columns * step} {rows * step}" '
        f'xmlns="http://www.w3.org/2000/svg">{"".join(paths)}</svg>'
    )


def interval_svg(value: Mapping[str, Any], enough: bool) -> str:
    """One row of a forest plot: a line from lower to upper on a 0 to 1 scale, a dot at the value."""
    if value.get("value") is None:
        return ""
    colour = MODEL if enough else MUTED
    x = {k: 4 + 112 * value[k] if value.get(k) is not None else None for k in ("value", "lower", "upper")}
    ticks = "".join(f'<path d="M{4 + 112 * t:g} 1v14" stroke="{GRID}"/>' for t in (0, 0.25, 0.5, 0.75, 1))
    line = (
        ""
        if x["lower"] is None
        else f'<path d="M{x["lower"]:.1f} 8H{x["upper"]:.1f}" stroke="{colour}" stroke-width="2"/>'
    )
    return (
        f'<svg class="forest" viewBox="0 0 120 16" aria-hidden="true">{ticks}{line}'
        f'<circle cx="{x["value"]:.1f}" cy="8" r="3.5" fill="{colour}"/></svg>'
    )
