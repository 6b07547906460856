"""The validate step on a real bundle and a real index: the artifact, the page, and what is refused."""

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest
from kfp import dsl

from components.common.artifacts.estimate import Estimate
from components.common.artifacts.folder import new_artifact, open_artifact
from components.common.artifacts.index import read_index
from components.common.artifacts.metrics import load_metrics
from components.common.artifacts.scores import TEST_SCORES, load_extra, load_scores, save_scores
from components.common.artifacts.trust import load_trust
from components.common.artifacts.validation import EXTERNAL_SCORES, open_validation
from components.common.bundle.fingerprints import read_fingerprints
from components.common.bundle.handover import hand_over
from components.common.imaging.picture_key import picture_keys
from components.common.runtime.errors import ArtifactError, DataError
from components.evaluate.publish import kfp_page
from components.evaluate.scoring import score
from components.validate.__main__ import main
from components.validate.component import validate
from components.validate.config import ValidateConfig
from components.validate.pages import tone
from components.validate.run import run

FAST = {"resamples": 200, "cases": 1}


@pytest.fixture(scope="module")
def evaluation(exported, metrics, sim, tmp_path_factory):
    """An evaluation of the exported bundle."""
    out, scores = tmp_path_factory.mktemp("evaluated") / "evaluation", sim(80, 4)
    with new_artifact(out, "evaluation", {"bundle": open_artifact(exported.path, "bundle").digest}) as folder:
        metrics.save(folder / "metrics.json")
        save_scores(folder / TEST_SCORES, scores, {"dx": np.where(scores.label == 1, "mel", "nv")})
    return out


@pytest.fixture(scope="module")
def done(exported, evaluation, clinic, tmp_path_factory):
    """A handed-over bundle, validated."""
    root = tmp_path_factory.mktemp("validated")
    hand_over(exported.path, evaluation, root / "bundle")
    config = ValidateConfig(site="A <b>Clinic</b>", **FAST)
    return run(config, str(root / "bundle"), clinic.index, "", root / "validation")


def test_a_bundle_that_nobody_signed_is_refused_where_a_key_is_given(exported, clinic, tmp_path):
    key = tmp_path / "key.pub"
    key.write_text("-----BEGIN PUBLIC KEY-----")
    with pytest.raises(ArtifactError, match="not signed, and a signature by"):
        run(ValidateConfig(**FAST), str(exported.path), clinic.index, "", tmp_path / "out", key)


def test_another_bundle_than_the_one_asked_for_is_refused(exported, clinic, tmp_path):
    config = ValidateConfig(bundle_digest="c" * 64, **FAST)
    with pytest.raises(ArtifactError, match="expected cccccccccccc"):
        run(config, str(exported.path), clinic.index, "", tmp_path / "out")


def test_figures_of_the_internal_test_are_those_of_its_own_report(exported, evaluated, clinic, tmp_path):
    evaluated(tmp_path / "evaluation", exported.path)
    hand_over(exported.path, tmp_path / "evaluation", tmp_path / "bundle")
    record = run(ValidateConfig(**FAST), str(tmp_path / "bundle"), clinic.index, "", tmp_path / "out").record
    own, there = load_metrics(tmp_path / "evaluation" / "metrics.json"), {one.name: one.there for one in record.figures}
    expected = {name: own.figure(name) for name in ("roc_auc", "sensitivity", "specificity")}
    expected |= {"calibration_intercept": own.calibration.intercept, "calibration_slope": own.calibration.slope}
    for name, figure in expected.items():
        for part in ("value", "lower", "upper"):
            assert getattr(there[name], part) == pytest.approx(getattr(figure, part), abs=1e-9), (name, part)


def test_a_network_that_cannot_tell_dermoscopy_is_said_to_be_one(done):
    _, record, _ = open_validation(done.path)
    assert not record.refusal_reliable and record.refuses
    assert record.refuses in (done.path / "report.html").read_text()
    (line,) = [one for one in load_trust(done.path / "trust.json") if one.key == "refused_images"]
    assert line.level != "green" and record.refuses in line.answer


def test_its_images_can_be_known_again_by_a_bundle_adjusted_on_them(done, clinic):
    known, index = read_fingerprints(done.path), read_index(clinic.index)
    labelled = index[index["image_id"].isin(load_scores(done.path / EXTERNAL_SCORES).image_id)]
    assert set(known.seen(labelled["sha256"], picture_keys(labelled["thumbnail"]))["how"]) == {"bytes"}
    assert known.pictures_known


def rows_of(path):
    with path.open(newline="") as handle:
        return list(csv.DictReader(handle))


def test_the_scores_are_those_of_labelled_images_the_bundle_has_not_seen(done, clinic):
    _, record, scores = open_validation(done.path)
    kept = [row["image_id"] for row in clinic.rows if row["image_id"] not in ("copied", "c30", "c31", "c32")]
    assert scores.image_id.tolist() == kept
    assert len(np.unique(scores.group_id)) == len(np.unique(scores.lesion_id)) == record.here.groups
    assert set(load_extra(done.path / "external_probs.npz")["dx"]) == {"melanoma", "nevus"}
    assert load_metrics(done.path / "metrics.json").n == record.here.images == len(kept)


def test_what_the_bundle_has_seen_is_named(done):
    assert rows_of(done.path / "overlap.csv") == [
        {"image_id": "copied", "lesion_id": "copied", "how": "bytes", "part": "val"}
    ]
    assert (done.record.overlap.bytes, done.record.overlap.images) == (1, 40)


def test_images_without_a_label_are_scored_apart(done):
    rows = rows_of(done.path / "unlabelled.csv")
    assert [(row["image_id"], row["dx"]) for row in rows] == [("c30", "wart"), ("c31", "")]
    assert all(row["decision"] in ("benign", "malignant") and 0 <= float(row["probability"]) <= 1 for row in rows)
    assert done.record.unlabelled == {"unknown_diagnosis": 2}


def test_the_internal_test_stands_beside_it_under_common_names(done):
    assert done.record.there.images > 80
    assert all(one.there is not None and one.difference is not None for one in done.record.figures)
    assert [(one.diagnosis, one.there > 0, one.here > 0) for one in done.record.mix.diagnoses] == [
        ("nv", True, True),
        ("mel", True, True),
    ]


def test_the_page_begins_with_the_answer_and_takes_no_word_of_the_table_for_its_own(done):
    page = (done.path / "report.html").read_text()
    assert page.index(done.record.verdict.sentence) < page.index("There and here")
    assert page.index("There and here") < page.index("Before you trust this")
    assert "A &lt;b&gt;Clinic&lt;/b&gt;" in page and "<b>Clinic</b>" not in page
    assert "test images" not in page
    assert "seen by the bundle" in page and "damaged image file" in page


@pytest.mark.parametrize(
    ("answer", "upper", "colour"),
    [("holds", 0.1, "good"), ("holds", -0.1, "unsure"), ("too few", 0.1, "unsure"), ("does not hold", 0.1, "bad")],
)
def test_a_promise_that_holds_is_good_news_only_where_the_model_clears_as_many_as_before(done, answer, upper, colour):
    lower = Estimate(value=-0.2, lower=-0.3, upper=upper)
    figures = [
        one.model_copy(update={"difference": lower if one.name == "specificity" else None})
        for one in done.record.figures
    ]
    told = done.record.verdict.model_copy(update={"answer": answer})
    assert tone(done.record.model_copy(update={"figures": figures, "verdict": told})) == colour


def test_a_bundle_that_does_not_carry_its_test_says_unknown_and_an_evaluation_can_be_given(
    exported, evaluation, clinic, tmp_path
):
    without = run(ValidateConfig(**FAST), str(exported.path), clinic.index, "", tmp_path / "without")
    assert without.record.there is None
    assert "lesionflow bundle handover" in (tmp_path / "without/report.html").read_text()
    given = run(ValidateConfig(**FAST), str(exported.path), clinic.index, str(evaluation), tmp_path / "given")
    assert given.record.there is not None
    assert (
        open_artifact(given.path, "validation").made_from["evaluation"]
        == open_artifact(evaluation, "evaluation").digest
    )


def test_the_evaluation_of_another_bundle_is_refused(exported, evaluation_of, clinic, tmp_path):
    evaluation_of(tmp_path / "evaluation", "5" * 64)
    with pytest.raises(ArtifactError, match="made from another bundle"):
        run(ValidateConfig(**FAST), str(exported.path), clinic.index, str(tmp_path / "evaluation"), tmp_path / "out")


def test_too_much_overlap_stops_before_the_bundle_is_asked(exported, clinic, tmp_path):
    with pytest.raises(DataError, match=r"on 1 of 40 images .* raise max_overlap_pct"):
        run(ValidateConfig(max_overlap_pct=1, **FAST), str(exported.path), clinic.index, "", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_validation_that_could_read_images_of_one_class_only_is_refused(exported, clinic, tmp_path, monkeypatch):
    def benign_ones(*arguments):
        scores, unread = score(*arguments)
        return scores.take(np.flatnonzero(scores.label == 0)), unread

    monkeypatch.setattr("components.validate.run.score", benign_ones)
    with pytest.raises(
        DataError, match=r"labelled images left \(\d images? could not be read\), 0 of them malignant: a"
    ):
        run(ValidateConfig(**FAST), str(exported.path), clinic.index, "", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_equal_input_gives_equal_bytes(done, exported, evaluation, clinic, tmp_path):
    hand_over(exported.path, evaluation, tmp_path / "bundle")
    config = ValidateConfig(site="A <b>Clinic</b>", **FAST)
    again = run(config, str(tmp_path / "bundle"), clinic.index, "", tmp_path / "validation")
    assert open_artifact(again.path, "validation").files == open_artifact(done.path, "validation").files


def test_the_component_hands_its_outputs_to_kfp(exported, clinic, tmp_path):
    made = {
        "validation": dsl.Artifact(uri=str(tmp_path / "validation")),
        "report": dsl.HTML(uri=str(tmp_path / "report")),
        "roc": dsl.ClassificationMetrics(uri=str(tmp_path / "roc")),
        "metrics": dsl.Metrics(uri=str(tmp_path / "metrics")),
    }
    config = {"bundle": str(exported.path), **FAST}
    validate.python_func(index=dsl.Dataset(uri=str(clinic.index)), config=config, **made)
    assert Path(made["report"].path).read_text() == kfp_page((tmp_path / "validation/report.html").read_text())
    json.dumps(made["roc"].metadata, allow_nan=False)
    assert all(type(v) is float and math.isfinite(v) for v in made["metrics"].metadata.values())


def test_the_command_prints_the_answer(exported, clinic, tmp_path, capsys):
    given = ["--bundle", str(exported.path), "--index", str(clinic.index), "--out", str(tmp_path / "out")]
    assert main([*given, "--resamples", "200"]) == 0
    printed = capsys.readouterr().out
    assert "malignant lesions" in printed.splitlines()[0]
    assert "Has the model seen these images before? 1 of 40 images" in " ".join(printed.split())
