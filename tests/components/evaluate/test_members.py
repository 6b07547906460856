"""What an ensemble gains over one of its members, from scores on the test images alone."""

from dataclasses import fields

import numpy as np
import pandas as pd
import pytest

from components.common.artifacts.metrics import load_metrics
from components.common.artifacts.scores import Scores, load_extra, load_scores, save_scores
from components.common.bundle.card import Judged
from components.common.runtime.errors import ArtifactError
from components.common.statistics.paired_gain import paired_gain
from components.evaluate.__main__ import main
from components.evaluate.members import MemberRecorder


@pytest.fixture
def scored(saved):
    """Saved scores with those of three members, each as noisy as the next, whose mean they are."""
    path = saved / "test_probs.npz"
    scores = load_scores(path)
    noise = np.random.default_rng(4).normal(0, 1.5, (3, len(scores)))
    noise -= noise.mean(axis=0)
    members = {f"member_{k}": scores.logit + row for k, row in enumerate(noise)}
    save_scores(path, scores, {**load_extra(path), **members})
    return saved, scores, members


class Ensemble:
    """A bundle in NumPy: the mean byte is the logit, each member's is so much above it."""

    policy = None

    def __init__(self, above):
        self.above = np.array(above, np.float32)

    def predict(self, images):
        return np.array([np.frombuffer(image, np.uint8).mean() for image in images])

    def member_logits(self, images):
        return self.predict(images)[:, None] + self.above


def test_members_are_recorded_with_the_predictions_for_the_images_that_could_be_read():
    rows = pd.DataFrame({"image_id": ["a", "b", "c"]})
    images = [bytes([k] * 4) for k in (1, 2, 3)]
    name = np.array(["a", "c"])
    scores = Scores(name, name, name, np.array([0, 1], np.int8), np.array([1.0, 3.0]), np.array([0.5, 0.5]))
    recorder = MemberRecorder(Ensemble([0.5, -0.5]))
    assert recorder.columns(rows, scores) == {}
    for batch in (images[:2], images[2:]):
        recorder.predict(batch)
    found = recorder.columns(rows, scores)
    assert {key: column.tolist() for key, column in found.items()} == {"member_0": [1.5, 3.5], "member_1": [0.5, 2.5]}
    other = MemberRecorder(Ensemble([0.5, 0.0]))
    other.predict(images)
    with pytest.raises(ArtifactError, match=r"mean of the 2 members' logits differs from the ensemble's by 0\.25"):
        other.columns(rows, scores)


def report(folder, out):
    files = ["--probs", folder / "test_probs.npz", "--val-probs", folder / "val_probs.npz"]
    policy = ["--policy", folder / "decision_policy.json"]
    return main([str(a) for a in ("report", *files, *policy, "--out", out, "--resamples", 200, "--seed", 3)])


def test_the_gain_over_one_member_is_paired_and_stands_in_metrics_and_report(scored, tmp_path):
    saved, scores, members = scored
    assert report(saved, tmp_path / "out") == 0
    found = load_metrics(tmp_path / "out" / "metrics.json").ensemble
    given = list(members.values()), scores.logit, scores.label, scores.group_id
    by_hand = paired_gain(*given, resamples=200, seed=3)
    assert found.members == 3
    for name in ("average_precision", "roc_auc"):
        figure = getattr(found, name)
        assert (figure.before, figure.after) == (by_hand[name]["before"], by_hand[name]["after"])
        assert (figure.gain.lower, figure.gain.upper) == (
            by_hand[name]["gain"]["lower"],
            by_hand[name]["gain"]["upper"],
        )
        assert figure.gain.lower > 0  # the noise was taken out
    html = (tmp_path / "out" / "report.html").read_text()
    assert '<h2 id="members">Several members against one</h2>' in html
    assert "mean of 3" in html
    assert f"{found.roc_auc.gain.value:+.3f}" in html


def test_a_single_network_has_no_such_figure(saved, tmp_path):
    assert report(saved, tmp_path / "out") == 0
    assert load_metrics(tmp_path / "out" / "metrics.json").ensemble is None
    assert '"ensemble"' not in (tmp_path / "out" / "metrics.json").read_text()
    assert "members against one" not in (tmp_path / "out" / "report.html").read_text()


def test_members_of_another_ensemble_are_refused(scored, tmp_path, capsys):
    saved, scores, members = scored
    path = saved / "test_probs.npz"
    save_scores(path, scores, {**members, "member_0": members["member_0"] + 3})
    assert report(saved, tmp_path / "out") == 1
    assert "the mean of the 3 members' logits differs from the ensemble's by 1, expected" in capsys.readouterr().err


def test_the_card_shows_the_gain_of_its_evaluation(scored, tmp_path):
    from components.common.bundle.card import _template

    saved, _, _ = scored
    assert report(saved, tmp_path / "out") == 0
    judged = Judged(load_metrics(tmp_path / "out" / "metrics.json"))
    template = _template().environment.get_template("card_metrics.md.j2")
    read = {field.name: getattr(judged, field.name) for field in fields(judged)}
    card = template.render(**read, digest="", recalibration={})
    assert "### 3 members against one" in card
    assert f"{judged.metrics.ensemble.roc_auc.after:.3f}" in card
