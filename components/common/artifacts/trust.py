"""`trust.json`: the questions to ask before an evaluation is believed, each with its answer; always the same ones.

Evaluate answers them from its own figures and the lineage; the report's first screen, the card and the console's
summary show the same lines. A program finds a line by its key. People are shown the question that is in the file: its
answer was given to that wording, and a later one may ask for more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any, Literal

from pydantic import model_validator

from components.common.artifacts.json_file import Document, read_record, write_json

SCHEMA = "lesionflow.trust/1"
FILE = "trust.json"

Level = Literal["green", "amber", "red"]
LEVELS: dict[Level, str] = {"green": "good", "amber": "caution", "red": "problem"}

Key = Literal[
    "target_sensitivity",
    "malignant_lesions",
    "groups_in_one_split",
    "lost_images",
    "near_duplicates",
    "calibration",
    "failing_groups",
    "table_alone",
    "test_openings",
    "external_data",
    "promised_sensitivity",
    "seen_before",
    "ranking_here",
    "specificity_here",
    "label_meaning",
    "diagnosis_mix",
    "refused_images",
    "left_out",
]
# the wording in use, then earlier ones, under which documents without keys are known
_WORDINGS: Mapping[Key, tuple[str, ...]] = {
    "target_sensitivity": ("Was the target sensitivity met on test?",),
    "malignant_lesions": (
        "How many malignant lesions is this based on?",
        "How many malignant lesions stand behind this?",
    ),
    "groups_in_one_split": (
        "Are images of one lesion or patient kept in one split?",
        "Are images of one lesion or patient kept on one side?",
    ),
    "lost_images": ("Was anything lost, and from which class?",),
    "near_duplicates": ("Do near-duplicate images cross between training and test?",),
    "calibration": ("Do predicted probabilities match observed rates?",),
    "failing_groups": ("Is there a group in which the operating point fails?",),
    "table_alone": (
        "What ROC-AUC does the table alone reach?",
        "How much of the ROC-AUC can be had from the table alone?",
    ),
    "test_openings": ("How often has this test set been opened?",),
    "external_data": ("Was it tested on data from elsewhere?",),
    "promised_sensitivity": ("Does the promised sensitivity hold here?",),
    "seen_before": ("Has the model seen these images before?",),
    "ranking_here": ("Does the model rank as well here as in its internal test?",),
    "specificity_here": ("Does it clear benign images as well?",),
    "label_meaning": ("Does malignant mean the same here and in training?",),
    "diagnosis_mix": ("Is the mix of diagnoses one that can be compared?",),
    "refused_images": ("Did the bundle refuse images, and why?",),
    "left_out": (
        "Was anything left out of the figures, and from which class?",
        "Is anything in no figure, and from which class?",
    ),
}
_KEYS: Mapping[str, Key] = {wording: key for key, wordings in _WORDINGS.items() for wording in wordings}


class Line(Document):
    """One question.

    Attributes:
        key: by which a program finds it, whatever its wording.
        level: green: nothing speaks against the figures here; amber: read the section; red: they do not hold.
        question: what is asked.
        answer: with its number.
        section: of the report, where the evidence is.
    """

    key: Key
    level: Level
    question: str
    answer: str
    section: str

    @property
    def word(self) -> str:
        """The level for those who cannot tell the colours apart."""
        return LEVELS[self.level]

    @model_validator(mode="before")
    @classmethod
    def _with_key(cls, value: Any) -> Any:
        """Adds the key to a line that was written before there were keys."""
        if not isinstance(value, dict) or "key" in value or not isinstance(value.get("question"), str):
            return value
        key = _KEYS.get(value["question"])
        return value if key is None else {**value, "key": key}


class _Lines(Document):
    lines: list[Line]


def answered(key: Key, level: Level, answer: str, section: str) -> Line:
    """A line with the question as it is worded now."""
    return Line(key=key, level=level, question=_WORDINGS[key][0], answer=answer, section=section)


def differing(found: Sequence[Line], computed: Sequence[Line]) -> str:
    """The key of the first line that does not claim what was computed; empty where all do.

    An earlier wording of a question is the same claim; a question that was never asked under this key is not. Answers
    are compared to the letter: `none is seen` once stood where `none was found` with its condition stands now.
    """
    for one, again in zip_longest(found, computed):
        if one is None or again is None:
            return str((one or again).key)
        same = (one.key, one.level, one.answer) == (again.key, again.level, again.answer)
        if not same or one.question not in _WORDINGS[one.key]:
            return again.key
    return ""


def level_counts(lines: Sequence[Line]) -> str:
    """The answers counted by level: `1 problem, 6 cautions, 3 good`."""
    loud: tuple[tuple[Level, str], ...] = (("red", "problem"), ("amber", "caution"))
    counts = [(sum(line.level == level for line in lines), word) for level, word in loud]
    said = [f"{n or 'no'} {word}{'' if n == 1 else 's'}" for n, word in counts]
    return ", ".join([*said, f"{sum(line.level == 'green' for line in lines)} good"])


def save_trust(path: Path, lines: Sequence[Line]) -> None:
    """Writes `trust.json`."""
    write_json(path, {"schema": SCHEMA, "lines": [line.model_dump() for line in lines]})


def load_trust(path: Path) -> list[Line]:
    """Reads `trust.json`; no lines where there is no such file, as in evaluations by version 0.1.

    Lines without keys, from before there were any, get theirs by the wording of their question.

    Raises:
        ArtifactError: a line lacks a field or has one of another type, or its question is not one of ours.
    """
    if not path.is_file():
        return []
    return read_record(path, SCHEMA, _Lines, "evaluate the bundle again").lines
