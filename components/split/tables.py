"""Tables the split step reads and writes, fast enough for ten million rows."""

from __future__ import annotations

import csv
import hashlib
import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pacsv

from components.common.errors import ArtifactError, DataError
from components.split.recipes import SPLITS

_LABELLED = ("image_id", "lesion_id", "group_id", "dx", "label", "sha256", "phash", "verdict")
# Verdicts about the row, not the image: such a row has no label anybody could train or test on.
_NO_LABEL = ("unknown_diagnosis", "conflicting_diagnosis", "excluded_diagnosis")

Codes = npt.NDArray[np.int8]


def read_index(path: Path) -> pd.DataFrame:
    """Reads `index.parquet` of an index artifact.

    Raises:
        ArtifactError: a column is missing.
    """
    table = pd.read_parquet(path / "index.parquet")
    missing = [name for name in _LABELLED if name not in table.columns]
    if missing:
        raise ArtifactError(f"{path / 'index.parquet'}: columns {missing} are missing; make the index again")
    return table


def usable(table: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Rows that can be divided: their label is known, whether or not their image can be read.

    A lost image stays in its split, so that the integrity check can count it as expected and lost.

    Raises:
        DataError: no such row, or an image id twice among them.
    """
    used = (table["label"].isin((0, 1)) & ~table["verdict"].isin(_NO_LABEL)).to_numpy(bool)
    ids = table["image_id"][used]
    if not used.any():
        raise DataError(f"the index has {len(table)} rows and none with a usable label; see the verdicts of ingest")
    twice = ids.duplicated()
    if twice.any():
        raise DataError(
            f"image_id {ids[twice].iloc[0]} is in the index more than once ({int(twice.sum())} such rows); "
            "expected one row an image"
        )
    return used


def write_split_csv(path: Path, rows: pd.DataFrame, code: Codes) -> None:
    """Writes `split.csv`: image_id, lesion_id, group_id, label, split."""
    text = {name: pa.array(rows[name]) for name in ("image_id", "lesion_id", "group_id")}
    write_csv(path, {**text, "label": pa.array(rows["label"]), "split": _names(code)})


def write_csv(path: Path, columns: dict[str, pa.Array]) -> None:
    """Writes a CSV with LF line ends, quoting only what needs it."""
    with path.open("wb") as handle:
        handle.write((",".join(columns) + "\n").encode())
        handle.write(_csv_body(columns))


def split_digest(image_id: pd.Series, code: Codes) -> str:
    """sha256 of the CSV `image_id,split` with header and LF, sorted by image id."""
    order = np.argsort(image_id.to_numpy(object), kind="stable")
    columns = {"image_id": pa.array(image_id).take(pa.array(order)), "split": _names(code[order])}
    digest = hashlib.sha256(b"image_id,split\n")
    digest.update(_csv_body(columns))
    return digest.hexdigest()


def _csv_body(columns: dict[str, pa.Array]) -> pa.Buffer | bytes:
    sink = pa.BufferOutputStream()
    try:
        pacsv.write_csv(pa.table(columns), sink, pacsv.WriteOptions(include_header=False, quoting_style="none"))
        return sink.getvalue()
    except pa.ArrowInvalid:  # an id with a comma or a quote in it
        text = io.StringIO()
        rows = zip(*(column.to_pylist() for column in columns.values()), strict=True)
        csv.writer(text, lineterminator="\n").writerows(rows)
        return text.getvalue().encode()


def ids_digest(image_id: pd.Series) -> str:
    """sha256 of the sorted image ids, one a line: which set of images this is, whatever else is known of it."""
    ids = sorted(image_id)
    return hashlib.sha256("".join(f"{one}\n" for one in ids).encode()).hexdigest()


def _names(code: Codes) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(code), pa.array(SPLITS)).cast(pa.string())
