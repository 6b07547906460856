"""2,000 group resamples of ROC-AUC and average precision against a scikit-learn loop, in one run.

The loop is timed on as many resamples as fit in about ten seconds and scaled; values are compared on
those same resamples. One process, one thread.
"""

from __future__ import annotations

import resource
import sys
import time

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

from components.common.statistics.ranking import Ranking
from components.common.statistics.resampling import group_codes, group_counts

RESAMPLES = 2000
NAMES = ("roc_auc", "average_precision")


def scores(rows: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Clustered scores: about three images to two lesions, one in five malignant."""
    rng = np.random.default_rng(seed)
    lesion = np.sort(rng.integers(0, int(rows * 0.745), rows))
    malignant = rng.random(lesion.max() + 1) < 0.195
    score = (np.where(malignant, 1.5, 0.0) + rng.normal(0, 0.8, len(malignant)))[lesion] + rng.normal(0, 0.6, rows)
    codes, groups = group_codes(lesion.astype(np.str_))
    return score, malignant[lesion].astype(np.int8), codes, groups


def baseline(score: np.ndarray, label: np.ndarray, codes: np.ndarray, groups: int, resamples: int) -> np.ndarray:
    """The usual loop: draw groups, gather their rows, call scikit-learn twice."""
    order = np.argsort(codes, kind="stable")
    starts = np.searchsorted(codes[order], np.arange(groups + 1))
    out = np.empty((resamples, 2))
    for b, counts in enumerate(np.hstack(list(group_counts(groups, resamples, 0))).T):
        taken = order[np.repeat(np.arange(len(codes)), counts[codes[order]])] if starts.size else order
        out[b] = roc_auc_score(label[taken], score[taken]), average_precision_score(label[taken], score[taken])
    return out


def compare(rows: int, looped: int) -> None:
    """Prints one line."""
    score, label, codes, groups = scores(rows)
    started = time.perf_counter()
    drawn = Ranking(score, label, codes, groups).resampled(RESAMPLES, 0, NAMES)
    ours = time.perf_counter() - started
    if not looped:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        sys.stdout.write(f"{rows:>9,} rows: {RESAMPLES} resamples {ours:7.2f} s, peak memory {peak:.2f} GB\n")
        return
    started = time.perf_counter()
    expected = baseline(score, label, codes, groups, looped)
    loop = (time.perf_counter() - started) * RESAMPLES / looped
    apart = max(np.abs(drawn[name][:looped] - expected[:, k]).max() for k, name in enumerate(NAMES))
    sys.stdout.write(
        f"{rows:>9,} rows: {RESAMPLES} resamples {ours:7.3f} s, scikit-learn loop {loop:8.2f} s, "
        f"ratio {loop / ours:6.1f}, largest difference {apart:.1e}\n"
    )


if __name__ == "__main__":
    compare(1_505, RESAMPLES)
    compare(100_000, 100)
    if "--million" in sys.argv:
        compare(1_000_000, 0)
