"""CSV as people ship it: any of the usual separators and encodings, notes above the header, comments in between."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow
import pyarrow.csv

from components.common.runtime.errors import DataError
from components.common.runtime.words import counted

TOP = 20  # rows in which a header is looked for
_SEPARATORS = ",;\t|"
_SEP_LINE = re.compile(r'^"?sep=([^ "\r\n])"?\r?(\n|$)', re.IGNORECASE)
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")  # str.splitlines also splits at separators inside texts
# Invisible characters: copied text may hold any number of them and is still the same text.
_UNSEEN = dict.fromkeys((0x200B, 0x2060, 0xFEFF, 0x00AD))
_EMPTY_LINE = re.compile(rb"\n[\r\n]|\r\r")
_HEAD = 100_000  # bytes in which header and separator are found
_BLOCK = 20_000  # rows held as Python text at a time


def csv_cells(
    uri: str, data: bytes, score: Callable[[list[str]], int], notes: list[str]
) -> tuple[pd.DataFrame, npt.NDArray[np.int64]]:
    """The cells of a CSV from the header on, columns by number, and the number of each row as a spreadsheet counts.

    Args:
        uri: where it was read from, for messages.
        data: its bytes.
        score: how many names of known columns a row holds.
        notes: what was left out or assumed is added to them.

    Raises:
        DataError: not text, or rows of another width than the header.
    """
    data = _utf8(uri, data, notes)
    head = data[:_HEAD].decode("utf-8", "ignore")
    marked = _SEP_LINE.match(head)
    above = marked.end() if marked else 0
    top = _top(head[above:], marked[1] if marked else "", score)
    if top is None:
        raise DataError(f"{uri}: the file is empty; expected a table")
    if top.title:
        notes.append(f"{counted(top.lines, 'row')} above the header left out: {top.title[:60]!r}")
    above += top.offset
    first_row = 1 + len(_LINE.findall(head[:above]))
    return _parsed(uri, data[len(head[:above].encode()) :], top.separator, first_row, notes)


@dataclass(frozen=True)
class _Top:
    """Where the header is: offset and lines in front of it, the first of these, and the separator."""

    offset: int
    lines: int
    title: str
    separator: str


def _top(head: str, marked: str, score: Callable[[list[str]], int]) -> _Top | None:
    """The header is the first row that is not blank or a comment, unless a later one holds more known names."""
    lines = _LINE.findall(head)
    offsets = [0, *np.cumsum([len(line) for line in lines]).tolist()]
    filled = [at for at, line in enumerate(lines) if line.strip()]
    if not filled:
        return None
    first = next(
        (at for at, after in zip(filled, [*filled[1:], -1], strict=True) if not _is_comment(lines, at, after)),
        filled[0],
    )
    guess = marked or _separator(lines[first])
    best = (score(_cells_of(lines, first, guess)), first, guess)
    for separator in marked or _SEPARATORS:
        for at in filled[:TOP]:
            found = score(_cells_of(lines, at, separator))
            if found > best[0]:
                best = (found, at, separator)
    _, at, separator = best
    title = lines[filled[0]].strip().strip(_SEPARATORS) if at > filled[0] else ""
    return _Top(offsets[at], at - filled[0], title, separator)


def _is_comment(lines: list[str], at: int, after: int) -> bool:
    """Whether a line at the top is a remark and not a header that begins with #."""
    if not lines[at].startswith("#") or after < 0:
        return False
    return lines[after].startswith("#") or _separators(lines[at]) != _separators(lines[after])


def _separators(line: str) -> tuple[int, ...]:
    return tuple(line.count(one) for one in _SEPARATORS)


def _cells_of(lines: list[str], at: int, separator: str) -> list[str]:
    """The cells of the row that begins with this line."""
    try:
        return [cell.strip() for cell in next(csv.reader(lines[at:], delimiter=separator, skipinitialspace=True), [])]
    except csv.Error:
        return []


def _utf8(uri: str, data: bytes, notes: list[str]) -> bytes:
    """The text as UTF-8 without byte order mark, unseen characters and an end-of-file mark of DOS."""
    data = data.removesuffix(b"\x1a")
    encoding = "utf-8-sig"
    if data.startswith((b"\xff\xfe\0\0", b"\0\0\xfe\xff")):
        encoding = "utf-32"
    elif data.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16"
    elif len(data) > 3 and not data[1] and data[0] and not data[3]:
        encoding = "utf-16-le"
    elif len(data) > 3 and not data[0] and data[1] and not data[2]:
        encoding = "utf-16-be"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        row = data.count(b"\n", 0, error.start) + 1
        text = _windows_text(data) if encoding == "utf-8-sig" else ""
        if not text:
            raise DataError(
                f"{uri}: row {row} is not UTF-8 text (byte {error.start}); save the table as UTF-8"
            ) from error
        word = re.split(r"[,;|\s]", text[: error.start])[-1] + re.split(r"[,;|\s]", text[error.start :])[0]
        notes.append(
            f"row {row} is not UTF-8 text; the table is read as Windows-1252 ({word[:40]}); save it as UTF-8 if that "
            "is wrong"
        )
        encoding = "cp1252"
    if "\0" in text:
        raise DataError(f"{uri}: row {text[: text.index(chr(0))].count(chr(10)) + 1} holds a zero byte; not a CSV")
    if not text.isascii() and any(chr(one) in text for one in _UNSEEN):
        return text.translate(_UNSEEN).encode()
    return data if encoding == "utf-8-sig" and not data.startswith(b"\xef\xbb\xbf") else text.encode()


def _windows_text(data: bytes) -> str:
    """The text in the encoding of western Windows; empty where it is rather UTF-8 with damage, or neither."""
    as_utf8 = data.decode("utf-8", "replace")
    if any(one != "\N{REPLACEMENT CHARACTER}" for one in as_utf8 if not one.isascii()):
        return ""
    try:
        text = data.decode("cp1252")
    except UnicodeDecodeError:
        return ""
    strange = sum(not one.isalpha() for one in text if not one.isascii())
    return text if strange * 2 <= sum(not one.isascii() for one in text) else ""  # words have letters first


def _parsed(
    uri: str, data: bytes, separator: str, first_row: int, notes: list[str]
) -> tuple[pd.DataFrame, npt.NDArray[np.int64]]:
    """The cells of every row that is not blank, all of one width, and the rows' numbers."""
    if (plain := _plain(data, separator)) is not None:
        return plain, np.arange(first_row, first_row + len(plain))
    spaced = re.search(rf'(^|{re.escape(separator)}) +"', data[:_HEAD].decode("utf-8", "ignore").split("\n", 1)[0])
    lines = io.TextIOWrapper(io.BytesIO(data), "utf-8", newline="")
    reader = csv.reader(lines, delimiter=separator, skipinitialspace=spaced is not None, strict=True)
    blocks: list[pd.DataFrame] = []
    rows: list[list[str]] = []
    numbers: list[int] = []
    remarks: list[str] = []
    number, width, named = first_row - 1, 0, 0
    try:
        for number, cells in enumerate(reader, start=first_row):
            if not width:
                width = len(cells)
                named = max((at for at, name in enumerate(cells, start=1) if name.strip()), default=1)
            elif len(cells) != width:
                if not "".join(cells).strip():
                    continue
                if cells[0].startswith("#"):
                    remarks.append(separator.join(cells))
                    continue
                if len(numbers) == 1 and _begins_with_number(cells, width):
                    rows[0].insert(0, "")
                    width, named = width + 1, named + 1
            rows.append(cells if len(cells) == width else _of_width(uri, number, cells, (named, width), separator))
            numbers.append(number)
            if len(rows) == _BLOCK:
                blocks.append(pd.DataFrame(rows, dtype="str"))
                rows = []
    except csv.Error as error:
        raise DataError(f"{uri}: row {number + 1} is not CSV ({error}); check its quotes") from error
    if remarks:
        notes.append(f"{counted(len(remarks), 'line')} beginning with # left out: the first is {remarks[0][:60]!r}")
    blocks += [pd.DataFrame(rows, dtype="str")] if rows else []
    return pd.concat(blocks, ignore_index=True), np.array(numbers, np.int64)


def _plain(data: bytes, separator: str) -> pd.DataFrame | None:
    """The cells of a text without quotes whose rows all have the header's width; None where it is not so plain.

    It takes a fifth of the time of the csv module, which counts for a table of 400,000 rows.
    """
    width = len(re.split(rb"[\r\n]", data, maxsplit=1)[0].split(separator.encode()))
    if b'"' in data or width == 1 or _EMPTY_LINE.search(data):
        return None
    names = [str(number) for number in range(width)]
    try:
        table = pyarrow.csv.read_csv(
            io.BytesIO(data),
            pyarrow.csv.ReadOptions(column_names=names),
            pyarrow.csv.ParseOptions(delimiter=separator, quote_char=False),
            pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(names, pyarrow.string())),
        )
    except pyarrow.ArrowInvalid:
        return None
    cells: pd.DataFrame = table.to_pandas()
    return cells.set_axis(range(width), axis="columns")


def _begins_with_number(cells: list[str], width: int) -> bool:
    """Whether a row has R's number in front, above which the header has no name."""
    return len(cells) == width + 1 > 2 and cells[0].isdecimal() and cells[-1].strip() != ""


def _of_width(uri: str, row: int, cells: list[str], widths: tuple[int, int], separator: str) -> list[str]:
    """A row as wide as the header; some programs leave away, or add, empty cells behind the last named column.

    Raises:
        DataError: a cell is missing, or there is one too many.
    """
    named, width = widths
    if len(cells) < named or "".join(cells[width:]).strip():
        raise DataError(
            f"{uri}: row {row} has {counted(len(cells), 'value')}, the header has {width}; "
            f"{_advice(len(cells), width, separator)}"
        )
    return cells[:width] + [""] * (width - len(cells))


def _advice(values: int, width: int, separator: str) -> str:
    if values > width:
        return f"a value that holds {separator!r} needs quotes"
    return "delete remarks above and below the table" if values == 1 else "the file may be cut off"


def _separator(line: str) -> str:
    """The separator that stands most often in a line, outside of quotes; a comma where none does."""
    line = re.sub(r'"[^"]*"', "", line)
    return max(_SEPARATORS, key=line.count)
