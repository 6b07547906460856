"""From the bytes of a table's file to its cells as text: any separator, UTF-8 or UTF-16, or an Excel workbook.

What spreadsheets leave behind is dropped: `sep=,` lines, blank rows, columns without name and content, the index that
pandas writes. What is not a table is refused, saying what it is.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pa_csv

from components.common.runtime.errors import DataError
from components.common.storage import store

_XLSX, _OLD_EXCEL = b"PK\3\4", b"\xd0\xcf\x11\xe0"
_OTHER = (
    (b"\x1f\x8b", "a gzip archive; unpack it"),
    (_OLD_EXCEL, "an Excel workbook of the old format; save it as .xlsx or CSV"),
    (b"PAR1", "Parquet; export it as CSV"),
    (b"%PDF", "a PDF document; expected the table itself"),
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself; run `git lfs pull`"),
    (b"<!doctype html", "a web page; download the file itself"),
    (b"<html", "a web page; download the file itself"),
    (b"<?xml", "XML, often the error message of a store; download the file again"),
    (b"{", "JSON; export the table as CSV"),
)
_SEPARATORS = ",;\t|"
_BLANK_LINE = re.compile(rb"\n\r?\n|\r\r")
_SEP_LINE = re.compile(r'^"?sep=(.)"?\r?(\n|$)', re.IGNORECASE)


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


def read_sheet(
    uri: str,
    without_header: Callable[[list[str]], list[str] | None] = lambda first_row: None,
    digest: Callable[[bytes], object] = lambda data: None,
) -> Sheet:
    """Reads the table at `uri`.

    Args:
        uri: path or URI of a CSV or .xlsx file.
        without_header: given the cells of the first row, says what the columns are called if it is not a header.
        digest: is given the file's bytes.

    Raises:
        DataError: absent, not a table, or rows of another width than the header.
    """
    cells, rows = _cells(uri, digest)
    for at in cells.columns:
        cells[at] = cells[at].str.strip()
    top: list[str] = cells.iloc[0].tolist()
    header = without_header(top)
    if header is None:
        header, cells, rows = top, cells.iloc[1:], rows[1:]
    blank = (cells[0] == "").to_numpy(copy=True)
    blank[blank] = (cells[blank] == "").all(axis=1)
    if blank.any():
        cells, rows = cells[~blank], rows[~blank]
    sheet = Sheet(uri, header, cells.reset_index(drop=True), rows)
    if sheet.cells.empty:
        raise DataError(f"{uri}: no rows below the header; expected one row per image")
    _drop_unnamed(sheet)
    _check_header(sheet)
    return sheet


def _bytes(uri: str) -> bytes:
    try:
        return store.read_bytes(uri)
    except FileNotFoundError as error:
        raise DataError(f"{uri}: no such file; expected the metadata table (CSV)") from error
    except OSError as error:
        raise DataError(f"{uri}: cannot be read ({error.strerror}); expected the metadata table (CSV)") from error


def _cells(uri: str, digest: Callable[[bytes], object]) -> tuple[pd.DataFrame, npt.NDArray[np.int64]]:
    """All cells with the header row, columns by number, and the number of each row."""
    data = _bytes(uri)
    digest(data)
    if data.startswith(_XLSX):
        cells = _excel(uri, data)
        return cells, np.arange(1, len(cells) + 1)
    start = data[:100].lstrip(b" \t\r\n\xef\xbb\xbf").lower()
    other = next((name for magic, name in _OTHER if data.startswith(magic) or start.startswith(magic)), "")
    if other:
        raise DataError(f"{uri}: this is {other}")
    return _csv(uri, _utf8(uri, data))


def _excel(uri: str, data: bytes) -> pd.DataFrame:
    try:
        import openpyxl  # type: ignore[import-untyped]  # noqa: F401 - what pandas reads workbooks with
    except ImportError as error:
        raise DataError(
            f"{uri}: this is an Excel workbook (or a zip); to read workbooks: pip install 'lesionflow[excel]', "
            "or export the sheet as CSV"
        ) from error
    try:
        book = pd.read_excel(io.BytesIO(data), sheet_name=None, header=None, dtype=str, keep_default_na=False)
    except Exception as error:  # openpyxl raises KeyError, BadZipFile, ValueError, InvalidFileException ...
        raise DataError(f"{uri}: this is a zip, but not a readable Excel workbook ({error}); unpack it") from error
    filled = {name: sheet for name, sheet in book.items() if not sheet.empty}
    if len(filled) != 1:
        names = ", ".join(map(str, filled)) or "none"
        raise DataError(f"{uri}: {len(filled)} sheets hold cells ({names}); expected one: save the table alone")
    return next(iter(filled.values())).fillna("").astype("str")


def _utf8(uri: str, data: bytes) -> bytes:
    """The text as UTF-8 without a byte order mark."""
    encoding = "utf-8-sig"
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16"
    elif len(data) > 3 and not data[1] and data[0] and not data[3]:
        encoding = "utf-16-le"
    elif len(data) > 3 and not data[0] and data[1] and not data[2]:
        encoding = "utf-16-be"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        row = data.count(b"\n", 0, error.start) + 1
        raise DataError(f"{uri}: row {row} is not UTF-8 text (byte {error.start}); save the table as UTF-8") from error
    if "\0" in text:
        raise DataError(f"{uri}: row {text[: text.index(chr(0))].count(chr(10)) + 1} holds a zero byte; not a CSV")
    return data if encoding == "utf-8-sig" and not data.startswith(b"\xef\xbb\xbf") else text.encode()


def _csv(uri: str, data: bytes) -> tuple[pd.DataFrame, npt.NDArray[np.int64]]:
    head = data[:100_000].decode("utf-8", "ignore")
    marked = _SEP_LINE.match(head)
    above = marked.end() if marked else 0  # what stands above the header
    above += len(head[above:]) - len(head[above:].lstrip("\r\n"))
    first_row = 1 + len(head[:above].splitlines())
    data, head = data[len(head[:above].encode()) :], head[above:]
    if not head.strip():
        raise DataError(f"{uri}: the file is empty; expected a table")
    separator = marked[1] if marked else _separator(head)
    rows = None
    if b'"' in data or _BLANK_LINE.search(data):  # only then rows may be other than lines
        rows = _row_numbers(uri, data, separator, first_row)
    names = [str(at) for at in range(len(next(csv.reader(io.StringIO(head, newline=None), delimiter=separator))))]
    try:
        table = pa_csv.read_csv(
            pa.BufferReader(data),
            pa_csv.ReadOptions(use_threads=False, column_names=names, block_size=2**24),
            pa_csv.ParseOptions(delimiter=separator, newlines_in_values=True),
            pa_csv.ConvertOptions(column_types=dict.fromkeys(names, pa.large_string()), strings_can_be_null=False),
        )
    except pa.ArrowInvalid as error:
        _row_numbers(uri, data, separator, first_row)  # names the row
        raise DataError(f"{uri}: not readable as CSV ({' '.join(str(error).split())})") from error
    if rows is None:
        rows = np.arange(first_row, first_row + len(table))
    cells: pd.DataFrame = table.to_pandas(split_blocks=True, self_destruct=True)
    if len(cells) != len(rows):
        raise DataError(f"{uri}: {len(rows)} rows are {len(cells)} without their quotes; check the quotes")
    cells.columns = pd.RangeIndex(cells.shape[1])
    return cells, rows


def _row_numbers(uri: str, data: bytes, separator: str, first_row: int) -> npt.NDArray[np.int64]:
    """The number of each row that is not blank, counted as a spreadsheet does.

    Raises:
        DataError: a row is not CSV, or of another width than the header.
    """
    reader = csv.reader(io.TextIOWrapper(io.BytesIO(data), "utf-8", newline=""), delimiter=separator, strict=True)
    number, width, filled = first_row - 1, 0, []
    try:
        for number, cells in enumerate(reader, start=first_row):
            width = width or len(cells)
            if cells and len(cells) != width:
                raise DataError(f"{uri}: row {number} has {len(cells)} values, the header has {width}")
            if cells:
                filled.append(number)
    except csv.Error as error:
        raise DataError(f"{uri}: row {number + 1} is not CSV ({error}); check its quotes") from error
    return np.array(filled, np.int64)


def _separator(head: str) -> str:
    """The separator that stands most often in the first row, outside of quotes; a comma where none does."""
    line = re.sub(r'"[^"]*"', "", re.split(r"[\r\n]", head, maxsplit=1)[0])
    return max(_SEPARATORS, key=line.count)


def _drop_unnamed(sheet: Sheet) -> None:
    for at in [at for at, name in enumerate(sheet.header) if name == "" or re.fullmatch(r"Unnamed: \d+", name)]:
        values = sheet.cells[at]
        if at == 0 and values.str.fullmatch(r"[0-9]+").all():
            sheet.notes.append("the first column has no name and counts the rows; it is left out")
        elif (values != "").any():
            first = int(np.flatnonzero(values != "")[0])
            raise DataError(
                f"{sheet.source}: column {at + 1} has no name, but holds values, the first in row {sheet.rows[first]}: "
                f"{values[first][:80]!r}; give it a name or empty it"
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
    lower = [name.lower() for name in sheet.header]
    twice = next((name for name in lower if lower.count(name) > 1), None)
    if twice is not None:
        raise DataError(f"{sheet.source}: column {twice!r} is there more than once; expected each once")
    sheet.cells.columns = pd.Index(sheet.header)
