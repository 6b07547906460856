"""Tables of predictions and labels, wherever they are: CSV, JSON lines, or the array of `lesionflow predict --json`."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from components.common.artifacts.folder import sha256_bytes
from components.common.artifacts.json_file import shown
from components.common.runtime.errors import ConfigError, DataError
from components.common.storage import store

SUFFIXES = (".csv", ".jsonl", ".json")
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

    def rows(self) -> Iterator[tuple[str, Row]]:
        """Where each row stands, and its values; what is empty in it is left out.

        Raises:
            DataError: not text in UTF-8, or not such a table.
        """
        try:
            text = self.data.decode("utf-8-sig")
            yield from self._csv(text) if self.name.lower().endswith(".csv") else self._json(text)
        except (UnicodeDecodeError, csv.Error) as error:
            raise DataError(f"{self.name}: not readable as text in UTF-8 ({error}); save it as CSV in UTF-8") from error

    def _csv(self, text: str) -> Iterator[tuple[str, Row]]:
        reader = csv.DictReader(io.StringIO(text, newline=""))
        names = reader.fieldnames or []
        if len(names) == 1 and ";" in names[0]:
            raise DataError(
                f"{self.name}: its columns are separated by semicolons; expected commas, and points in numbers "
                "(in a spreadsheet: save as CSV with the separator comma)"
            )
        for row in reader:
            where = f"{self.name}, line {reader.line_num}"
            if None in row:
                raise DataError(f"{where}: more cells than columns; put text that holds a comma in quotes")
            yield where, {str(name).strip(): value for name, value in row.items() if value not in ("", None)}

    def _json(self, text: str) -> Iterator[tuple[str, Row]]:
        if text.lstrip().startswith("["):
            for number, row in enumerate(self._parsed(text, self.name), 1):
                yield self._object(row, f"{self.name}, item {number}")
            return
        for number, line in enumerate(io.StringIO(text), 1):
            if line.strip():
                where = f"{self.name}, line {number}"
                yield self._object(self._parsed(line, where), where)

    @staticmethod
    def _parsed(text: str, where: str) -> Any:
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as error:
            raise DataError(
                f"{where}: not JSON ({error}); expected one JSON object per line, or an array of objects"
            ) from error

    @staticmethod
    def _object(row: Any, where: str) -> tuple[str, Row]:
        if not isinstance(row, dict):
            raise DataError(f"{where}: {shown(row)}; expected a JSON object with a probability and a status")
        return where, {name: value for name, value in row.items() if value is not None}


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
