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
import pyarrow as pa
import pyarrow.csv as pa_csv

from components.common.runtime.errors import DataError
from components.common.runtime.words import counted

TOP = 20  # rows in which a header is looked for
_SEPARATORS = ",;\t|"
_BLANK_LINE = re.compile(rb"\n\r?\n|\r\r")
_SEP_LINE = re.compile(r'^"?sep=(.)"?\r?(\n|$)', re.IGNORECASE)
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")  # str.splitlines also splits at separators inside texts
_COMMENT = re.compile(rb"(?m)(?:^|(?<=[\r\n]))#[^\r\n]*")
# Characters that no screen shows: of them a copied text may hold any number, and it is still the same text.
_UNSEEN = dict.fromkeys((0x200B, 0x2060, 0xFEFF, 0x00AD))
_HEAD = 100_000  # bytes in which header and separator are found


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
    data, head = data[len(head[:above].encode()) :], head[above:]
    data = _without_comments(data, top, notes)
    if re.search(rf'(^|{re.escape(top.separator)}) +"', head.split("\n", 2)[0]):
        data = _without_spaces(data, top.separator)
    data, width = _aligned(data, top)
    try:
        return _parsed(uri, data, top.separator, width, first_row)
    except DataError:
        cut, width = _without_empty_ends(data, top.separator)
        if cut == data:
            raise
        return _parsed(uri, cut, top.separator, width, first_row)


@dataclass(frozen=True)
class _Top:
    """Where the header is: offset and lines in front of it, the first of these, its separator and cells."""

    offset: int
    lines: int
    title: str
    separator: str
    header: list[str]
    next_row: list[str]


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
    best = (score(_cells_of(lines, first, guess)[0]), first, guess)
    for separator in marked or _SEPARATORS:
        for at in filled[:TOP]:
            found = score(_cells_of(lines, at, separator)[0])
            if found > best[0]:
                best = (found, at, separator)
    _, at, separator = best
    cells, after = _cells_of(lines, at, separator)
    after = next((one for one in filled if one >= after and not lines[one].startswith("#")), -1)
    next_row = _cells_of(lines, after, separator)[0] if after >= 0 else []
    title = lines[filled[0]].strip().strip(_SEPARATORS) if at > filled[0] else ""
    return _Top(offsets[at], at - filled[0], title, separator, cells, next_row)


def _is_comment(lines: list[str], at: int, after: int) -> bool:
    """Whether a line at the top is a remark and not a header that begins with #."""
    if not lines[at].startswith("#") or after < 0:
        return False
    return lines[after].startswith("#") or _separators(lines[at]) != _separators(lines[after])


def _separators(line: str) -> tuple[int, ...]:
    return tuple(line.count(one) for one in _SEPARATORS)


def _cells_of(lines: list[str], at: int, separator: str) -> tuple[list[str], int]:
    """The cells of the row that begins with this line, and the line after it."""
    reader = csv.reader(lines[at:], delimiter=separator, skipinitialspace=True)
    try:
        return [cell.strip() for cell in next(reader, [])], at + reader.line_num
    except csv.Error:
        return [], at + 1


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


def _without_comments(data: bytes, top: _Top, notes: list[str]) -> bytes:
    """Lines below the header that begin with # and are no row of the table become blank, so that rows keep numbers."""
    if b"#" not in data or b'"' in data:
        return data
    separator, width = top.separator.encode(), len(top.header)
    first: list[str] = []

    def blank(found: re.Match[bytes]) -> bytes:
        line = found[0]
        if not found.start() or line.count(separator) + 1 == width:
            return line
        first.append(line.decode("utf-8", "replace"))
        return b""

    data = _COMMENT.sub(blank, data)
    if first:
        notes.append(f"{counted(len(first), 'line')} left out that begin with #: the first is {first[0][:60]!r}")
    return data


def _without_spaces(data: bytes, separator: str) -> bytes:
    """Quotes count as quotes only directly behind a separator: the spaces in between go."""
    text = io.StringIO()
    rows = csv.reader(io.StringIO(data.decode(), newline=""), delimiter=separator, skipinitialspace=True)
    csv.writer(text, delimiter=separator, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def _aligned(data: bytes, top: _Top) -> tuple[bytes, int]:
    """A header that is one name short gets it: rows that end in a separator, or R's names of the rows."""
    width = len(top.header)
    if width < 2 or len(top.next_row) != width + 1:
        return data, width
    separator = top.separator.encode()
    if not top.next_row[-1]:
        end = re.search(rb"\r|\n", data)
        at = end.start() if end else len(data)
        return data[:at] + separator + data[at:], width + 1
    if top.next_row[0].isdecimal():
        return separator + data, width + 1
    return data, width


def _parsed(
    uri: str, data: bytes, separator: str, width: int, first_row: int
) -> tuple[pd.DataFrame, npt.NDArray[np.int64]]:
    rows = None
    if b'"' in data or _BLANK_LINE.search(data):  # only then rows may be other than lines
        rows = _row_numbers(uri, data, separator, first_row)
    names = [str(at) for at in range(width)]
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


def _without_empty_ends(data: bytes, separator: str) -> tuple[bytes, int]:
    """Rows without the empty cells behind the last named column, which some programs write in some rows only."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=separator, lineterminator="\n")
    width = 0
    try:
        for cells in csv.reader(io.StringIO(data.decode(), newline=""), delimiter=separator, strict=True):
            while len(cells) > max(width, 1) and not cells[-1].strip():
                cells.pop()
            width = width or len(cells)
            writer.writerow(cells)
    except csv.Error:
        return data, width
    cut = text.getvalue().encode()
    return cut, width


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
                raise DataError(
                    f"{uri}: row {number} has {len(cells)} values, the header has {width}; "
                    f"{_advice(len(cells), width, separator)}"
                )
            if cells:
                filled.append(number)
    except csv.Error as error:
        raise DataError(f"{uri}: row {number + 1} is not CSV ({error}); check its quotes") from error
    return np.array(filled, np.int64)


def _advice(values: int, width: int, separator: str) -> str:
    if values > width:
        return f"a value that holds {separator!r} needs quotes"
    return "delete remarks above and below the table" if values == 1 else "the file may be cut off"


def _separator(line: str) -> str:
    """The separator that stands most often in a line, outside of quotes; a comma where none does."""
    line = re.sub(r'"[^"]*"', "", line)
    return max(_SEPARATORS, key=line.count)
