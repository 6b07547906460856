"""How predictions are printed: a table, JSON or CSV, each with one row per image, whatever the image is called.

A file's name can hold line breaks, terminal escapes, marks that turn the direction of writing, bytes that are not
UTF-8, and what a spreadsheet takes for a formula. All of them are written as text that can do nothing.
"""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace

from components.common.artifacts.presentation import spreadsheet_text


@dataclass(frozen=True)
class Prediction:
    """One image and what the bundle predicts for it.

    Attributes:
        image: the path as it was found.
        status: `ok`, `refer`, `not_dermoscopy`, `missing`, or why the image was not read.
        decision: malignant, benign, refer or not readable.
        probability: calibrated P(malignant); None where not readable or not dermoscopy.
        threshold: probability from which the decision is malignant.
        logit: raw logit; None where not readable.
        policy_id: the decision policy.
        reason: why there is no probability; empty otherwise.
        distance: from the bundle's training images, about 1 for one like them; None where it was not measured.
    """

    image: str
    status: str
    decision: str
    probability: float | None
    threshold: float
    logit: float | None
    policy_id: str
    reason: str
    distance: float | None = None


def table(rows: Sequence[Prediction]) -> str:
    """A table for people, widest name first to set the width."""
    names = [visible(row.image) for row in rows]
    width = max(map(len, [*names, "image"]))
    lines = [f"{'image':{width}}  probability  decision      threshold  policy        reason"]
    for name, row in zip(names, rows, strict=True):
        shown = "-" if row.probability is None else f"{row.probability:.4f}"
        line = f"{name:{width}}  {shown:>11}  {row.decision:12}  {row.threshold:9.4f}  {row.policy_id:12}  "
        lines.append((line + visible(row.reason)).rstrip())
    return "\n".join(lines) + "\n"


def as_json(rows: Sequence[Prediction]) -> str:
    r"""One JSON array; a byte of a name that is not UTF-8 stands as `\xff`, since JSON has no other way."""
    records = [asdict(replace(row, image=_utf8(row.image))) for row in rows]
    return json.dumps(records, indent=2, allow_nan=False) + "\n"


def as_csv(rows: Sequence[Prediction]) -> str:
    """A table with a header for spreadsheets; text that would be a formula there starts with an apostrophe."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([one.name for one in fields(Prediction)])
    writer.writerows([_cell(value) for value in asdict(row).values()] for row in rows)
    return buffer.getvalue()


def visible(text: str) -> str:
    r"""Text in which every mark shows and none acts: line breaks, escapes and direction marks become `\n`, `\x1b`.

    >>> visible("a.jpg\n\x1b[2Jb.jpg\udcff")
    'a.jpg\\n\\x1b[2Jb.jpg\\xff'
    """
    return "".join(mark if mark.isprintable() else _escape(mark) for mark in text)


def write_out(text: str) -> None:
    """Writes to stdout; what its encoding lacks is escaped, because an error there would cost the other rows."""
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))
    sys.stdout.flush()


def _utf8(name: str) -> str:
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _escape(mark: str) -> str:
    if "\udc80" <= mark <= "\udcff":  # how Python holds a byte that is not UTF-8
        return f"\\x{ord(mark) - 0xDC00:02x}"
    return mark.encode("unicode_escape").decode("ascii")


def _cell(value: str | float | None) -> str:
    if not isinstance(value, str):
        return "" if value is None else repr(value)
    return spreadsheet_text(visible(value))
