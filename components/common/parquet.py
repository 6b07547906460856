"""Parquet files of plain columns: lists of values by name, without pandas.

pyarrow is imported when the first file is read or written; a step that is only starting does not pay for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from components.common.runtime.errors import ArtifactError

Columns = dict[str, list[Any]]


def write_parquet(path: Path, columns: Mapping[str, Sequence[Any]], kinds: Mapping[str, str]) -> None:
    """Writes columns of equal length in the order given; equal content gives equal bytes.

    Args:
        path: the file.
        columns: values by name, none of them missing.
        kinds: the type of each column: string, binary, int8, int32, int64 or double.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    from components.common.arrow import column

    table = pa.table({name: column(values, pa.type_for_alias(kinds[name])) for name, values in columns.items()})
    pq.write_table(table, path, compression="zstd")


def read_parquet(source: Path | bytes, names: Sequence[str]) -> Columns:
    """Reads some columns of a file, or of the bytes of one.

    Raises:
        ArtifactError: not Parquet, damaged, or without one of the columns.
        OSError: the file cannot be opened.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    place = str(source) if isinstance(source, Path) else f"{len(source)} bytes"
    try:
        # not pq.read_table, which imports pyarrow.dataset and pandas; threads would be as many as the node has cores
        with pq.ParquetFile(pa.BufferReader(source) if isinstance(source, bytes) else source) as file:
            table = file.read(columns=list(names), use_threads=False)
    except pa.ArrowException as error:
        raise ArtifactError(f"{place}: no sound Parquet file ({' '.join(str(error).split())})") from None
    absent = [name for name in names if name not in table.column_names]
    if absent:
        raise ArtifactError(f"{place}: no column {absent[0]}; expected {', '.join(names)}")
    return {name: table[name].to_pylist() for name in names}
