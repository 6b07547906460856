"""How soon the monitor reports a sensitivity that fell by 0.10 in one source, and how often it raises a false alarm.

`python tests/benchmarks/bench_monitor.py VAL_PROBS.npz TEST_PROBS.npz DECISION_POLICY.json`: scores of a model. Two
sources take turns; after 200 images of each, malignant images of the second one score lower (all of them, so that 0.10
fall below the threshold) or single ones are missed (0.10 of them get the score of a benign image below the threshold).
Labels come 50 images of the source late. Counted are images of that source from the change until the alarm, the wait
for the label included. The most is what one exact binomial test finds that looks once, at the end of the 300 images.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from scipy.stats import binom

from components.common.artifacts.policy import load_policy
from components.common.artifacts.scores import load_scores
from components.monitor.config import MonitorConfig
from components.monitor.log import Log
from components.monitor.power import most_power
from components.monitor.reference import Reference
from components.monitor.watches import watch

BEFORE, LATE, WITHIN, MOST, RUNS = 200, 50, 300, 700, 100


def log_of(logit, label, source, policy) -> Log:
    """A log without times or distances, every label known, in the order the images came."""
    n = len(logit)
    names = np.arange(n).astype(np.str_)
    p, nothing = policy.probability(logit), np.full(n, np.nan)
    status = np.full(n, "ok")
    malignant = policy.decide(logit)
    return Log(names, names, source, status, p, malignant, nothing, nothing, label.astype(np.int8), np.arange(n) * 1.0)


def stream(rng, pool, threshold, prevalence, images, change, lower, missed):
    """Two sources in turn; the second one loses sensitivity after `change` images of its own."""
    label = (rng.random(images) < prevalence).astype(np.int8)
    source = np.where(np.arange(images) % 2 == 0, "A", "B")
    logit = np.where(label == 1, rng.choice(pool[1], images), rng.choice(pool[0], images))
    late = (source == "B") & (np.arange(images) >= 2 * change) & (label == 1)
    logit = np.where(late, logit + lower, logit)
    swapped = late & (rng.random(images) < missed)
    cleared = pool[0][pool[0] < threshold]
    return np.where(swapped, rng.choice(cleared, images), logit), label, source


def alarm_of_b(watches):
    """Position of the image at which lost sensitivity was found in the second source."""
    (alarm,) = (one.alarm for one in watches if one.subject == "malignant_scores" and one.source == "B")
    return alarm


def halves(one, rng, policy):
    """A reference and a pool to draw from, which share no lesion."""
    parts = {k: rng.permutation(v) for k, v in one.items()}
    half = {k: len(v) // 2 for k, v in parts.items()}
    bag = np.concatenate([parts[0][: half[0]], parts[1][: half[1]]])
    label = np.repeat([0, 1], [half[0], half[1]]).astype(np.int8)
    known = Reference("", policy.probability(bag), label, np.full(len(bag), ""), np.empty(0), None)
    return known, {k: v[half[k] :] for k, v in parts.items()}


def main() -> None:
    """Prints a line per prevalence and kind of loss, and one for a log in which nothing changes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("val_probs", "test_probs", "policy"):
        parser.add_argument(name, type=Path)
    given = parser.parse_args()
    val, test = (load_scores(one).first_image_per_group() for one in (given.val_probs, given.test_probs))
    policy = load_policy(given.policy)
    one = {k: np.concatenate([val.logit[val.label == k], test.logit[test.label == k]]) for k in (0, 1)}
    found = float((one[1] >= policy.threshold_logit).mean())
    down = policy.threshold_logit - float(np.quantile(one[1], 1 - found + 0.1))
    sys.stdout.write(f"sensitivity {found:.3f}; 0.10 less when malignant logits move by {down:+.2f}\n")
    for prevalence in (0.19, 0.27, 0.41):
        chance = enumerate(binom.pmf(np.arange(WITHIN - LATE + 1), WITHIN - LATE, prevalence))
        most = sum(share * most_power(n, found, MonitorConfig().alpha) for n, share in chance)
        sys.stdout.write(f"malignant {prevalence:.2f}, {WITHIN - LATE} labels: at most {most:.2f}\n")
        for kind, lower, missed in (("all lower", down, 0.0), ("single misses", 0.0, 0.1 / found)):
            soon = []
            for seed in range(RUNS):
                rng = np.random.default_rng(seed)
                known, pool = halves(one, rng, policy)
                drawn = stream(
                    rng, pool, policy.threshold_logit, prevalence, 2 * (BEFORE + MOST), BEFORE, lower, missed
                )
                at = alarm_of_b(watch(MonitorConfig(), log_of(*drawn, policy), known))
                soon.append(np.inf if at is None else at // 2 + 1 - BEFORE + LATE)
            waited = np.array(soon)
            reported = ((waited > LATE) & (waited <= WITHIN)).mean()
            sys.stdout.write(
                f"malignant {prevalence:.2f}, {kind:13}: reported within {WITHIN} images {reported:.2f}, median "
                f" {np.median(waited):.0f}, within {MOST} {np.isfinite(waited).mean():.2f}, before the change "
                f"{(waited <= LATE).mean():.2f}\n"
            )
    wrong = []
    for seed in range(RUNS):
        rng = np.random.default_rng(1000 + seed)
        known, pool = halves(one, rng, policy)
        drawn = stream(rng, pool, policy.threshold_logit, float(known.label.mean()), 1000, 10**6, 0.0, 0.0)
        wrong.append([w.alarm is not None for w in watch(MonitorConfig(), log_of(*drawn, policy), known)])
    cried = np.array(wrong)
    sys.stdout.write(
        "nothing changes, a look after each of 1,000 images: false alarm of each test "
        f"{cried.mean(0).round(2).tolist()}, of any {cried.any(1).mean():.2f}\n"
    )


if __name__ == "__main__":
    main()
