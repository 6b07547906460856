"""Reading the metadata table: three known layouts, every value checked, each fault named by row and column.

Rules: spaces around values and an image suffix after an id are dropped; an image id must be a plain file
name; an image id twice, an age outside 0..120, a one-hot row without exactly one 1, text that a spreadsheet
would run as a formula are refused. An unknown diagnosis and a lesion with two labels are reported, row by
row, as verdicts (`verdicts.py`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from typing import Any

from components.common.runtime.errors import DataError
from components.common.storage import store
from components.ingest.columns import RESERVED, Layout, layout_of
from components.ingest.rows import Rows, read_rows

Columns = dict[str, list[Any]]

MAX_AGE = 120
WORKING = ("row", "malignant_label", "stated_label")  # columns of the table that are no columns of the index
_ID = re.compile(r"\w[\w.\- ]{0,199}")
_BLANK = frozenset({"", "na", "nan", "n/a", "none", "null", "unknown", "-"})
_BINARY = {"0": "benign", "0.0": "benign", "benign": "benign", "false": "benign", "1": "malignant",
           "1.0": "malignant", "malignant": "malignant", "true": "malignant"}  # fmt: skip
_SEX = {"m": "male", "f": "female", "male": "male", "female": "female"}
_SHOWN = 5
_TEXT = ("dx_type", "dataset")
_WORDS = ("lesion_id", "dx", "label", "sex", "localization", *_TEXT)
_FORMULA = ("=", "+", "-", "@")  # what a spreadsheet runs when it opens a CSV made of these values


def read_table(uri: str) -> tuple[Columns, list[str]]:
    """Reads the table at `uri`, or the two at `LABELS,FACTS` (ISIC 2019 keeps them apart).

    Returns:
        One row an image: row (number in the file), image_id, lesion_id, dx, malignant_label (0, 1 or -1 for
        "as the policy says"), age, sex, localization, dx_type, dataset, then the table's further columns as
        text; and notes on what was replaced.

    Raises:
        DataError: not readable, or values that break the rules; the message names row, column and value.
    """
    first, _, second = uri.rpartition(",")
    if first and not store.exists(uri):
        labels, notes = _read(first)
        facts, more = _read(second)
        return _joined(labels, facts, first, second), notes + more
    table, notes = _read(uri)
    if "dx" not in table:
        raise DataError(
            f"{uri}: no column holds a diagnosis; expected dx, label, or a column in capitals for each diagnosis "
            "with 0 and 1"
        )
    return _completed(table), notes


def _read(uri: str) -> tuple[Columns, list[str]]:
    header, rows = read_rows(uri)
    layout = layout_of(header, uri)
    return _Checked(uri, header, rows, layout).table()


class _Checked:
    """One table's values, checked column by column."""

    def __init__(self, source: str, header: list[str], rows: Rows, layout: Layout) -> None:
        self.source, self.layout = source, layout
        self.columns = {name: [row[i] for row in rows] for i, name in enumerate(header)}
        self.ours = {ours: name for name, ours in layout.named.items()}
        self.notes: list[str] = []

    def table(self) -> tuple[Columns, list[str]]:
        ids = self._each("image_id", _image_id, "a plain file name without folders")
        self._unique(ids)
        self._refuse_formulas()
        found: Columns = {"row": list(range(2, len(ids) + 2)), "image_id": ids}
        if "lesion_id" in self.ours:
            found["lesion_id"] = self._each("lesion_id", _lesion_id, "text without line breaks")
        found |= self._diagnoses()
        if "age" in self.ours:
            found["age"] = self._each("age", _age, f"a number of years from 0 to {MAX_AGE}, or nothing")
        if "sex" in self.ours:
            found["sex"] = self._replaced("sex", lambda text: _SEX.get(text.lower()))
        if "localization" in self.ours:
            found["localization"] = [_known(text.lower()) for text in self._column("localization")]
        for name in _TEXT:
            if name in self.ours:
                found[name] = self._column(name)
        for name in self.layout.extra:
            key = name.lower()
            while key in found or key in RESERVED:
                key = f"table_{key}"
            found[key] = self.columns[name]
        return found, self.notes

    def _column(self, ours: str) -> list[str]:
        return self.columns[self.ours[ours]]

    def _each(self, ours: str, read: Callable[[str], object], expected: str) -> list[object]:
        values, wrong = [], []
        for number, text in enumerate(self._column(ours), start=2):
            try:
                values.append(read(text))
            except ValueError:
                wrong.append((number, text))
        self._refuse(self.ours[ours], wrong, expected)
        return values

    def _refuse(self, column: str, wrong: list[tuple[int, str]], expected: str) -> None:
        if wrong:
            shown = "; ".join(
                f"row {number}, column {column}: received {text[:80]!r}" for number, text in wrong[:_SHOWN]
            )
            more = f" (and {len(wrong) - _SHOWN} more rows)" if len(wrong) > _SHOWN else ""
            raise DataError(f"{self.source}: {shown}{more}; expected {expected}")

    def _unique(self, ids: Iterable[object]) -> None:
        seen: dict[object, int] = {}
        twice = []
        for number, one in enumerate(ids, start=2):
            if seen.setdefault(one, number) != number:
                twice.append((number, f"{one} (also row {seen[one]})"))
        self._refuse(self.ours["image_id"], twice, "each image id once")

    def _refuse_formulas(self) -> None:
        for ours in (one for one in _WORDS if one in self.ours):
            wrong = [
                (number, text)
                for number, text in enumerate(self._column(ours), start=2)
                if text.startswith(_FORMULA) and text.lower() not in _BLANK
            ]
            self._refuse(self.ours[ours], wrong, "text without =, +, - or @ in front, which spreadsheets run")

    def _replaced(self, ours: str, read: Callable[[str], str | None]) -> list[str]:
        """Values read by `read`; blank ones and those it does not know become unknown, the latter with a note."""
        values, odd = [], []
        for number, text in enumerate(self._column(ours), start=2):
            value = read(text)
            if value is None and text.lower() not in _BLANK:
                odd.append((number, text))
            values.append(value or "unknown")
        if odd:
            number, text = odd[0]
            self.notes.append(
                f"column {self.ours[ours]}: {len(odd)} values are not known and count as unknown, "
                f"the first in row {number}: {text[:80]!r}"
            )
        return values

    def _diagnoses(self) -> Columns:
        if self.layout.kind == "facts":
            return {}
        if self.layout.kind == "one_hot":
            return self._one_hot()
        texts = [text.lower() for text in self._column("dx" if self.layout.kind == "diagnoses" else "label")]
        stated = self._stated() if "label" in self.ours else None
        if self.layout.kind == "diagnoses":
            unsure = {} if stated is None else {"stated_label": stated}
            return {"dx": texts, "malignant_label": [-1] * len(texts), **unsure}
        if stated is None:
            return {"dx": texts, "malignant_label": [-1] * len(texts)}
        return {"dx": [_BINARY.get(text, "") for text in texts], "malignant_label": stated}

    def _stated(self) -> list[int] | None:
        """Labels that say benign or malignant themselves (-1 where there is none); None if they are codes."""
        texts = [text.lower() for text in self._column("label")]
        if not all(text in _BINARY or text in _BLANK for text in texts) or not any(text in _BINARY for text in texts):
            return None
        return [-1 if text not in _BINARY else int(_BINARY[text] == "malignant") for text in texts]

    def _one_hot(self) -> Columns:
        names, wrong, found = list(self.layout.codes), [], []
        for number, values in enumerate(zip(*(self.columns[name] for name in names), strict=True), start=2):
            hot = [name for name, value in zip(names, values, strict=True) if value in ("1", "1.0")]
            if len(hot) != 1 or any(value not in ("0", "0.0", "1", "1.0") for value in values):
                wrong.append((number, ",".join(values)))
            found.append(self.layout.codes[hot[0]] if hot else "")
        self._refuse("/".join(names), wrong, "exactly one 1 and zeros")
        return {"dx": found, "malignant_label": [-1] * len(found)}


def _joined(labels: Columns, facts: Columns, first: str, second: str) -> Columns:
    if "dx" not in labels:
        raise DataError(f"{first}: no column holds a diagnosis; expected the table with the diagnoses first")
    place = {image_id: i for i, image_id in enumerate(facts["image_id"])}
    absent = [image_id for image_id in labels["image_id"] if image_id not in place]
    if absent:
        raise DataError(
            f"{second}: no row for image {absent[0]} ({len(absent)} such images of {first}); "
            "expected a row for every image"
        )
    rows = [place[image_id] for image_id in labels["image_id"]]
    new = {name: [values[i] for i in rows] for name, values in facts.items() if name not in labels}
    return _completed(labels | new)


def _completed(table: Columns) -> Columns:
    """All our columns in order, absent ones filled, then the table's own."""
    images = table["image_id"]
    blank = {"age": math.nan, "sex": "unknown", "localization": "unknown", "dx_type": "", "dataset": ""}
    whole = {name: [value] * len(images) for name, value in blank.items()} | table
    lesions = table.get("lesion_id", images)
    whole["lesion_id"] = [lesion or image_id for lesion, image_id in zip(lesions, images, strict=True)]
    ours = ["row", "image_id", "lesion_id", "dx", "malignant_label", *blank]
    return {name: whole[name] for name in (*ours, *(name for name in whole if name not in ours))}


def _image_id(text: str) -> str:
    suffix = store.suffix_of(text)
    if suffix in store.IMAGE_SUFFIXES:
        text = text[: -len(suffix)]
    if not _ID.fullmatch(text) or ".." in text or text.endswith((" ", ".")):
        raise ValueError
    return text


def _lesion_id(text: str) -> str:
    if not text.isprintable() or len(text) > 200:
        raise ValueError
    return "" if text.lower() in _BLANK else text  # many images of "unknown" are not one lesion


def _age(text: str) -> float:
    if text.lower() in _BLANK:
        return math.nan
    age = float(text.replace("_", "?"))  # Python reads 1_0 as 10
    if not 0 <= age <= MAX_AGE:  # also refuses infinity
        raise ValueError
    return age


def _known(text: str) -> str:
    return "unknown" if text in _BLANK else text
