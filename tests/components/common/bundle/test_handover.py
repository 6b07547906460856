"""Handing a bundle over: the same bundle, with the scores of its internal test and without whose they are."""

import numpy as np
import pytest

from components.common.artifacts.folder import new_artifact, open_artifact
from components.common.artifacts.scores import TEST_SCORES, save_scores
from components.common.bundle import layout
from components.common.bundle.handover import hand_over, read_internal_test
from components.common.bundle.verify import verify_bundle
from components.common.runtime.errors import ArtifactError, ConfigError


@pytest.fixture(scope="module")
def scores(sim):
    return sim(60, 4, prefix="patient-")


@pytest.fixture(scope="module")
def evaluated(exported, metrics, scores, tmp_path_factory):
    """An evaluation of the exported bundle."""
    out = tmp_path_factory.mktemp("evaluated") / "evaluation"
    with new_artifact(out, "evaluation", {"bundle": open_artifact(exported.path, "bundle").digest}) as folder:
        metrics.save(folder / "metrics.json")
        save_scores(folder / TEST_SCORES, scores, {"dx": np.where(scores.label == 1, "mel", "nv")})
    return out


@pytest.fixture(scope="module")
def handed(exported, evaluated, tmp_path_factory):
    out = tmp_path_factory.mktemp("handed") / "bundle"
    hand_over(exported.path, evaluated, out)
    return out


def test_it_is_the_same_bundle_with_the_card_of_its_test(exported, evaluated, handed):
    made, before = open_artifact(handed, "bundle"), open_artifact(exported.path, "bundle")
    changed = {name for name, sha256 in made.files.items() if before.files.get(name) != sha256}
    assert changed == {layout.CARD, layout.INTERNAL_SCORES}
    assert made.made_from["bundle"] == before.digest
    assert made.made_from["evaluation"] == open_artifact(evaluated, "evaluation").digest
    assert verify_bundle(handed, load=False).policy_id == verify_bundle(exported.path, load=False).policy_id
    assert "ROC-AUC" in (handed / layout.CARD).read_text()


def test_its_scores_are_those_of_the_test_under_the_policy_and_name_nobody(exported, handed, scores):
    policy = exported_policy(exported)
    found, dx = read_internal_test(handed / layout.INTERNAL_SCORES, policy)
    assert np.array_equal(found.logit, scores.logit)
    assert np.array_equal(found.label, scores.label)
    assert found.probability == pytest.approx(policy.probability(scores.logit))
    assert set(dx) == {"mel", "nv"}
    assert len(np.unique(found.group_id)) == len(np.unique(scores.group_id))
    assert all(text.isdigit() for column in (found.image_id, found.lesion_id, found.group_id) for text in column)


def exported_policy(exported):
    from components.common.artifacts.policy import load_policy

    return load_policy(exported.path / layout.POLICY)


def test_an_evaluation_of_another_bundle_is_refused(exported, evaluation_of, tmp_path):
    evaluation_of(tmp_path / "evaluation", "5" * 64)
    with pytest.raises(ArtifactError, match="made from another bundle"):
        hand_over(exported.path, tmp_path / "evaluation", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_bundle_never_takes_its_own_place(exported, evaluated):
    with pytest.raises(ConfigError, match=r"--out: received '.*', the bundle itself; allowed: another folder"):
        hand_over(exported.path, evaluated, exported.path)
