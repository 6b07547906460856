"""`lesionflow recalibrate` as its user runs it."""

import hashlib
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from components.common.artifacts.folder import new_artifact, open_artifact
from components.common.artifacts.policy import load_policy
from components.common.artifacts.scores import Scores, save_scores
from components.common.artifacts.validation import EXTERNAL_SCORES, Labelling, Overlap, Size, Validation, Verdict
from components.common.bundle.fingerprints import fingerprints_chosen_on, read_fingerprints
from components.common.bundle.verify import verify_bundle
from components.common.statistics.numeric import sigmoid
from pipelines.cli.main import main


def site_scores(lesions=200, malignant=40, seed=0):
    """Lesions of one image each, with logits that say too much, too high."""
    rng = np.random.default_rng(seed)
    label = (np.arange(lesions) < malignant).astype(np.int8)
    logit = (3.0 + 2.0 * (2.4 * label - 2.4 + rng.normal(0, 1.0, lesions))).astype(np.float32).astype(float)
    ids = np.array([f"I{k:04d}" for k in range(lesions)])
    return Scores(ids, ids, ids, label, logit, sigmoid(logit))


def validation(bundle, site):
    """What a validation says, as far as recalibrate reads it."""
    size = Size(images=1, malignant=1, groups=1, malignant_groups=1)
    verdict = Verdict(
        answer="too few", sentence="-", target=0.9, delta=0.05, found=1, of=1, lower=0.05, upper=1.0, more=28
    )
    overlap = Overlap(known=False, pictures=False, images=1, bytes=0, near_duplicates=0, same_lesion=0, examples=[])
    return Validation(
        site=site,
        policy_id="0" * 12,
        bundle=bundle,
        here=size,
        there=None,
        verdict=verdict,
        figures=[],
        overlap=overlap,
        refused={},
        refused_share=0.0,
        unlabelled={},
        mix=None,
        labelling=Labelling(policy="ham10000", unlike=[], unknown={}),
    )


def site_images(scores):
    """Fingerprints of the images that the scores are of."""
    sha256 = [hashlib.sha256(one.encode()).hexdigest() for one in scores.image_id.tolist()]
    rows = pd.DataFrame({"sha256": sha256, "lesion_id": scores.lesion_id, "group_id": scores.group_id})
    picture = np.frombuffer(bytes.fromhex("".join(sha256)), np.uint8).reshape(-1, 32)
    return fingerprints_chosen_on(rows, picture)


@pytest.fixture
def validation_of(exported, tmp_path):
    def make(scores, digest=None, name="clinic-b"):
        made_from = {"bundle": digest or open_artifact(exported.path, "bundle").digest}
        with new_artifact(tmp_path / name, "validation", made_from) as folder:
            save_scores(folder / EXTERNAL_SCORES, scores)
            site_images(scores).save(folder)
            validation(made_from["bundle"], name).save(folder)
        return tmp_path / name

    return make


def recalibrate(bundle, validation, out, *more):
    return main(["recalibrate", str(bundle), "--validation", str(validation), "--out", str(out), *more])


def test_an_adjusted_bundle_verifies_and_its_policy_names_parent_and_site(exported, validation_of, tmp_path, capsys):
    validation = validation_of(site_scores())
    assert recalibrate(exported.path, validation, tmp_path / "new", "--set", "target_sensitivity=0.85") == 0
    said = capsys.readouterr().out
    assert "after, cross-fitted" in said
    policy = load_policy(tmp_path / "new/decision_policy.json")
    assert policy.parent == {"policy_id": exported.policy_id, "site": "clinic-b"}
    assert policy.operating_point["target_sensitivity"] == 0.85
    assert policy.val_probs_sha256 == open_artifact(validation, "validation").files[EXTERNAL_SCORES]
    assert f"policy {policy.policy_id}, adjusted from {exported.policy_id}" in said
    assert verify_bundle(tmp_path / "new", load=False).policy_id == policy.policy_id


def test_wrong_input_is_one_line_and_writes_nothing(exported, validation_of, tmp_path, capsys):
    good = validation_of(site_scores())
    few = validation_of(site_scores(malignant=12), name="few")
    other = validation_of(site_scores(), "0" * 64, "other")
    for validation, more, code, line in (
        (other, [], 1, "made from another bundle than"),
        (few, [], 1, "12 malignant groups are enough for a new intercept"),
        (exported.path, [], 1, "this is a bundle artifact, expected a validation artifact"),
        (good, ["--set", "calibration=beta"], 2, "--set calibration: a recalibration keeps the bundle's calibrator"),
        (
            good,
            ["--set", "folds=3"],
            2,
            "--set folds: a recalibration takes as many folds as its validation has groups",
        ),
        (good, ["--set", "delta=2"], 2, "delta"),
        (good, ["--site", ""], 2, "--site: received ''"),
    ):
        assert recalibrate(exported.path, validation, tmp_path / "new", *more) == code
        last = capsys.readouterr().err.strip().splitlines()[-1]
        assert last.startswith("error: ") and line in last
    assert not (tmp_path / "new").exists()


def test_an_adjusted_bundle_knows_the_images_again_that_it_was_adjusted_on(exported, validation_of, tmp_path):
    scores = site_scores()
    validation = validation_of(scores)
    assert recalibrate(exported.path, validation, tmp_path / "new", "--keep-threshold") == 0
    before, after = read_fingerprints(exported.path), read_fingerprints(tmp_path / "new")
    there = site_images(scores)
    assert len(after) == len(before) + len(there)
    hexadecimal = [one.tobytes().hex() for one in (*before.sha256, *there.sha256)]
    seen = after.seen(hexadecimal, np.zeros((len(hexadecimal), 32), np.uint8))
    assert seen["how"].eq("bytes").all()
    own = before.seen(hexadecimal[: len(before)], before.picture)["part"].tolist()
    assert seen["part"].tolist() == [*own, *["val"] * len(there)]


def test_what_was_refused_and_left_out_is_said_in_the_log_and_on_the_card(exported, validation_of, tmp_path, capsys):
    scores = site_scores()
    refused = np.arange(len(scores)) % 50 == 49
    validation = validation_of(replace(scores, distance=np.where(refused, 9.0, 1.0), refused=refused))
    assert recalibrate(exported.path, validation, tmp_path / "new", "--keep-threshold") == 0
    assert "left out: 4 refused as not dermoscopic" in capsys.readouterr().out
    card = (tmp_path / "new" / "model_card.md").read_text()
    assert "4 further labelled images from there were refused as not dermoscopic and took no part" in card
    assert "\n\n| at clinic-b | before |" in card
    assert "has no test of its own" in card and "before its evaluation" not in card
    assert "of the labelled images of clinic-b; elsewhere they must be shifted" in card
