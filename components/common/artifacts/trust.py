"""`trust.json`: the questions to ask before an evaluation is believed, each with its answer; always the same ones.

Evaluate answers them from its own figures and the lineage; the report's first screen, the card and the console's
summary show the same lines.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from components.common.artifacts.json_file import Document, read_record, write_json

SCHEMA = "lesionflow.trust/1"
FILE = "trust.json"

Level = Literal["green", "amber", "red"]
LEVELS: dict[Level, str] = {"green": "good", "amber": "caution", "red": "problem"}


class Line(Document):
    """One question.

    Attributes:
        level: green: nothing speaks against the figures here; amber: read the section; red: they do not hold.
        question: what is asked.
        answer: with its number.
        section: of the report, where the evidence is.
    """

    level: Level
    question: str
    answer: str
    section: str

    @property
    def word(self) -> str:
        """The level for those who cannot tell the colours apart."""
        return LEVELS[self.level]


class _Lines(Document):
    lines: list[Line]


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

    Raises:
        ArtifactError: a line lacks a field or has one of another type.
    """
    if not path.is_file():
        return []
    return read_record(path, SCHEMA, _Lines, "evaluate the bundle again").lines
