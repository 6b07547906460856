"""The index: `index.parquet`, one row per image with its verdict, and `ingest.json`, the account of the ingest.

Written by ingest. The split artifact holds the same table again, with its final groups and without thumbnails.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from components.common.artifacts.folder import sha256_bytes
from components.common.artifacts.json_file import LARGE_BYTES, read_json, shown, write_json
from components.common.runtime.errors import ArtifactError, DataError

SCHEMA = "lesionflow.ingest/1"
THUMBNAIL = "thumbnail"
PICTURE_KEY = "picture_key"  # of a split's index, in hex: what the thumbnail is needed for after the split
_TABLE, _ACCOUNT = "index.parquet", "ingest.json"
_ROWS = 2**17  # written at a time: a row group each, so that memory does not hold a second copy of a large table

# Every index has these columns, in this order. Then come those of `OPTIONAL` that the table has, its own further
# columns as text, and the thumbnail.
COLUMNS = {
    "image_id": pa.string(),
    "lesion_id": pa.string(),
    "group_id": pa.string(),
    "dx": pa.string(),
    "label": pa.int8(),  # 1 malignant, 0 benign, -1 none
    "uri": pa.string(),
    "sha256": pa.string(),
    "width": pa.int32(),
    "height": pa.int32(),
    "phash": pa.string(),
    "verdict": pa.string(),
    "reason": pa.string(),
    "format": pa.string(),
    "channels": pa.int8(),
    "orientation": pa.int8(),
    "size": pa.int64(),
    "age": pa.float64(),
    "sex": pa.string(),
    "localization": pa.string(),
    "dx_type": pa.string(),
    "dataset": pa.string(),
}
# Columns with a meaning that an index has, as text, where the table has them: patient_id is empty where a row has none,
# skin_type is a Fitzpatrick type from 1 to 6 or unknown.
OPTIONAL = ("patient_id", "licence", "image_type", "skin_type")


class Verdict(StrEnum):
    """What ingest says about an image: `ok`, or what is wrong with the file or with its row in the table."""

    OK = "ok"
    MISSING = "missing"
    CORRUPT = "corrupt"
    MISLABELLED = "mislabelled"
    UNSUPPORTED = "unsupported"
    UNREADABLE = "unreadable"
    DUPLICATE_CONFLICT = "duplicate_conflict"
    UNKNOWN_DIAGNOSIS = "unknown_diagnosis"
    CONFLICTING_DIAGNOSIS = "conflicting_diagnosis"
    EXCLUDED_DIAGNOSIS = "excluded_diagnosis"


# Verdicts about the file's bytes alone: they hold wherever the same bytes have the same suffix.
ABOUT_BYTES = frozenset({Verdict.OK, Verdict.CORRUPT, Verdict.MISLABELLED, Verdict.UNSUPPORTED})
# Verdicts about the row: it has no label anybody could train or test on, whatever the file holds.
WITHOUT_LABEL = (Verdict.UNKNOWN_DIAGNOSIS, Verdict.CONFLICTING_DIAGNOSIS, Verdict.EXCLUDED_DIAGNOSIS)


def one_class(labels: pd.Series[Any]) -> str | None:
    """The counts in a sentence where all of the labels (0 benign, 1 malignant) are the same; None where both occur."""
    malignant = int((labels == 1).sum())
    if 0 < malignant < len(labels):
        return None
    return f"the table holds one class only: {len(labels) - malignant} benign and {malignant} malignant images"


def write_index(folder: Path, index: pd.DataFrame) -> None:
    """Writes `index.parquet` into `folder`; equal content gives equal bytes.

    Args:
        folder: of the artifact.
        index: the columns of `COLUMNS`, any further ones as text, and perhaps `thumbnail` (bytes); none has nulls
            besides NaN in `age`.
    """
    further = [name for name in index.columns if name not in COLUMNS and name != THUMBNAIL]
    types = COLUMNS | dict.fromkeys(further, pa.string())
    if THUMBNAIL in index.columns:
        types[THUMBNAIL] = pa.binary()
    with pq.ParquetWriter(folder / _TABLE, pa.schema(types), compression="zstd") as writer:
        for start in range(0, max(1, len(index)), _ROWS):
            rows = index.iloc[start : start + _ROWS]
            writer.write_table(pa.table({name: _array(rows[name], kind) for name, kind in types.items()}))


def _array(values: pd.Series[Any], kind: pa.DataType) -> pa.Array:
    if kind == pa.string():
        return pa.array(values, kind)
    return pa.array(values.to_numpy(), kind)  # not the Series itself: of that pyarrow turns NaN into null


def read_index(folder: Path, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Reads `index.parquet` of an index or split artifact.

    Raises:
        ArtifactError: not Parquet, damaged, a column is missing, or a row has no id.
    """
    path = folder / _TABLE
    expected = list(columns) if columns is not None else list(COLUMNS)
    try:
        with pq.ParquetFile(path) as file:
            absent = [name for name in expected if name not in file.schema_arrow.names]
            if absent:
                raise ArtifactError(f"{path}: columns {', '.join(absent)} are missing; make the index again")
            index: pd.DataFrame = file.read(columns=None if columns is None else expected).to_pandas()
    except (pa.ArrowException, OSError, ValueError) as error:
        raise ArtifactError(f"{path}: not a readable Parquet file ({shown(' '.join(str(error).split()))})") from error
    for name in ("image_id", "lesion_id", "group_id"):
        without = int(index[name].isna().sum()) if name in index else 0
        if without:
            raise ArtifactError(f"{path}: {without} of {len(index)} rows have no {name}; make the index again")
    return index


def check_unchanged(data: bytes, sha256: str, what: str) -> None:
    """Refuses bytes of an image that are not those ingest saw.

    Args:
        data: as they were read now.
        sha256: of the index.
        what: names the image and its address, for the error.

    Raises:
        DataError: they differ.
    """
    received = sha256_bytes(data)
    if received != sha256:
        raise DataError(
            f"{what}: its sha256 begins {received[:12]}, ingest saw {sha256[:12]}: the file was changed or swapped "
            "since; put it back, or ingest and split again"
        )


def write_account(folder: Path, account: dict[str, Any]) -> None:
    """Writes `ingest.json`: counts, every lost image with its reason, notes, roots, the label policy."""
    write_json(folder / _ACCOUNT, {"schema": SCHEMA, **account})


def read_account(folder: Path) -> dict[str, Any]:
    """Reads `ingest.json` of an index artifact.

    Raises:
        ArtifactError: it is missing or not such a file.
    """
    return read_json(folder / _ACCOUNT, SCHEMA, most=LARGE_BYTES)
