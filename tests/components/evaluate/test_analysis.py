"""The figures of given scores do not change from version to version."""

import hashlib
import json

from components.common.artifacts.folder import sha256_file
from components.common.artifacts.scores import load_extra, load_scores
from components.evaluate.analysis import Inputs, Settings, analyse

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
    del record["policy_id"], record["threshold"]["operating_point"]  # of the fixture's policy, not of the scores
    assert hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest() == RECORDED
