import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from components.common.artifacts.scores import Scores
from components.common.runtime.errors import ConfigError, DataError
from components.evaluate.operating import count_calls
from components.evaluate.predictions import predictions_csv
from components.monitor.config import MonitorConfig
from components.monitor.log import read_log, with_labels
from components.monitor.performance import by_period, by_source, expected_rates
from components.monitor.table import read_table, read_tables
from pipelines.cli.predictions import Prediction, as_csv, as_json


def written(tmp_path, text, name="log.jsonl"):
    (tmp_path / name).write_text(text)
    return read_table(str(tmp_path / name))


def of(policy, text):
    """Rows of JSON that name no policy, with this one."""
    return text if "policy_id" in text else text.replace("}", f', "policy_id": "{policy.policy_id}"}}')


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
    log = read_log([written(tmp_path, of(policy, lines))], policy)
    assert log.image.tolist() == ["a", "b"] and log.repeated == 1
    assert np.diff(log.time).tolist() == [86400.0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"probability": 0.5, "status": "ok", "time": 1764000000000}\n', "seconds since 1970, not milliseconds"),
        ("not json\n", "line 1: not JSON"),
        ("[1]\n", "item 1: .*expected a JSON object"),
        ('{"image": "a"}\n', "line 1: no status; expected probability, status and policy_id: a bundle returns all"),
        ('{"probability": 0.5, "status": "OK"}\n', "status 'OK' with a probability; expected ok or refer"),
        ('{"probability": 1.5, "status": "ok"}\n', "probability 1.5; expected 0 to 1"),
        ('{"probability": -1, "status": "ok"}\n', "status 'ok' without a probability"),
        ('{"probability": "x", "status": "ok"}\n', "probability 'x'; expected a number"),
        ('{"probability": 0.5, "status": "ok", "time": "soon"}\n', "time 'soon'; expected seconds"),
        (
            '{"probability": 0.5, "status": "ok", "policy_id": "ffffffffffff"}\n',
            "1 row of other policies, none of this bundle's",
        ),
        (
            f'{{"probability": 0.5, "status": "ok", "image": "{"a" * 5000}"}}\n',
            r"image has 5000 characters; expected 1024 at most",
        ),
        ("[" * 100_000, "not JSON"),
        (f'{{"status": "ok", "probability": {"9" * 400}}}\n', "probability .* expected a number"),
    ],
)
def test_a_row_that_is_not_a_prediction_is_named(text, said, policy, tmp_path):
    with pytest.raises(DataError, match=said):
        read_log([written(tmp_path, of(policy, text))], policy)


def test_a_folder_without_logs_is_refused_and_all_logs_below_a_folder_are_read(tmp_path):
    (tmp_path / "logs").mkdir()
    with pytest.raises(ConfigError, match=r"no log there; expected files that end in \.csv, \.jsonl, \.json"):
        read_tables([str(tmp_path / "logs")])
    with pytest.raises(ConfigError, match=r"nowhere: no such file or folder"):
        read_tables([str(tmp_path / "nowhere")])
    (tmp_path / "logs/2026/11").mkdir(parents=True)
    for name in ("2026/11/27.jsonl", "2026/11/28.csv", "notes.txt"):
        (tmp_path / "logs" / name).write_text("")
    tables = read_tables([str(tmp_path / "logs")])
    assert [Path(one.name).name for one in tables] == ["27.jsonl", "28.csv"]


def test_the_array_of_predict_is_read_as_its_csv_is(policy, tmp_path):
    rows = [
        Prediction("a.jpg", "ok", "malignant", 0.7, 0.2, 1.0, policy.policy_id, ""),
        Prediction("c.jpg", "corrupt", "not readable", None, 0.2, None, policy.policy_id, "damaged"),
    ]
    array = read_log([written(tmp_path, as_json(rows), "log.json")], policy)
    table = read_log([written(tmp_path, as_csv(rows), "log.csv")], policy)
    for name in ("image", "status", "probability", "malignant"):
        np.testing.assert_array_equal(getattr(array, name), getattr(table, name))


def test_what_is_not_the_log_of_this_bundle_is_refused(policy, tmp_path):
    scores = Scores(*[np.array(["1", "2"])] * 3, np.array([0, 1], np.int8), np.array([-2.0, 2.0]), np.array([0.1, 0.9]))
    judged = written(tmp_path, predictions_csv(scores, policy), "predictions.csv")
    with pytest.raises(DataError, match=r"no status and no policy_id; .* a predictions\.csv of an evaluation"):
        read_log([judged], policy)
    unnamed = written(tmp_path, "image,status,probability\na,ok,0.5\n", "log.csv")
    with pytest.raises(DataError, match=f"row 2: no policy_id; .*not known which bundle.*{policy.policy_id}"):
        read_log([unnamed], policy)
    rows = [Prediction(name, "ok", "benign", 0.01, 0.2, -3.0, "f" * 12, "") for name in ("a", "b")]
    with pytest.raises(DataError, match="all 2 rows of other policies, none of this bundle's"):
        read_log([written(tmp_path, as_csv(rows), "log.csv")], policy)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "log.csv: no row; expected logged predictions"),
        (as_csv([]), "log.csv: no row; expected logged predictions"),
        (as_csv([]).replace(",", ";"), "log.csv: no row; expected logged predictions"),
        (
            "image,status,probability\na,b,ok,0.5\n",
            "row 2 has 4 values, the header has 3; a value that",
        ),
    ],
)
def test_a_table_that_holds_nothing_or_is_cut_wrongly_is_named(text, said, policy, tmp_path):
    with pytest.raises(DataError, match=said):
        read_log([written(tmp_path, text, "log.csv")], policy)


def test_an_empty_day_among_others_is_no_fault(policy, tmp_path):
    day = written(tmp_path, of(policy, '{"probability": 0.5, "status": "ok"}\n'))
    assert len(read_log([written(tmp_path, "", "sunday.csv"), day], policy)) == 1


def test_a_refused_image_counts_as_sent_on_as_validation_counts_it(policy, tmp_path):
    """The same six images through both: figures of the monitor and of evaluation's counts agree."""
    label = np.array([1, 1, 1, 0, 0, 0], np.int8)
    logit = np.array([3.0, -4.0, -4.0, -4.0, -4.0, 2.0])
    refused = np.array([False, False, True, False, True, False])
    ids = np.arange(6).astype(np.str_)
    scores = Scores(ids, ids, ids, label, logit, policy.probability(logit), np.ones(6), refused)
    calls = count_calls(
        scores.decided_by(logit), np.array([policy.threshold_logit]), label, np.arange(6), 6, resamples=1, seed=0
    )
    rows = [
        Prediction(
            name,
            "not_dermoscopy" if no else "ok",
            "refer" if no else ("benign", "malignant")[int(policy.decide(at))],
            None if no else float(policy.probability(at)),
            policy.threshold_probability,
            float(at),
            policy.policy_id,
            "",
        )
        for name, at, no in zip(ids.tolist(), logit, refused, strict=True)
    ]
    log = read_log([written(tmp_path, as_csv(rows), "log.csv")], policy)
    labels = written(tmp_path, "image,label\n" + "".join(f"{i},{one}\n" for i, one in enumerate(label)), "labels.csv")
    (row,) = by_source(MonitorConfig(), with_labels(log, labels)[0])
    seen = row.observed
    assert (seen.found, seen.malignant) == (int(calls.tp[0, 0]), int(calls.positives[0])) == (2, 3)
    assert (seen.benign - seen.cleared, seen.benign) == (int(calls.fp[0, 0]), int(calls.negatives[0])) == (2, 3)
    assert row.positive == 4 / 6
    assert seen.ppv == 2 / 4


LABELS = "image,label,time\nb,malignant,2026-01-02\nc,0,2026-01-03\n"


def workbook():
    book = io.BytesIO()
    pd.read_csv(io.StringIO(LABELS), dtype=str).to_excel(book, index=False)
    return book.getvalue()


@pytest.mark.parametrize(
    ("name", "data", "noted"),
    [
        ("labels.csv", LABELS.replace(",", ";").encode(), ""),
        ("labels.txt", LABELS.replace(",", "\t").encode("utf-16"), ""),  # Excel's "Unicode text"
        ("labels.csv", b"\xef\xbb\xbf" + LABELS.encode(), ""),
        ("labels.csv", LABELS.replace("image", '"Image"').replace("b,", '"b",').encode(), ""),
        ("labels.csv", LABELS.replace(",0,", ",0.0,").encode(), ""),
        ("labels.csv", b"Histology, May\n\n" + LABELS.encode(), "labels.csv: 2 rows above the header left out"),
        ("labels.csv", (LABELS + "Müller,1,\n").encode("cp1252"), "labels.csv: row 4 is not UTF-8 text; the table is"),
        ("labels.csv", (LABELS + "a,,\n").encode(), "labels.csv: 1 row without a label: not known yet"),
        ("labels.csv", (LABELS + "a,pending,\n").encode(), "labels.csv: 1 row without a label: not known yet"),
        (
            "labels.csv",
            b"image,label,time,label\nb,1,2026-01-02,1\nc,0,2026-01-03,0\n",
            "labels.csv: column label occurs twice with the same values",
        ),
        ("labels.xlsx", workbook(), ""),
        (
            "labels.ndjson",
            b'{"image": "b", "label": 1, "time": 1767312000}\n{"image": "c", "label": "benign", "time": 1767398400}\n',
            "",
        ),
    ],
)
def test_labels_come_as_people_make_tables(name, data, noted, policy, tmp_path):
    text = "".join(f'{{"image": "{image}", "probability": 0.5, "status": "ok"}}\n' for image in "abc")
    log = read_log([written(tmp_path, of(policy, text))], policy)
    (tmp_path / name).write_bytes(data)
    joined, _ = with_labels(log, read_table(str(tmp_path / name)))
    assert joined.label.tolist() == [-1, 1, 0]
    assert joined.label_times and np.diff(joined.labelled[1:]).tolist() == [86400.0]
    assert len(joined.notes) == bool(noted) and all(note.startswith(noted) for note in joined.notes)


def test_a_log_that_went_through_a_spreadsheet_is_read_as_it_was(policy, tmp_path):
    rows = [Prediction(name, "ok", "malignant", 0.75, 0.25, 1.0, policy.policy_id, "") for name in ("a", "b")]
    plain = read_log([written(tmp_path, as_csv(rows), "log.csv")], policy)
    (tmp_path / "saved.csv").write_bytes(as_csv(rows).replace(",", ";").encode("utf-16"))
    saved = read_log([read_table(str(tmp_path / "saved.csv"))], policy)
    for name in ("image", "status", "probability", "malignant"):
        np.testing.assert_array_equal(getattr(saved, name), getattr(plain, name))


def test_labels_are_joined_by_image(policy, tmp_path):
    text = "".join(f'{{"image": "{name}", "probability": 0.5, "status": "ok"}}\n' for name in "abc")
    log = read_log([written(tmp_path, of(policy, text))], policy)
    labels = written(tmp_path, "image,label\nb,malignant\nc,0\nz,1\n", "labels.csv")
    joined, foreign = with_labels(log, labels)
    assert joined.label.tolist() == [-1, 1, 0] and foreign == 1
    for wrong, said in (
        ("image,label\na,maybe\n", "row 2: label 'maybe'; expected 1 or malignant"),
        ("image,label\na,1\na,0\n", "row 3: image 'a' has two labels"),
        ("name,label\na,1\n", r"labels\.csv: no column image; received 'name', 'label'; expected image and label"),
        ("image,dx\na,mel\n", r"labels\.csv: no column label; received 'image', 'dx'"),
        ("image,label\na,1\n,0\n", "row 3: a label without an image; expected the name that the log gives it"),
        ("image;label;label\na;1;0\n", "column 'label' occurs more than once, and differs from row 2 on"),
        ("image,label\na,1,0\n", "row 2 has 3 values, the header has 2"),
        ("", r"labels\.csv: the file is empty; expected a table"),
        ("PAR1", "this is Parquet; export it as CSV"),
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
    log = read_log([written(tmp_path, of(policy, text))], policy)
    rows = by_period(MonitorConfig(), log)
    assert [(row.name, row.images) for row in rows] == [("week of 2026-01-05", 7), ("week of 2026-01-12", 7)]
    assert [row.name for row in by_source(MonitorConfig(), log)] == ["all", "s1", "s0"]
    bare = read_log([written(tmp_path, of(policy, '{"probability": 0.5, "status": "ok"}\n' * 25))], policy)
    assert [row.images for row in by_period(MonitorConfig(block=10), bare)] == [10, 10, 5]
