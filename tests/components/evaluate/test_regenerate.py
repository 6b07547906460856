import re
import shutil

import numpy as np
import pytest

from components.common.artifacts.scores import Scores, load_extra, load_scores, save_scores
from components.evaluate.__main__ import main
from components.evaluate.config import EvaluateConfig
from components.evaluate.run import run

NUMBERS = ("metrics.json", "summary.md", "gate.json", "predictions.csv")


def report(folder, out, *more):
    files = ["--probs", folder / "test_probs.npz", "--val-probs", folder / "val_probs.npz"]
    policy = ["--policy", folder / "decision_policy.json"]
    return main([str(a) for a in ("report", *files, *policy, "--out", out, *more)])


def figures_of(html):
    return re.findall(r"<svg role=.*?</svg>", html, flags=re.DOTALL)


@pytest.fixture(scope="module")
def evaluation(shipped, tmp_path_factory):
    out = tmp_path_factory.mktemp("original") / "evaluation"
    given = {"resamples": 300, "seed": 5, "cases": 2, "gate": ["auc >= 0.5"], "ledger": str(out.with_name("ledger"))}
    config = EvaluateConfig.parse(given)
    run(config, shipped.bundle, shipped.split, shipped.model, shipped.records, out)
    return out


def test_the_whole_report_comes_back_byte_for_byte_without_images_or_model(evaluation, tmp_path):
    assert report(evaluation, tmp_path / "again") == 0
    for name in (*NUMBERS, "trust.json", "report.html"):
        assert (tmp_path / "again" / name).read_bytes() == (evaluation / name).read_bytes(), name


def test_numbers_and_figures_need_the_scores_and_the_policy_only(evaluation, tmp_path):
    alone = tmp_path / "alone"
    alone.mkdir()
    for name in ("test_probs.npz", "val_probs.npz", "decision_policy.json"):
        shutil.copy(evaluation / name, alone / name)
    settings = ("--resamples", 300, "--seed", 5, "--gate", "auc >= 0.5")
    assert report(alone, tmp_path / "again", *settings) == 0
    for name in NUMBERS:
        assert (tmp_path / "again" / name).read_bytes() == (evaluation / name).read_bytes(), name
    original = figures_of((evaluation / "report.html").read_text())
    again = figures_of((tmp_path / "again" / "report.html").read_text())
    assert len(again) >= 8
    assert [f for f in original if "by epoch" not in f] == again


def test_a_lineage_of_another_evaluation_is_refused(evaluation, saved, tmp_path, capsys):
    shutil.copy(evaluation / "lineage.json", saved / "lineage.json")
    assert report(saved, tmp_path / "out", "--resamples", 200) == 1
    assert "they belong to different evaluations" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_scores_of_another_policy_are_refused(saved, tmp_path, capsys):
    scores = load_scores(saved / "test_probs.npz")
    moved = Scores(**{**{k: getattr(scores, k) for k in scores.__dataclass_fields__}, "logit": scores.logit + 1})
    save_scores(saved / "test_probs.npz", moved, load_extra(saved / "test_probs.npz"))
    assert report(saved, tmp_path / "out", "--resamples", 200) == 1
    assert "belong to another policy" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_other_validation_scores_are_refused(saved, sim, tmp_path, capsys):
    save_scores(saved / "val_probs.npz", sim(50, 9, prefix="V"))
    assert report(saved, tmp_path / "out") == 1
    assert "was chosen on other validation scores" in capsys.readouterr().err


def test_a_test_set_that_overlaps_validation_is_refused(saved, tmp_path, capsys):
    shutil.copy(saved / "test_probs.npz", saved / "val_probs.npz")
    assert report(saved, tmp_path / "out") == 1
    assert "are in test and in val" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("probability", 1.5, "probability of image TI000000 is 1.5, expected a number in [0, 1]"),
        ("probability", np.nan, "probability of image TI000000 is nan"),
        ("logit", np.nan, "logit of image TI000000 is nan, expected a finite number"),
        ("label", 7, "label of image TI000000 is 7, expected 0 or 1"),
        ("image_id", "TI000001", "image_id 'TI000001' appears 2 times"),
    ],
)
def test_values_that_are_no_scores_are_one_clear_line(saved, tmp_path, capsys, column, value, said):
    with np.load(saved / "test_probs.npz") as data:
        columns = {name: data[name].copy() for name in data.files}
    columns[column][0] = value
    np.savez(saved / "test_probs.npz", **columns)
    assert report(saved, tmp_path / "out") == 1
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error
    assert not (tmp_path / "out").exists()


def test_one_class_only_is_refused_with_the_count(saved, tmp_path, capsys):
    scores = load_scores(saved / "test_probs.npz")
    keep = scores.label == 0
    save_scores(saved / "test_probs.npz", scores.take(np.flatnonzero(keep)))
    assert report(saved, tmp_path / "out") == 1
    assert f"the test set holds 0 malignant and {keep.sum()} benign images" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("column", "change", "said"),
    [
        ("sex", lambda c: c[:-3], r"column sex has shape \(\d+,\), expected"),
        ("sex", lambda c: c.astype(object), "not readable as scores"),
        ("age", lambda c: np.full(len(c), "old"), "column age holds text, expected numbers"),
        ("control_source", lambda c: c * np.nan, "column control_source holds values that are not finite"),
        ("label", lambda c: c[:-1], r"column label has shape"),
        ("logit", lambda c: np.column_stack([c, c]), r"column logit has shape"),
    ],
)
def test_columns_that_do_not_fit_are_one_clear_line(saved, tmp_path, capsys, column, change, said):
    with np.load(saved / "test_probs.npz") as data:
        columns = {name: data[name] for name in data.files}
    np.savez(saved / "test_probs.npz", **columns | {column: change(columns[column])})
    assert report(saved, tmp_path / "out") == 1
    error = capsys.readouterr().err
    assert re.search(said, error)
    assert error.count("\n") <= 3
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("damage", ["empty", "cut", "flipped", "text", "array"])
def test_damaged_scores_are_one_clear_line(saved, tmp_path, capsys, damage):
    path = saved / "test_probs.npz"
    data = path.read_bytes()
    flipped = bytearray(data)
    flipped[len(data) // 2] ^= 0xFF
    np.save(tmp_path / "array.npy", np.zeros(3))
    array = (tmp_path / "array.npy").read_bytes()
    broken = {"empty": b"", "cut": data[: len(data) // 2], "flipped": bytes(flipped), "text": b"hello", "array": array}
    path.write_bytes(broken[damage])
    assert report(saved, tmp_path / "out") == 1
    error = capsys.readouterr().err
    assert "not readable as scores" in error
    assert "Traceback" not in error
    assert "pickle" not in error  # no advice to load it unsafely
    assert not (tmp_path / "out").exists()


def test_one_lesion_for_all_images_has_no_interval_that_a_gate_could_pass(saved, tmp_path, read):
    with np.load(saved / "test_probs.npz") as data:
        columns = {name: data[name] for name in data.files}
    columns["group_id"] = np.full(len(columns["label"]), "one")
    np.savez(saved / "test_probs.npz", **columns)
    assert report(saved, tmp_path / "out", "--resamples", 200, "--gate", "auc.lower >= 0.1", "auc >= 0.1") == 0
    verdicts = read(tmp_path / "out" / "gate.json")["conditions"]
    assert [(v["passed"], v["received"] is None) for v in verdicts] == [(False, True), (True, False)]


def test_a_policy_whose_threshold_is_not_a_number_is_refused(saved, tmp_path, capsys):
    path = saved / "decision_policy.json"
    path.write_text(re.sub(r'"threshold_logit": [-\d.]+', '"threshold_logit": NaN', path.read_text()))
    assert report(saved, tmp_path / "out") == 1
    assert "decision_policy.json: not readable as JSON (NaN is not a finite number)" in capsys.readouterr().err


def test_missing_and_unreadable_files_are_named(saved, tmp_path, capsys):
    (saved / "decision_policy.json").unlink()
    assert report(saved, tmp_path / "out") == 1
    assert "decision_policy.json: no such file" in capsys.readouterr().err
    (saved / "test_probs.npz").write_bytes(b"not an archive")
    assert report(saved, tmp_path / "out") == 1
    assert "not readable as scores" in capsys.readouterr().err


def test_bad_arguments_leave_with_2(saved, tmp_path, capsys):
    assert main(["report", "--probs", str(saved / "test_probs.npz"), "--out", str(tmp_path / "out")]) == 2
    assert report(saved, tmp_path / "out", "--gate", "f1 > 1") == 2
    assert report(saved, tmp_path / "out", "--resamples", "many") == 2
    assert "resamples: received 'many'; allowed: an integer >= 200" in capsys.readouterr().err
