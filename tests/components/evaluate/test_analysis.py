"""The figures of given scores do not change from version to version."""

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest

from components.common.artifacts.folder import sha256_file
from components.common.artifacts.scores import load_extra, load_scores
from components.evaluate.analysis import Inputs, Settings, analyse, by_lesion

# sha256 of metrics.json as version 0.1.0 wrote it for the scores below, without what the policy says of itself, every
# number cut to nine digits: other processors add up in another order
RECORDED = "be81f50c9d0018d930cdb6ea4870fe2bbb20080b1846e9762ea2c37d135cec14"


def test_metrics_json_of_given_scores_is_what_version_0_1_0_wrote(saved, sim, policy_with, tmp_path):
    policy = policy_with(saved / "val_probs.npz", abstain={"low": 0.2, "high": 0.6})
    path = saved / "test_probs.npz"
    inputs = Inputs(
        test=load_scores(path),
        columns=load_extra(path),
        policy=policy,
        val=load_scores(saved / "val_probs.npz"),
        champion=sim(400, 1, prefix="T", spread=0.9),
        test_probs_sha256=sha256_file(path),
    )
    analyse(inputs, Settings(resamples=200)).save(tmp_path / "metrics.json")
    text = (tmp_path / "metrics.json").read_text()
    record = json.loads(text, parse_float=lambda number: f"{float(number):.9g}")
    assert record.pop("refused") is None  # new since; these scores have nothing refused
    del record["policy_id"], record["threshold"]["operating_point"]  # of the fixture's policy, not of the scores
    assert hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest() == RECORDED


def test_refused_images_are_referred_and_never_counted_as_benign(saved, sim, policy_with):
    """The same images, some refused: who was cleared is not any more, and the ranking stays as it was."""
    policy = policy_with(saved / "val_probs.npz")
    test = sim(300, 5)
    cleared = np.flatnonzero(~policy.decide(test.logit))
    refused = np.zeros(len(test), bool)
    refused[cleared[::4]] = True
    columns = {"dataset": np.array(["a", "b"])[np.arange(len(test)) % 2]}
    before = analyse(Inputs(test, columns, policy), Settings(resamples=50))
    scores = replace(test, refused=refused, distance=np.where(refused, 3.0, 1.0))
    after = analyse(Inputs(scores, columns, policy), Settings(resamples=50))
    malignant = int(test.label[refused].sum())
    assert after.confusion.fn == before.confusion.fn - malignant
    assert after.confusion.tp == before.confusion.tp + malignant
    assert after.confusion.tn == before.confusion.tn - int(refused.sum()) + malignant
    assert after.roc_auc == before.roc_auc
    assert after.refused.images == refused.sum()
    assert after.refused.malignant == malignant
    assert after.refused.share.value == pytest.approx(refused.mean())
    assert sum(one for one, _ in after.refused.sources.values()) == refused.sum()
    assert before.refused is None


def test_a_lesion_is_refused_only_where_all_its_images_are(sim):
    test = sim(40, 6, images=2)
    refused = np.zeros(len(test), bool)
    refused[[0, 2, 3]] = True  # one image of the first lesion, both of the second
    lesions = by_lesion(replace(test, refused=refused))
    assert lesions.not_dermoscopy.tolist() == [False, True] + [False] * 38
    assert lesions.probability[0] == test.probability[1]
