"""A bundle for another clinic: the same bundle with the scores of its internal test, to be compared with those there.

A bundle never changes, and it is evaluated after it is made; so what is handed over is a new bundle that names both.
Its graph, policy and self-test are the same files; the card has the test's figures, and `internal_probs.npz` its
scores: labels, logits, diagnoses and groups under numbers that stand for nothing, no ids and no pixels.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from components.common.artifacts.folder import Artifact, new_artifact, open_artifact
from components.common.artifacts.policy import DecisionPolicy
from components.common.artifacts.scores import TEST_SCORES, Scores, load_extra, load_scores, save_scores
from components.common.bundle import layout
from components.common.bundle.card import judged_by, open_evaluation, render
from components.common.bundle.card_facts import CardFacts
from components.common.bundle.verify import verify_bundle
from components.common.runtime.errors import ConfigError

_SAME = 1e-5  # what a bundle may differ by from its policy
DIAGNOSIS = "dx"  # the one further column


def hand_over(bundle: Path, evaluation: Path, out: Path) -> Artifact:
    """Writes the bundle again, with the figures and scores of its evaluation inside.

    Raises:
        ArtifactError: the bundle is not fit to be served, or the evaluation is of another bundle.
        ConfigError: `out` is the bundle itself.
    """
    refuse_itself(bundle, out)
    verify_bundle(bundle, load=False)
    made = open_artifact(bundle, "bundle")
    judged = open_evaluation(evaluation, made)
    made_from = made.made_from | {"bundle": made.digest, "evaluation": judged.digest}
    with new_artifact(out, "bundle", made_from) as folder:
        for name in made.files:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(bundle / name, folder / name)
        (folder / layout.CARD).write_text(render(CardFacts.read(bundle), judged_by(evaluation)), encoding="utf-8")
        save_internal_test(folder, evaluation)
    return open_artifact(out, "bundle")


def refuse_itself(bundle: Path, out: Path) -> None:
    """A new bundle never takes the place of the one it is made of.

    Raises:
        ConfigError: both are the same folder.
    """
    if out.resolve() == bundle.resolve():
        raise ConfigError(f"--out: received {str(out)!r}, the bundle itself; allowed: another folder")


def save_internal_test(folder: Path, evaluation: Path) -> None:
    """Writes the scores of an evaluation into a bundle in the making, its ids replaced by numbers."""
    scores, columns = load_scores(evaluation / TEST_SCORES), load_extra(evaluation / TEST_SCORES)
    diagnosis = {name: columns[name] for name in (DIAGNOSIS,) if name in columns}
    save_scores(folder / layout.INTERNAL_SCORES, scores.numbered(), diagnosis)


def read_internal_test(path: Path, policy: DecisionPolicy) -> tuple[Scores, npt.NDArray[np.str_] | None]:
    """Scores of the internal test from a bundle that was handed over, or from an evaluation, and their diagnoses.

    Args:
        path: `internal_probs.npz` or `test_probs.npz`.
        policy: gives the probabilities: what this policy would have said there.

    Raises:
        ArtifactError: not readable as scores.
    """
    found, columns = load_scores(path), load_extra(path)
    probability = np.clip(policy.probability(found.logit), 0, 1)
    if np.allclose(probability, found.probability, rtol=0, atol=_SAME):  # by this policy: what its own report read
        probability = found.probability
    diagnosis = columns.get(DIAGNOSIS)
    return replace(found, probability=probability), None if diagnosis is None else diagnosis.astype(np.str_)
