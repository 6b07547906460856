"""Logged predictions and labels, wherever they are: a table (CSV or .xlsx), JSON lines, or an array of JSON objects."""

from __future__ import annotations

import io
import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from components.common.artifacts.folder import sha256_bytes
from components.common.artifacts.json_file import shown
from components.common.runtime.errors import ConfigError, DataError
from components.common.storage import store
from components.common.storage.sheet import sheet_of

SUFFIXES = (".csv", ".jsonl", ".json")
_JSON = (".jsonl", ".json")
_COLUMNS = frozenset(  # by which the header is found below a title
    {"image", "label", "time", "group", "source", "status", "policy_id", "probability", "decision", "distance"}
)
_LOGGED = ("probability", "status", "policy_id")
Row = dict[str, Any]


@dataclass(frozen=True)
class Table:
    """A file.

    Attributes:
        name: its path or URI, for errors.
        data: its bytes.
    """

    name: str
    data: bytes

    @property
    def digest(self) -> str:
        """sha256 of its bytes."""
        return sha256_bytes(self.data)

    @property
    def short(self) -> str:
        """The file's name without its folder, for notes, which do not depend on where it lies."""
        return self.name.rpartition("/")[2]

    def rows(self, notes: list[str], needed: Collection[str] = ()) -> Iterator[tuple[str, Row]]:
        """Where each row stands, and its values by name; what is empty in it is left out.

        Args:
            notes: what was left out or assumed is added to them.
            needed: names of columns that have to be there, also where they are empty.

        Raises:
            DataError: not such a table, or a column is missing.
        """
        if self._is_json():
            yield from self._json(needed)
        elif needed or self.data.strip():
            yield from self._cells(notes, needed)

    def _is_json(self) -> bool:
        name = self.name.lower()
        return name.endswith(_JSON) or (not name.endswith(".csv") and self.data.lstrip()[:1] in (b"{", b"["))

    def _cells(self, notes: list[str], needed: Collection[str]) -> Iterator[tuple[str, Row]]:
        sheet = sheet_of(self.name, self.data, score=_score)
        notes += [f"{self.short}: {note}" for note in sheet.notes]
        names = [name.lower() for name in sheet.header]
        self._refuse_without(needed, names, self.name)
        columns = [sheet.cells[name].tolist() for name in sheet.header]
        for number, values in zip(sheet.rows.tolist(), zip(*columns, strict=True), strict=True):
            filled = {name: value for name, value in zip(names, values, strict=True) if value}
            yield f"{self.name}, row {number}", filled

    def _json(self, needed: Collection[str]) -> Iterator[tuple[str, Row]]:
        try:
            text = self.data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise DataError(f"{self.name}: not JSON in UTF-8 ({error}); save it as UTF-8") from error
        if text.lstrip().startswith("["):
            for number, row in enumerate(self._parsed(text, self.name), 1):
                yield self._object(row, f"{self.name}, item {number}", needed)
            return
        for number, line in enumerate(io.StringIO(text), 1):
            if line.strip():
                where = f"{self.name}, line {number}"
                yield self._object(self._parsed(line, where), where, needed)

    @staticmethod
    def _parsed(text: str, where: str) -> Any:
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as error:
            raise DataError(
                f"{where}: not JSON ({error}); expected one JSON object per line, or an array of objects"
            ) from error

    def _object(self, row: Any, where: str, needed: Collection[str]) -> tuple[str, Row]:
        if not isinstance(row, dict):
            raise DataError(f"{where}: {shown(row)}; expected a JSON object with {', '.join(needed or _LOGGED)}")
        self._refuse_without(needed, row, where)
        return where, {name: value for name, value in row.items() if value is not None}

    @staticmethod
    def _refuse_without(needed: Collection[str], names: Iterable[str], where: str) -> None:
        have = list(names)
        if missing := [name for name in needed if name not in have]:
            raise DataError(
                f"{where}: no column {' and no column '.join(missing)}; received {', '.join(map(shown, have[:20]))}; "
                f"expected {' and '.join(needed)}, under these names"
            )


def _score(cells: Sequence[str]) -> int:
    found = len(_COLUMNS & {cell.lower() for cell in cells})
    return found if found > 1 else 0


def read_table(uri: str) -> Table:
    """One file.

    Raises:
        ConfigError: there is none.
        StorageError: storage refused or kept failing.
    """
    try:
        return Table(uri, store.read_bytes(uri))
    except (FileNotFoundError, IsADirectoryError) as error:
        raise ConfigError(f"{uri}: no such file; expected a table (CSV) or JSON lines") from error


def read_tables(uris: Iterable[str]) -> list[Table]:
    """The files, and those in folders and below, by name.

    Raises:
        ConfigError: no such file, or a folder without any.
        StorageError: storage refused or kept failing.
    """
    return [table for uri in uris for table in _tables(uri)]


def _tables(uri: str) -> Iterator[Table]:
    local = store.is_local(uri)
    if store.local_path(uri).is_file() if local else uri.lower().endswith(SUFFIXES):
        yield read_table(uri)
        return
    try:
        inside = [item.uri for item in store.list_files(uri) if item.uri.lower().endswith(SUFFIXES)]
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ConfigError(f"{uri}: no such file or folder; expected logged predictions (CSV or JSON lines)") from error
    if not inside:
        raise ConfigError(f"{uri}: no log there; expected files that end in {', '.join(SUFFIXES)}")
    for one in inside:
        yield read_table(one)
