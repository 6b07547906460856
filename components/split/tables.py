"""Tables the split step reads and writes, fast enough for ten million rows."""

from __future__ import annotations

import csv
import hashlib
import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from components.common.arrow import from_numpy, to_numpy
from components.common.runtime.errors import ArtifactError, DataError
from components.split.division import Division
from components.split.texts import encode, in_order, repeated, take, words

_LABELLED = ("image_id", "lesion_id", "group_id", "dx", "label", "sha256", "phash", "verdict")
# Verdicts about the row, not the image: such a row has no label anybody could train or test on.
_NO_LABEL = ("unknown_diagnosis", "conflicting_diagnosis", "excluded_diagnosis")
_WIDE = {pa.string(): pa.large_string(), pa.binary(): pa.large_binary()}  # more than 2 GB in a piece


def read_index(path: Path) -> pa.Table:
    """Reads `index.parquet` of an index artifact.

    Raises:
        ArtifactError: a column is missing, or an id.
    """
    import pyarrow.parquet as pq

    table = pq.ParquetFile(path / "index.parquet").read().replace_schema_metadata()
    missing = [name for name in _LABELLED if name not in table.column_names]
    if missing:
        raise ArtifactError(f"{path / 'index.parquet'}: columns {missing} are missing; make the index again")
    for name in ("image_id", "lesion_id", "group_id"):
        if table[name].null_count:
            raise ArtifactError(
                f"{path / 'index.parquet'}: {table[name].null_count} of {len(table)} rows have no {name}; "
                "make the index again"
            )
    return table.cast(pa.schema([(one.name, _WIDE.get(one.type, one.type)) for one in table.schema]))


def usable(table: pa.Table) -> npt.NDArray[np.bool_]:
    """Rows that can be divided: their label is known, whether or not their image can be read.

    A lost image stays in its split, so that the integrity check can count it as expected and lost.

    Raises:
        DataError: no such row, or an image id twice among them.
    """
    import pyarrow.compute as pc

    unlabelled = pc.is_in(table["verdict"], words(_NO_LABEL))
    used: npt.NDArray[np.bool_] = np.isin(to_numpy(table["label"]), (0, 1)) & ~to_numpy(unlabelled)
    if not used.any():
        raise DataError(f"the index has {len(table)} rows and none with a usable label; see the verdicts of ingest")
    ids = chosen(table, used)["image_id"]
    twice = repeated(ids)
    if len(twice):
        again = encode(take(ids, twice))
        later = np.flatnonzero(again.first()[again.codes] != np.arange(len(twice)))
        raise DataError(
            f"image_id {ids[int(twice[later[0]])]} is in the index more than once ({len(later)} such rows); "
            "expected one row an image"
        )
    return used


def chosen(table: pa.Table, used: npt.NDArray[np.bool_]) -> pa.Table:
    """The rows that are used; the table itself where all are."""
    return table if used.all() else table.filter(from_numpy(used))


def with_groups(table: pa.Table, used: npt.NDArray[np.bool_], group: pa.ChunkedArray) -> pa.Table:
    """The table with the final groups of the rows that are used; the others keep theirs."""
    known = table["group_id"]
    at = np.arange(len(table)) + len(group)
    at[used] = np.arange(len(group))
    whole = group if used.all() else take(pa.chunked_array([*group.chunks, *known.chunks]), at)
    return table.set_column(table.column_names.index("group_id"), "group_id", whole)


def write_index(path: Path, table: pa.Table) -> None:
    """Writes `index.parquet` without thumbnails, in the types in which pandas would write the table it reads.

    Those are: numbers with gaps as doubles, and no NaN beside the gaps.
    """
    import pyarrow.parquet as pq

    columns = {name: _without_nan(table[name]) for name in table.column_names if name != "thumbnail"}
    pq.write_table(pa.table(columns), path)


def _without_nan(values: pa.ChunkedArray) -> pa.ChunkedArray | pa.Array:
    gaps = values.null_count and pa.types.is_integer(values.type)
    if not gaps and not pa.types.is_floating(values.type):
        return values
    numbers = to_numpy(values)
    return from_numpy(numbers, ~np.isnan(numbers))


def write_split_csv(path: Path, division: Division) -> None:
    """Writes `split.csv`: image_id, lesion_id, group_id, label, split."""
    columns = {name: division.rows[name] for name in ("image_id", "lesion_id", "group_id", "label")}
    write_csv(path, {**columns, "split": division.split_names()})


def write_csv(path: Path, columns: dict[str, pa.Array | pa.ChunkedArray]) -> None:
    """Writes a CSV with LF line ends, quoting only what needs it."""
    with path.open("wb") as handle:
        handle.write((",".join(columns) + "\n").encode())
        handle.write(_csv_body(columns))


def split_digest(division: Division) -> str:
    """sha256 of the CSV `image_id,split` with header and LF, sorted by image id."""
    ids, code = division.rows["image_id"], division.split_names()
    order = in_order(ids)
    if order is not None:
        ids, code = take(ids, order), division.split_names(order)
    digest = hashlib.sha256(b"image_id,split\n")
    digest.update(_csv_body({"image_id": ids, "split": code}))
    return digest.hexdigest()


def ids_digest(image_id: pa.ChunkedArray) -> str:
    """sha256 of the sorted image ids, one a line: which set of images this is, whatever else is known of it."""
    ids = sorted(image_id.to_pylist())
    return hashlib.sha256("".join(f"{one}\n" for one in ids).encode()).hexdigest()


def _csv_body(columns: dict[str, pa.Array | pa.ChunkedArray]) -> pa.Buffer | bytes:
    import pyarrow.csv as pacsv

    sink = pa.BufferOutputStream()
    try:
        pacsv.write_csv(pa.table(columns), sink, pacsv.WriteOptions(include_header=False, quoting_style="none"))
        return sink.getvalue()
    except pa.ArrowInvalid:  # an id with a comma or a quote in it
        text = io.StringIO()
        rows = zip(*(column.to_pylist() for column in columns.values()), strict=True)
        csv.writer(text, lineterminator="\n").writerows(rows)
        return text.getvalue().encode()
