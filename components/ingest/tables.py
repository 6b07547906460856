"""The metadata: one table, or two that are joined, with one row per image.

What the cells of a table mean is read by `cells.py`; what a row says of its label is left to `verdicts.py`.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import pandas as pd
import pyarrow as pa

from components.common.artifacts.index import OPTIONAL
from components.common.runtime.errors import DataError
from components.common.storage import store
from components.common.storage.sheet import Score, Sheet, sheet_of
from components.ingest.cells import Cells
from components.ingest.layouts import (
    Reading,
    header_score,
    no_image_column,
    no_label_column,
    reading_of,
    without_header,
)

_FILLED = {"age": math.nan, "sex": "unknown", "localization": "unknown", "dx_type": "", "dataset": ""}


@dataclass
class Table:
    """The metadata as it is used.

    Attributes:
        rows: row, image_id, folder, lesion_id, dx, said, stated_label, age, sex, localization, dx_type, dataset;
            patient_id, licence, image_type, skin_type where the table has them; then its further columns as text.
        reading: how the table with the labels was read.
        notes: what was replaced or left out.
        sha256: of the bytes of the file, or of the two together.
    """

    rows: pd.DataFrame
    reading: Reading
    notes: list[str]
    sha256: str = ""


def _parts_of(metadata: str) -> list[str]:
    """The URI of the table, or the two of `LABELS,FACTS`."""
    uri = metadata.strip()
    first, _, second = uri.rpartition(",")
    if first and not store.exists(uri):
        return [first.strip(), second.strip()]
    return [uri]


def read_table(metadata: str, columns: Mapping[str, str] | None = None) -> Table:
    """Reads the table at `metadata`, or the two at `LABELS,FACTS`, joined by image or, failing that, by lesion.

    Args:
        metadata: one URI, or two with a comma between them.
        columns: column by meaning, where the table's own names do not say it.

    Raises:
        DataError: not readable, or values that break the rules; the message names row, column and value.
        ConfigError: `columns` names a meaning or a column that is not there.
    """
    digest, chosen = hashlib.sha256(), dict(columns or {})
    score = partial(header_score, chosen=chosen.values())
    sheets = [_sheet(uri, digest.update, score) for uri in _parts_of(metadata)]
    if len(sheets) == 1:
        (sheet,) = sheets
        reading = reading_of(sheet.header, chosen, sheet.source)
        if not reading.labelled:
            raise no_label_column(sheet.header, sheet.source)
        if "image_id" not in reading.columns:
            raise no_image_column(sheet.header, sheet.source)
        tables = [_table(sheet, reading)]
    else:
        tables = [_table(sheet, _reading_of_part(sheet, chosen, sheets)) for sheet in sheets]
        tables = [_joined(tables[0], tables[1], sheets[0].source, sheets[1].source)]
    pa.default_memory_pool().release_unused()  # a large table was taken apart several times on the way
    return replace(tables[0], rows=_completed(tables[0].rows), sha256=digest.hexdigest())


def _sheet(uri: str, digest: Callable[[bytes], object], score: Score) -> Sheet:
    sheet = sheet_of(uri, _bytes(uri, digest), without_header, score)
    if sheet.cells.empty:
        raise DataError(f"{uri}: no rows below the header; expected one row per image")
    return sheet


def _bytes(uri: str, digest: Callable[[bytes], object]) -> bytes:
    try:
        data = store.read_bytes(uri)
    except FileNotFoundError as error:
        raise DataError(f"{uri} {store.file_problem(uri)}; expected the metadata table (CSV)") from error
    except IsADirectoryError as error:
        raise DataError(f"{uri} is a folder and cannot be read; expected the metadata table (CSV)") from error
    except OSError as error:
        raise DataError(f"{uri}: cannot be read ({error.strerror}); expected the metadata table (CSV)") from error
    digest(data)
    return data


def _table(sheet: Sheet, reading: Reading) -> Table:
    cells = Cells(sheet, reading)
    return Table(cells.columns(), reading, cells.notes)


def _reading_of_part(sheet: Sheet, chosen: Mapping[str, str], sheets: list[Sheet]) -> Reading:
    every = {name.lower() for one in sheets for name in one.header}
    own = {name.lower() for name in sheet.header}
    here = {meaning: name for meaning, name in chosen.items() if name.lower() in own or name.lower() not in every}
    return reading_of(sheet.header, here, sheet.source)


def _joined(first: Table, second: Table, first_source: str, second_source: str) -> Table:
    """Two tables as one: the one with the labels, and facts on the same images or lesions."""
    if not first.reading.labelled:
        first, second, first_source, second_source = second, first, second_source, first_source
    if not first.reading.labelled:
        raise DataError(f"{first_source} and {second_source}: no column of either holds a label or diagnosis")
    labels, facts = first.rows, second.rows
    key = next((name for name in ("image_id", "lesion_id") if name in labels and name in facts), "")
    if not key or not ("image_id" in labels or "image_id" in facts):
        raise DataError(f"{first_source} and {second_source}: no column names the image, or the lesion, in both")
    if key == "lesion_id" and "image_id" in facts:
        # labels by lesion, images in the other table
        return _looked_up(facts, labels, key, second_source, first_source, first, second)
    return _looked_up(labels, facts, key, first_source, second_source, first, second)


def _looked_up(
    rows: pd.DataFrame, facts: pd.DataFrame, key: str, rows_source: str, facts_source: str, first: Table, second: Table
) -> Table:
    """`rows` with the columns of `facts` that they lack, found by `key`."""
    what = {"image_id": "image", "lesion_id": "lesion"}[key]
    twice = facts.loc[facts[key].duplicated() & (facts[key] != ""), key]
    if len(twice):
        raise DataError(f"{facts_source}: {what} {twice.iloc[0]} occurs more than once; expected one row per {what}")
    absent = rows.loc[~rows[key].isin(facts[key]), key]
    if len(absent):
        raise DataError(
            f"{facts_source}: no row for {what} {absent.iloc[0]} ({len(absent)} such images of {rows_source}); "
            f"expected a row for every {what}"
        )
    new = facts[[key, *(name for name in facts.columns if name not in rows)]]
    further = {name: found for name, found in second.reading.columns.items() if name not in ("label", "diagnosis")}
    reading = replace(first.reading, columns=further | first.reading.columns)
    return Table(rows.merge(new, on=key, how="left", validate="m:1"), reading, first.notes + second.notes)


def _completed(table: pd.DataFrame) -> pd.DataFrame:
    """All columns with a meaning in order, absent ones filled, then the table's own."""
    for name, value in _FILLED.items():
        if name not in table:
            table[name] = pd.Series(value, index=table.index, dtype="float64" if name == "age" else "str")
    lesions = table["lesion_id"] if "lesion_id" in table else pd.Series("", index=table.index, dtype="str")
    table["lesion_id"] = lesions.where(lesions != "", table["image_id"])
    ours = ["row", "image_id", "folder", "lesion_id", "dx", "said", "stated_label", *_FILLED]
    ours += [name for name in OPTIONAL if name in table]
    return table[[*ours, *(name for name in table.columns if name not in ours)]]
