"""The console's summary of a validation: the answer, there and here, and what speaks against it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path

from components.common.artifacts.presentation import DASH, estimate_text
from components.common.artifacts.trust import FILE as TRUST
from components.common.artifacts.trust import load_trust
from components.common.artifacts.validation import Validation, open_validation
from components.evaluate.regenerate import REPORT
from components.validate.pages import HEADINGS

_WIDTH = 100


def summary_lines(folder: Path) -> list[str]:
    """What is printed of a validation artifact.

    Raises:
        ArtifactError: the artifact is damaged.
    """
    _, record, _ = open_validation(folder)
    lines = [*textwrap.wrap(f"{record.verdict.sentence}.", _WIDTH), "", *_table(record), ""]
    doubts = [line for line in load_trust(folder / TRUST) if line.level != "green"]
    if doubts:
        lines.append("Before you trust this (green lines are in the report only):")
    for line in sorted(doubts, key=lambda one: one.level != "red"):
        said = f"{line.question} {line.answer}"
        lines += textwrap.wrap(said, _WIDTH, initial_indent=f"  {line.word:<8} ", subsequent_indent=" " * 11)
    return [*lines, "", f"report: {folder / REPORT}"]


def _table(record: Validation) -> Iterator[str]:
    yield f"{'':<32}{'internal test':<27}{'here':<27}{'with the mix of diagnoses there' if record.mix else ''}"
    for one in record.figures:
        there, here = estimate_text(one.there), estimate_text(one.here)
        yield f"{HEADINGS[one.name][0]:<32}{there:<27}{here:<27}{estimate_text(one.standardised, missing='')}".rstrip()
    there = f"{record.there.images:,} ({record.there.malignant:,})" if record.there else DASH
    yield f"{'images (malignant)':<32}{there:<27}{record.here.images:,} ({record.here.malignant:,})"
