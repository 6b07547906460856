import numpy as np
import pytest

from components.common.runtime.errors import ConfigError, DataError
from components.monitor.config import MonitorConfig
from components.monitor.log import read_log, with_labels
from components.monitor.performance import by_period, by_source, expected_rates
from pipelines.cli.predictions import Prediction, as_csv


def written(tmp_path, text, name="log.jsonl"):
    (tmp_path / name).write_text(text)
    return tmp_path / name


def test_the_csv_of_predict_is_read(policy, tmp_path):
    rows = [
        Prediction("a.jpg", "ok", "malignant", 0.7, 0.2, 1.0, policy.policy_id, ""),
        Prediction("b.jpg", "ok", "benign", 0.01, 0.2, -3.0, policy.policy_id, ""),
        Prediction("c.jpg", "corrupt", "not readable", None, 0.2, None, policy.policy_id, "damaged"),
        Prediction("d.jpg", "ok", "benign", 0.01, 0.2, -3.0, "f" * 12, ""),
    ]
    log = read_log([written(tmp_path, as_csv(rows), "log.csv")], policy)
    assert log.image.tolist() == ["a.jpg", "b.jpg", "c.jpg"]
    assert log.malignant.tolist() == [True, False, False]
    assert log.answered.tolist() == [True, True, False]
    assert log.other_policies == 1


def test_rows_are_put_in_order_of_time_and_a_repeated_image_counts_once(policy, tmp_path):
    lines = (
        '{"image": "b", "probability": 0.5, "status": "ok", "time": "2026-01-02T00:00:00Z"}\n'
        '{"image": "a", "probability": 0.4, "status": "ok", "time": 1767225600}\n'
        '{"image": "b", "probability": 0.5, "status": "ok", "time": "2026-01-03"}\n'
    )
    log = read_log([written(tmp_path, lines)], policy)
    assert log.image.tolist() == ["a", "b"] and log.repeated == 1
    assert np.diff(log.time).tolist() == [86400.0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"probability": 0.5, "status": "ok", "time": 1764000000000}\n', "seconds since 1970, not milliseconds"),
        ("not json\n", "line 1: not JSON"),
        ("[1]\n", "line 1: .*expected a JSON object"),
        ('{"image": "a"}\n', "expected probability and status"),
        ('{"probability": 1.5, "status": "ok"}\n', "probability 1.5; expected 0 to 1"),
        ('{"probability": -1, "status": "ok"}\n', "status 'ok' without a probability"),
        ('{"probability": "x", "status": "ok"}\n', "probability 'x'; expected a number"),
        ('{"probability": 0.5, "status": "ok", "time": "soon"}\n', "time 'soon'; expected seconds"),
        ('{"probability": 0.5, "status": "ok", "policy_id": "ffffffffffff"}\n', "no prediction of policy"),
        (f'{{"probability": 0.5, "image": "{"a" * 5000}"}}\n', r"image has 5000 characters; expected 1024 at most"),
        ("[" * 100_000, "not JSON"),
        (f'{{"probability": {"9" * 400}}}\n', "probability .* expected a number"),
    ],
)
def test_a_row_that_is_not_a_prediction_is_named(text, said, policy, tmp_path):
    with pytest.raises(DataError, match=said):
        read_log([written(tmp_path, text)], policy)


def test_a_folder_without_logs_is_refused(policy, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match=r"no log there; expected files that end in \.csv or \.jsonl"):
        read_log([tmp_path / "empty"], policy)


def test_labels_are_joined_by_image(policy, tmp_path):
    text = "".join(f'{{"image": "{name}", "probability": 0.5, "status": "ok"}}\n' for name in "abc")
    log = read_log([written(tmp_path, text)], policy)
    labels = written(tmp_path, "image,label\nb,malignant\nc,0\nz,1\n", "labels.csv")
    joined, foreign = with_labels(log, labels)
    assert joined.label.tolist() == [-1, 1, 0] and foreign == 1
    for wrong, said in (
        ("image,label\na,maybe\n", "line 2: label 'maybe'; expected 1 or malignant"),
        ("image,label\na,1\na,0\n", "line 3: image 'a' has two labels"),
        ("name,label\na,1\n", "expected image, label"),
    ):
        with pytest.raises(DataError, match=said):
            with_labels(log, written(tmp_path, wrong, "labels.csv"))


def test_expected_rates_are_those_of_nannyml():
    """The two numbers are what nannyml 0.13.1 gives for these ten images (estimate_recall, estimate_precision)."""
    p = np.array([0.02, 0.05, 0.07, 0.11, 0.3, 0.42, 0.55, 0.9, 0.01, 0.2])
    found = expected_rates(p, p >= 0.1)
    assert found.sensitivity == pytest.approx(0.9429657794676807, rel=1e-12)
    assert found.ppv == pytest.approx(0.41333333333333333, rel=1e-12)
    assert found.prevalence == pytest.approx(p.mean())


def test_expected_rates_follow_case_mix_and_not_a_change_of_malignant_images(policy):
    rng = np.random.default_rng(0)
    p = rng.beta(1, 4, 20000)
    y, called = rng.random(len(p)) < p, p >= 0.2
    expected = expected_rates(p, called)
    assert expected.sensitivity == pytest.approx(called[y].mean(), abs=0.01)
    assert expected.ppv == pytest.approx(y[called].mean(), abs=0.01)
    fewer = p < 0.5  # other images come; probabilities stay right
    assert expected_rates(p[fewer], called[fewer]).sensitivity == pytest.approx(called[fewer & y].mean(), abs=0.01)


def test_rows_are_weeks_where_times_are_known_and_blocks_otherwise(policy, tmp_path):
    text = "".join(
        f'{{"probability": 0.5, "status": "ok", "time": "2026-01-{day:02d}", "source": "s{day % 2}"}}\n'
        for day in range(5, 19)
    )
    log = read_log([written(tmp_path, text)], policy)
    rows = by_period(MonitorConfig(), log)
    assert [(row.name, row.images) for row in rows] == [("week of 2026-01-05", 7), ("week of 2026-01-12", 7)]
    assert [row.name for row in by_source(MonitorConfig(), log)] == ["all", "s1", "s0"]
    bare = read_log([written(tmp_path, '{"probability": 0.5, "status": "ok"}\n' * 25)], policy)
    assert [row.images for row in by_period(MonitorConfig(block=10), bare)] == [10, 10, 5]
