"""What the cells of one table mean: every value checked, each fault named by row and column.

Rules: an image id is the name of a file, with or without suffix and folder; an image id twice, an age that cannot be
one, text that a spreadsheet would run as a formula are refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from components.common.artifacts.index import COLUMNS, OPTIONAL, THUMBNAIL
from components.common.runtime.errors import DataError
from components.common.runtime.words import counted
from components.common.storage import store
from components.common.storage.sheet import BLANK, Sheet
from components.ingest import values
from components.ingest.layouts import Reading, perhaps_patient

# Columns of the table that are not columns of the index: the row in the file, the folder that the image's name
# carries, what the label column says, and the label that this is (1, 0, or -1 where it is none).
WORKING = ("row", "folder", "said", "stated_label")
_RESERVED = frozenset({*COLUMNS, *OPTIONAL, THUMBNAIL, *WORKING})
_SHOWN = 5
_FORMULA = ("=", "+", "-", "@")  # what a spreadsheet runs when it opens a CSV made of these values
_HOT, _COLD = ("1", "1.0", "1,0", "True", "TRUE", "true"), ("0", "0.0", "0,0", "False", "FALSE", "false")
# What stands in front of the totals below a table.
_TOTALS = frozenset({"total", "totals", "sum", "sums", "summe", "gesamt", "somme", "totale", "suma", "mean", "average"})
_NEGATIVE = re.compile(r"-\d+(\.\d+)?")


class Cells:
    """One table's cells, read column by column.

    Attributes:
        notes: what was replaced or left out.
    """

    def __init__(self, sheet: Sheet, reading: Reading) -> None:
        """The cells of `sheet`, whose columns mean what `reading` says."""
        self.sheet, self.reading = sheet, reading
        self.notes = list(sheet.notes)
        if "image_id" in reading.columns and reading.labelled:
            self._leave_out_remarks()
        if "patient_id" not in reading.columns and perhaps_patient(sheet.header):
            name = perhaps_patient(sheet.header)
            self.notes.append(
                f"column {name} may identify the patient but is not used: to keep a patient's images in one split, set "
                f"columns: {{patient_id: {name}}}"
            )

    def columns(self) -> pd.DataFrame:
        """The columns with a meaning as `Table.rows` has them, then the further ones as text.

        Raises:
            DataError: values that break the rules; names row, column and value.
        """
        for meaning in self.reading.columns.keys() - {"image_id", "age"}:
            self._refuse_formulas(meaning)
        found = pd.DataFrame({"row": self.sheet.rows})
        if "image_id" in self.reading.columns:
            found["image_id"], found["folder"] = self._image_ids()
        for name in ("lesion_id", "patient_id"):
            if name in self.reading.columns:
                found[name] = self._each(
                    name, values.group_id, "text without line breaks, and not a number that a spreadsheet has shortened"
                )
        if self.reading.labelled:
            found["dx"], found["said"], found["stated_label"] = self._labels()
        if "age" in self.reading.columns:
            found["age"] = self._each("age", values.age, values.AGES).astype("float64")
            self._note_age_ranges()
        for name, read in (("sex", values.sex), ("skin_type", values.skin_type)):
            if name in self.reading.columns:
                found[name] = self._replaced(name, read)
        if "localization" in self.reading.columns:
            texts = self._texts("localization").str.lower()
            found["localization"] = texts.where(~texts.isin(BLANK), "unknown")
        for name in ("dx_type", "dataset", "licence", "image_type"):
            if name in self.reading.columns:
                found[name] = self._texts(name)
        return pd.concat([found, self._further(found)], axis=1)

    def _leave_out_remarks(self) -> None:
        """Leaves out what is no image's row: no name and no label, or totals and remarks below the last image."""
        meanings = [name for one in ("label", "diagnosis") for name in self.reading.columns.get(one, [])]
        says = self.sheet.cells[[*meanings, *self.reading.one_hot]]
        ids = self._texts("image_id")
        without = (ids == "").to_numpy(copy=True)
        if without.any():
            without[without] = (says[without] == "").all(axis=1)
        last = len(ids) - 1
        while last > 0 and (without[last] or self._is_remark(last, str(ids.iloc[last]))):
            without[last] = True
            last -= 1
        if without.any() and not without.all():
            row = int(self.sheet.rows[without][0])
            shown = next(cell for cell in self.sheet.cells[without].iloc[0] if cell)
            self.notes.append(
                f"{counted(int(without.sum()), 'row')} without the name of an image left out: the first is row {row} "
                f"({shown[:40]!r})"
            )
            cells = self.sheet.cells[~without].reset_index(drop=True)
            self.sheet = replace(self.sheet, cells=cells, rows=self.sheet.rows[~without])

    def _is_remark(self, at: int, image_id: str) -> bool:
        if image_id.lower().rstrip(":") in _TOTALS:
            return True
        is_text = " " in image_id and not store.suffix_of(image_id)
        return is_text and int((self.sheet.cells.iloc[at] != "").sum()) == 1

    def _further(self, found: pd.DataFrame) -> pd.DataFrame:
        used = {name for names in self.reading.columns.values() for name in names} | self.reading.one_hot.keys()
        renamed: dict[str, str] = {}
        for name in self.sheet.header:
            key = name.lower()
            while key in found or key in _RESERVED or key in renamed.values():
                key = f"table_{key}"
            if name not in used:
                renamed[name] = key
        return self.sheet.cells[list(renamed)].rename(columns=renamed)

    def _texts(self, meaning: str) -> pd.Series[str]:
        """The cells of the first column with this meaning, blank ones filled from the next."""
        first, *others = self.reading.columns[meaning]
        texts = self.sheet.cells[first]
        for name in others:
            texts = texts.where(~texts.str.lower().isin(BLANK), self.sheet.cells[name])
        return texts

    def _each(self, meaning: str, read: Callable[[str], object], expected: str) -> pd.Series[str]:
        """What `read` makes of each cell; every distinct text is read once."""
        texts = self._texts(meaning)
        read_as: dict[str, object] = {}
        odd = []
        for text in texts.unique():
            try:
                read_as[text] = read(text)
            except values.OddValueError:
                odd.append(text)
        if odd:
            self._refuse(meaning, texts.isin(odd), expected)
        return texts.map(read_as)

    def _note_age_ranges(self) -> None:
        texts = self._texts("age")
        ranges = texts[texts.isin([one for one in texts.unique() if values.is_age_range(one)])]
        if len(ranges):
            name, number = self.reading.columns["age"][0], counted(len(ranges), "age range")
            self.notes.append(f"column {name}: {number} read as the middle, the first is {ranges.iloc[0]}")

    def _refuse(self, meaning: str, wrong: pd.Series[bool], expected: str) -> None:
        name, texts = self.reading.columns[meaning][0], self._texts(meaning)[wrong]
        rows = self.sheet.rows[wrong.to_numpy()]
        self._raise([(row, name, repr(text[:80])) for row, text in zip(rows, texts, strict=True)], expected)

    def _raise(self, wrong: list[tuple[int, str, str]], expected: str) -> None:
        shown = "; ".join(f"row {row}, column {name}: received {text}" for row, name, text in wrong[:_SHOWN])
        more = f" (and {len(wrong) - _SHOWN} more rows)" if len(wrong) > _SHOWN else ""
        raise DataError(f"{self.sheet.source}: {shown}{more}; expected {expected}")

    def _refuse_formulas(self, meaning: str) -> None:
        texts = self._texts(meaning)
        starting = texts[texts.str.startswith(_FORMULA)].unique()
        odd = [one for one in starting if not values.is_blank(one) and not _NEGATIVE.fullmatch(one)]
        if odd:
            self._refuse(
                meaning,
                texts.isin(odd),
                "text that does not begin with =, +, - or @, which a spreadsheet would run as a formula",
            )

    def _image_ids(self) -> tuple[list[str], list[str]]:
        ids, folders, wrong = [], [], []
        column = self.reading.columns["image_id"][0]
        for number, text in zip(self.sheet.rows, self._texts("image_id"), strict=True):
            try:
                image_id, folder = values.image_id(text)
            except values.OddValueError:
                wrong.append((number, column, repr(text[:80])))
                continue
            ids.append(image_id)
            folders.append(folder)
        if wrong:
            self._raise(
                wrong, "a plain file name, with or without suffix and folder; not an address, nor a path with .."
            )
        self._refuse_shortened(ids, column)
        self._refuse_twice(ids, folders, column)
        if any(folders):
            first = next(text for text, folder in zip(self._texts("image_id"), folders, strict=True) if folder)
            self.notes.append(
                f"column {column}: {sum(map(bool, folders))} names include a folder, the first is {first[:80]}; images "
                "are found by name, and by folder where a name occurs more than once"
            )
        return ids, folders

    def _refuse_shortened(self, ids: list[str], column: str) -> None:
        cut = [i for i, one in enumerate(ids) if "+" in one and values.shortened(one)]
        if cut:
            self._raise(
                [(self.sheet.rows[i], column, repr(ids[i])) for i in cut],
                "names, and not numbers that a spreadsheet has shortened: format the column as text and export again",
            )

    def _refuse_twice(self, ids: Sequence[str], folders: Sequence[str], column: str) -> None:
        seen: dict[str, int] = {}
        wrong, elsewhere = [], False
        for at, one in enumerate(ids):
            first = seen.setdefault(one, at)
            if first != at:
                wrong.append((self.sheet.rows[at], column, repr(f"{one} (also row {self.sheet.rows[first]})")))
                elsewhere |= folders[first] != folders[at]
        if wrong:
            more = "; files of one name in several folders need names of their own" if elsewhere else ""
            self._raise(wrong, f"each image once{more}")

    def _replaced(self, meaning: str, read: Callable[[str], str | None]) -> pd.Series[str]:
        """Values read by `read`; blank ones and those it does not know become unknown, the latter with a note."""
        texts = self._texts(meaning)
        read_as = {text: read(text) for text in texts.unique()}
        odd = [text for text, value in read_as.items() if value is None and not values.is_blank(text)]
        odd = [text for text in odd if text not in values.NO_LABEL]
        if odd:
            wrong, name = texts[texts.isin(odd)], self.reading.columns[meaning][0]
            self.notes.append(
                f"column {name}: {counted(len(wrong), 'value')} not recognised and counted as unknown, the first in "
                f"row {self.sheet.rows[wrong.index[0]]}: {wrong.iloc[0][:80]!r}"
            )
        return texts.map({text: value or "unknown" for text, value in read_as.items()})

    def _labels(self) -> tuple[pd.Series[str], pd.Series[str], pd.Series[int]]:
        """Diagnosis, text of the label column, and the label that this text is, row by row."""
        nothing = pd.Series("", index=self.sheet.cells.index, dtype="str")
        said = self._plain("label") if "label" in self.reading.columns else nothing
        if self.reading.one_hot:
            dx = self._one_hot()
        elif "diagnosis" in self.reading.columns:
            dx = self._plain("diagnosis")
            if "label" not in self.reading.columns:  # a diagnosis column may hold labels only
                said = dx if any(label >= 0 for label in self._meant(dx).values()) else said
        meant = self._meant(said)
        if not self.reading.one_hot and "diagnosis" not in self.reading.columns:
            dx = said.map({text: {1: "malignant", 0: "benign"}.get(label, text) for text, label in meant.items()})
        stated = said.map(meant).astype("int8")
        self._refuse_disagreement(stated)
        return dx, said, stated

    def _meant(self, said: pd.Series[str]) -> dict[str, int]:
        words = {word: int(kind == "malignant") for word, kind in self.reading.words.items()}
        return values.labels_of(said.unique(), words)

    def _refuse_disagreement(self, stated: pd.Series[int]) -> None:
        """Refuses a table of which two columns are labels by their names and say different things."""
        for name in self.reading.further_labels:
            texts = self.sheet.cells[name].map({one: values.plain(one) for one in self.sheet.cells[name].unique()})
            other = texts.map(self._meant(texts)).astype("int8")
            odd = np.flatnonzero((stated >= 0) & (other >= 0) & (stated != other))
            if len(odd):
                first = self.reading.columns["label"][0]
                raise DataError(
                    f"{self.sheet.source}: columns {first} and {name} disagree in {counted(len(odd), 'row')}, the "
                    f"first is row {self.sheet.rows[odd[0]]}; say which one is the label: columns: {{label: {name}}}"
                )

    def _plain(self, meaning: str) -> pd.Series[str]:
        texts = self._texts(meaning)
        blank = BLANK | values.NO_LABEL
        read_as = {text: "" if text.lower() in blank else values.plain(text) for text in texts.unique()}
        return texts.map(read_as)

    def _one_hot(self) -> pd.Series[str]:
        names = list(self.reading.one_hot)
        cells = self.sheet.cells[names]
        hot = cells.isin(_HOT).to_numpy()
        number = hot.sum(axis=1)
        most = 1 if self.reading.one_hot_none else 2  # a row of zeros may mean something
        odd = (number > 1) | ~(hot | cells.isin(_COLD).to_numpy()).all(axis=1)
        if most == 2:
            odd |= number == 0
        if odd.any():
            wrong = [(self.sheet.rows[i], "/".join(names), repr(",".join(cells.iloc[i]))) for i in np.flatnonzero(odd)]
            self._raise(wrong, "exactly one 1 and zeros" if most == 2 else "zeros and at most one 1")
        diagnoses = np.array([*self.reading.one_hot.values(), self.reading.one_hot_none], dtype=object)
        return pd.Series(diagnoses[np.where(number == 0, len(names), hot.argmax(axis=1))], dtype="str")
