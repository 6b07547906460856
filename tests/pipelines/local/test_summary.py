"""The table printed at the end of a run."""

import pytest

from pipelines.local.summary import summary_lines

ESTIMATE = {"value": 0.9, "lower": 0.8, "upper": 0.95}


def line(level, answer="because"):
    return {"level": level, "question": f"Is it {level}?", "answer": answer, "section": "data"}


@pytest.fixture
def summary():
    return {
        "images": {"rows": 1000, "usable": 980, "dropped": 12, "lost": 8, "lost_in_records": 0, "generated": 0},
        "split": {
            "recipe": "stratified",
            "sha256": "a" * 64,
            "class_weight": 4.5,
            "groups": "lesions",
            "found": {"train": 700, "val": 140, "test": 140},
            "malignant": {"train": 140, "val": 28, "test": 28},
        },
        "model": {"architecture": "small_cnn", "image_size": [72, 96]},
        "test": {
            "n": 140,
            "malignant": 28,
            "groups": 100,
            "lesions": 100,
            "malignant_lesions": 20,
            "openings": 1,
            "refused": 3,
            "found": {"lesions": 20, "images": 26},
            "roc_auc": ESTIMATE,
            "average_precision": ESTIMATE,
        },
        "decision": {
            "policy": "lower_bound",
            "target_sensitivity": 0.9,
            "policy_id": "0" * 12,
            "calibrator": "platt",
            "threshold": 0.1,
            "sensitivity": ESTIMATE,
            "specificity": ESTIMATE,
            "predicted_positive_rate": ESTIMATE,
            "prevalence": 0.2,
        },
        "calibration_slope": ESTIMATE,
        "before_you_trust_this": [line("green"), line("amber", "word " * 40), line("red")],
    }


def test_lines_are_short_and_say_both_units(summary):
    lines = summary_lines(summary)
    assert max(map(len, lines)) <= 78
    text = "\n".join(lines)
    assert "1000 in the table, 980 usable, 12 dropped, 8 unusable" in text
    assert "140 images of 100 lesions, opened once" in text
    assert "malignant found   20 of 20 lesions (images averaged), 26 of 28 images" in text
    assert "prevalence        20.0\N{NO-BREAK SPACE}%, predicted positive rate 90.0\N{NO-BREAK SPACE}%" in text


@pytest.mark.parametrize(
    ("refused", "said"),
    [
        (None, "not checked"),
        (0, "0 refused"),
        (2, "2 refused, counted with those predicted malignant"),
    ],
)
def test_the_summary_says_how_many_images_were_refused(summary, refused, said):
    summary["test"]["refused"] = refused
    assert f"  not dermoscopic   {said}" in summary_lines(summary)


@pytest.mark.parametrize(("openings", "said"), [(None, "no ledger kept"), (1, "opened once"), (7, "opened 7 times")])
def test_the_summary_says_how_often_the_test_set_was_opened(summary, openings, said):
    summary["test"]["openings"] = openings
    assert f"test                140 images of 100 lesions, {said}" in summary_lines(summary)


def test_a_table_without_lesions_is_not_said_to_have_some(summary):
    summary["test"]["lesions"] = None
    lines = summary_lines(summary)
    assert "test                140 images, number of lesions unknown, opened once" in lines
    assert "  malignant found   26 of 28 images" in lines


def test_red_comes_before_amber_and_green_is_left_to_the_report(summary):
    lines = summary_lines(summary)
    starts = ("  problem", "  caution")
    red, amber = (next(i for i, text in enumerate(lines) if text.startswith(start)) for start in starts)
    assert red < amber
    assert not any("Is it green?" in text for text in lines)
    summary["before_you_trust_this"] = [line("green")]
    assert not any("Before you trust this" in text for text in summary_lines(summary))
