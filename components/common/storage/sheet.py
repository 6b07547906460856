"""A table that a person made, from its bytes to its cells as text: CSV of any kind (`csv_text`) or an Excel workbook.

What spreadsheets leave behind is dropped, with a note where somebody may miss it: titles and comments above the header,
a header that comes again, blank rows, columns without name and content, the index that pandas writes, a column that
is there twice. What is not a table is refused, saying what it is.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd

from components.common.runtime.errors import DataError
from components.common.runtime.words import counted
from components.common.storage.csv_text import TOP, csv_cells

_XLSX, _OLD_EXCEL = b"PK\3\4", b"\xd0\xcf\x11\xe0"
_OTHER = (
    (b"\x1f\x8b", "a gzip archive; unpack it"),
    (_OLD_EXCEL, "an Excel workbook in the old format; save it as .xlsx or CSV"),
    (b"PAR1", "Parquet; export it as CSV"),
    (b"%PDF", "a PDF document; expected the table itself"),
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself; run `git lfs pull`"),
    (b"<!doctype html", "a web page; download the file itself"),
    (b"<html", "a web page; download the file itself"),
    (b"<table", "a web page; download the file itself"),
    (b"<?xml", "XML, often the error message of a store; download the file again"),
    (b"{", "JSON; export the table as CSV"),
    (b"\xff\xd8\xff", "a JPEG image; expected a table"),
    (b"\x89png", "a PNG image; expected a table"),
)
# What people, spreadsheets and data frames write for a missing value; compared in lower case.
_NOTHING = """
    - -- --- \N{EN DASH} \N{EM DASH} . .. ... ? ?? na n/a n.a. n.a #n/a #na <na> nan -nan nat
    none null (null) (blank) nil missing undefined unknown unk unspecified
    n.d. n/d nd tbd \\n * / s/n k.a. unbekannt unbek. inconnu desconocido sconosciuto unassigned pending
    -9 -99 -999 -9999
    #n/d #nv #null! #value! #ref! #div/0! #name? #num! 1.#ind -1.#ind 1.#qnan -1.#qnan
"""
_NOT = ("available", "known", "specified", "reported", "applicable", "recorded", "provided", "given", "stated")
BLANK = frozenset(
    {"", "#n/a n/a", "keine angabe", "no id", "none given", *_NOTHING.split(), *(f"not {word}" for word in _NOT)}
)
_UNNAMED = re.compile(r"|Unnamed: \d+([._]\d+)*", re.IGNORECASE)
_PROTECTED = re.compile(r'="([^"]*)"')  # how a text of digits is kept from becoming a number
_LONGEST_NAME = 80

Score = Callable[[list[str]], int]


@dataclass
class Sheet:
    """The cells of a table.

    Attributes:
        source: where it was read from.
        header: names of the columns, as they stand in the file.
        cells: text, one column per name; without white space around it, empty where the cell is.
        rows: number of each row, counted as a spreadsheet does.
        notes: what was dropped.
    """

    source: str
    header: list[str]
    cells: pd.DataFrame
    rows: npt.NDArray[np.int64]
    notes: list[str] = field(default_factory=list)


def sheet_of(
    source: str,
    data: bytes,
    without_header: Callable[[list[list[str]]], list[str] | None] = lambda first_rows: None,
    score: Score = lambda cells: 0,
) -> Sheet:
    """The table in a file's bytes; it may have no row below the header.

    Args:
        source: where the bytes were read from, for messages.
        data: a CSV or .xlsx file.
        without_header: given the cells of the first two rows, says what the columns are called if there is no header.
        score: how many names of known columns a row holds; the header is the first row unless a later one has more.

    Raises:
        DataError: not a table, or rows of another width than the header.
    """
    notes: list[str] = []
    cells, rows = _cells(source, data, score, notes)
    del data  # of a large table this is much memory, and nobody else holds it
    for at in cells.columns:
        cells[at] = cells[at].str.strip()
    cells, rows = _from_header_on(cells, rows, score, notes)
    header = without_header(cells.iloc[:2].to_numpy().tolist())
    if header is None:
        header, cells, rows = [_name(one) for one in cells.iloc[0]], cells.iloc[1:], rows[1:]
    again = (cells[0] == header[0]).to_numpy(copy=True)
    if again.any():
        again[again] = (cells[again] == header).all(axis=1)
        if again.any():
            number = counted(int(again.sum()), "row")
            notes.append(f"{number} repeating the header left out: the first is row {rows[again][0]}")
    keep = ~(_blank(cells) | again)
    if not keep.all():
        cells, rows = cells[keep], rows[keep]
    sheet = Sheet(source, header, cells.reset_index(drop=True), rows, notes)
    _drop_unnamed(sheet)
    _check_header(sheet)
    _unwrap(sheet)
    return sheet


def _blank(cells: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Which rows are empty; only those whose first cell is are looked at in full."""
    blank = (cells[0] == "").to_numpy(copy=True)
    blank[blank] = (cells[blank] == "").all(axis=1)
    return blank


def _from_header_on(
    cells: pd.DataFrame, rows: npt.NDArray[np.int64], score: Score, notes: list[str]
) -> tuple[pd.DataFrame, npt.NDArray[np.int64]]:
    """Without blank rows and titles above the header."""
    top = cells.iloc[:TOP].to_numpy().tolist()
    first = next((at for at, row in enumerate(top) if any(row)), 0)
    best = max(range(first, len(top)), key=lambda at: (score(top[at]), -at), default=first)
    if best > first and score(top[best]) > score(top[first]):
        title = next(cell for cell in top[first] if cell)
        notes.append(f"{counted(best - first, 'row')} above the header left out: {title[:60]!r}")
        first = best
    return (cells.iloc[first:], rows[first:]) if first else (cells, rows)


def _name(text: str) -> str:
    """A column's name without line breaks, repeated spaces, and the # or quotes that some programs put around it."""
    plain = " ".join(text.split()) if len(text) <= _LONGEST_NAME else text
    return plain.removeprefix("#").strip() if plain.startswith("#") and len(plain) > 2 else plain


def _cells(source: str, data: bytes, score: Score, notes: list[str]) -> tuple[pd.DataFrame, npt.NDArray[np.int64]]:
    """All cells with the header row, columns by number, and the number of each row."""
    if data.startswith(_XLSX):
        cells = _excel(source, data)
        return cells, np.arange(1, len(cells) + 1)
    start = data[:100].lstrip(b" \t\r\n\xef\xbb\xbf").lower()
    other = next((name for magic, name in _OTHER if data.startswith(magic) or start.startswith(magic)), "")
    if other:
        raise DataError(f"{source}: this is {other}")
    return csv_cells(source, data, score, notes)


def _excel(source: str, data: bytes) -> pd.DataFrame:
    try:
        import openpyxl  # type: ignore[import-untyped]  # noqa: F401 - what pandas reads workbooks with
    except ImportError as error:
        raise DataError(
            f"{source}: this is an Excel workbook (or a zip); to read workbooks: pip install 'lesionflow[excel]', "
            "or export the sheet as CSV"
        ) from error
    try:
        book = pd.read_excel(io.BytesIO(data), sheet_name=None, header=None, dtype=str, keep_default_na=False)
    except Exception as error:  # openpyxl raises KeyError, BadZipFile, ValueError, InvalidFileException ...
        raise DataError(f"{source}: this is a zip, but not a readable Excel workbook ({error}); unpack it") from error
    filled = {name: sheet for name, sheet in book.items() if not sheet.empty}
    if len(filled) != 1:
        names = ", ".join(map(str, filled)) or "none"
        raise DataError(f"{source}: {len(filled)} sheets hold cells ({names}); expected one: save the table alone")
    return next(iter(filled.values())).fillna("").astype("str")


def _drop_unnamed(sheet: Sheet) -> None:
    for at in [at for at, name in enumerate(sheet.header) if _UNNAMED.fullmatch(name)]:
        values = sheet.cells[at]
        if (at == 0 or sheet.header[at]) and values.str.fullmatch(r"[0-9]+(\.0)?").all():
            which = "the first column has no name" if at == 0 else f"column {at + 1} has no name of its own"
            sheet.notes.append(f"{which} and counts the rows; it is left out")
        elif not (blank := values.str.lower().isin(BLANK)).all():
            first = int(np.flatnonzero(~blank)[0])
            raise DataError(
                f"{sheet.source}: column {at + 1} has no name, but holds values, the first in row {sheet.rows[first]}: "
                f"{values[first][:80]!r}; give it a name or empty it, and delete titles above the names of the columns"
            )
        sheet.cells = sheet.cells.drop(columns=at)
    sheet.header = [name for at, name in enumerate(sheet.header) if at in sheet.cells.columns]


def _check_header(sheet: Sheet) -> None:
    odd = next((number for number, name in enumerate(sheet.header, start=1) if not name.isprintable()), 0)
    if odd:
        raise DataError(
            f"{sheet.source}: the name of column {odd} holds line breaks or control characters "
            f"({sheet.header[odd - 1][:80]!r}); expected a header of plain names; check the quotes of row 1"
        )
    seen: dict[str, int] = {}
    kept = []
    for at, name in enumerate(sheet.header):
        column = int(sheet.cells.columns[at])
        first = seen.setdefault(name.lower(), column)
        if first == column:
            kept.append(at)
            continue
        differ = np.flatnonzero(sheet.cells[first] != sheet.cells[column])
        if len(differ):
            row = sheet.rows[differ[0]]
            raise DataError(
                f"{sheet.source}: column {name.lower()!r} occurs more than once, and differs from row {row} on "
                f"({sheet.cells[first][differ[0]][:40]!r} and {sheet.cells[column][differ[0]][:40]!r}); expected "
                "each once: rename or delete one"
            )
        sheet.notes.append(f"column {name} occurs twice with the same values; one is left out")
    sheet.header = [sheet.header[at] for at in kept]
    sheet.cells = sheet.cells.iloc[:, kept]
    sheet.cells.columns = pd.Index(sheet.header)


def _unwrap(sheet: Sheet) -> None:
    """Takes off what programs wrap texts in: `="007"`, and single quotes around everything."""
    quoted = all(len(name) > 2 and name[0] == name[-1] == "'" for name in sheet.header)
    if quoted:
        sheet.header = [name[1:-1] for name in sheet.header]
        sheet.cells.columns = pd.Index(sheet.header)
    for name in sheet.header:
        texts = sheet.cells[name]
        if quoted:
            sheet.cells[name] = texts = texts.str.replace(r"^'(.*)'$", r"\1", regex=True)
        if len(texts) and texts.iloc[0].startswith('="'):
            sheet.cells[name] = texts.str.replace(_PROTECTED, r"\1", regex=True)
