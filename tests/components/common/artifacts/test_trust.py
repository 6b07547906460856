"""trust.json: a question is found by its key, shown as it was asked, and read from files of before there were keys."""

import json
from pathlib import Path

import pytest

from components.common.artifacts.trust import Line, answered, differing, level_counts, load_trust, save_trust
from components.common.runtime.errors import ArtifactError

# whole, as a sample run wrote it before questions had keys
OLD = Path(__file__).with_name("earlier_trust.json").read_text(encoding="utf-8")
KEYS = [
    "target_sensitivity", "malignant_lesions", "groups_in_one_split", "lost_images", "near_duplicates", "calibration",
    "failing_groups", "table_alone", "test_openings", "external_data",
]  # fmt: skip


@pytest.fixture
def old(tmp_path):
    (tmp_path / "trust.json").write_text(OLD)
    return load_trust(tmp_path / "trust.json")


def test_a_document_without_keys_is_read_by_its_wordings_and_shown_as_it_was_asked(old):
    assert [line.key for line in old] == KEYS
    assert [line.question for line in old] == [line["question"] for line in json.loads(OLD)["lines"]]


def test_an_earlier_wording_is_the_same_claim_another_answer_is_not(old):
    again = [answered(line.key, line.level, line.answer, "data") for line in old]
    assert again[1].question != old[1].question
    assert differing(old, again) == ""
    surer = [*again[:6], answered("failing_groups", "green", "none was found: in no group", "slices"), *again[7:]]
    assert differing(old, surer) == "failing_groups"
    milder = [old[0].model_copy(update={"level": "green"}), *old[1:]]
    assert differing(milder, again) == "target_sensitivity"
    assert differing(old[:-1], again) == differing(old, again[:-1]) == "external_data"


def test_a_question_of_another_key_is_not_the_same_claim(old):
    moved = [old[0].model_copy(update={"question": old[3].question}), *old[1:]]
    assert differing(moved, old) == "target_sensitivity"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"question": "Is it good?"}, r"lines\.0\.key: missing"),
        ({"question": 3}, r"lines\.0\.key: missing"),
        ({"key": "is_it_good"}, r"lines\.0\.key: Input should be 'target_sensitivity'"),
    ],
)
def test_a_line_that_is_not_one_of_ours_is_refused(tmp_path, change, said):
    record = json.loads(OLD)
    record["lines"][0] |= change
    (tmp_path / "trust.json").write_text(json.dumps(record))
    with pytest.raises(ArtifactError, match=said):
        load_trust(tmp_path / "trust.json")


def test_lines_are_written_and_read(tmp_path):
    lines = [answered("lost_images", "green", "nothing: all 420 rows of the table are used", "data")]
    save_trust(tmp_path / "trust.json", lines)
    assert load_trust(tmp_path / "trust.json") == lines
    assert load_trust(tmp_path / "absent.json") == []


@pytest.mark.parametrize(
    ("levels", "said"),
    [
        (["red", "amber", "amber", "green"], "1 problem, 2 cautions, 1 good"),
        (["green"], "no problems, no cautions, 1 good"),
        (["red", "red", "amber"], "2 problems, 1 caution, 0 good"),
    ],
)
def test_problems_and_cautions_are_counted(levels, said):
    lines = [Line(key="calibration", level=one, question="?", answer="!", section="data") for one in levels]
    assert level_counts(lines) == said
