"""From the bytes of a table to its header and rows, every reason why they are none in words."""

from __future__ import annotations

import csv
import io

from components.common.runtime.errors import DataError
from components.common.storage import store

Rows = list[list[str]]

_OTHER = (
    (b"\x1f\x8b", "gzip; unpack it"), (b"PK\3\4", "an Excel workbook or a zip; export the sheet as CSV"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook; export the sheet as CSV"), (b"PAR1", "Parquet; export it as CSV"),
    (b"\xff\xfe", "UTF-16 text; save it as UTF-8"), (b"\xfe\xff", "UTF-16 text; save it as UTF-8"),
    (b"%PDF", "a PDF"), (b"<!DOCTYPE", "a web page; download the file itself"),
    (b"<!doctype", "a web page; download the file itself"), (b"<html", "a web page; download the file itself"),
)  # fmt: skip
_MARKS = {";": "semicolons", "\t": "tabs", "|": "bars"}


def read_rows(uri: str) -> tuple[list[str], Rows]:
    """Header and rows of the CSV at `uri`; row i of the result is row i + 2 of the file as a spreadsheet counts.

    Raises:
        DataError: absent, not UTF-8, not a CSV with commas, or rows of another width than the header.
    """
    text = _text(uri)
    if "\0" in text:
        raise DataError(f"{uri}: row {text[: text.index(chr(0))].count(chr(10)) + 1} holds a zero byte; not a CSV")
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows: Rows = []
    try:
        for fields in reader:
            rows.append([field.strip() for field in fields])
    except csv.Error as error:
        raise DataError(f"{uri}: row {len(rows) + 1} is not CSV ({error}); check its quotes") from None
    while rows and not any(rows[-1]):
        rows.pop()
    _refuse_other_marks(uri, rows)
    if len(rows) < 2:
        raise DataError(f"{uri}: {'no rows below the header' if rows else 'the file is empty'}; expected a table")
    header = rows[0]
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(header):
            raise DataError(f"{uri}: row {number} has {len(row)} values, the header has {len(header)}")
    return header, rows[1:]


def table_bytes(uri: str) -> bytes:
    """The bytes of a table's file.

    Raises:
        DataError: it is not there or cannot be read.
    """
    try:
        return store.read_bytes(uri)
    except FileNotFoundError:
        raise DataError(f"{uri}: no such file; expected the metadata table (CSV)") from None
    except OSError as error:
        raise DataError(f"{uri}: cannot be read ({error.strerror}); expected the metadata table (CSV)") from None


def _text(uri: str) -> str:
    data = table_bytes(uri)
    other = next((name for magic, name in _OTHER if data.startswith(magic)), "")
    if other:
        raise DataError(f"{uri}: this is {other}; expected the metadata table as CSV text")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = data.count(b"\n", 0, error.start) + 1
        raise DataError(f"{uri}: row {row} is not UTF-8 text (byte {error.start}); save the table as UTF-8") from None


def _refuse_other_marks(uri: str, rows: Rows) -> None:
    if rows and len(rows[0]) == 1:
        mark = next((name for sign, name in _MARKS.items() if sign in rows[0][0]), "")
        if mark:
            raise DataError(
                f"{uri}: the header is not divided by commas but by {mark} ({rows[0][0][:60]!r}); save it as CSV "
                "with commas"
            )
