"""`index.parquet`: one row an image, columns in a fixed order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from components.ingest.check import Checked

_TYPES = {
    "image_id": pa.string(), "lesion_id": pa.string(), "group_id": pa.string(), "dx": pa.string(), "label": pa.int8(),
    "uri": pa.string(), "sha256": pa.string(), "width": pa.int32(), "height": pa.int32(), "phash": pa.string(),
    "verdict": pa.string(), "reason": pa.string(), "format": pa.string(), "channels": pa.int8(),
    "orientation": pa.int8(), "size": pa.int64(), "age": pa.float64(), "sex": pa.string(),
    "localization": pa.string(), "dx_type": pa.string(), "dataset": pa.string(),
}  # fmt: skip
_WORKING = ("row", "malignant_label", "stated_label")


def index_table(
    table: pd.DataFrame, label: npt.NDArray[np.int8], verdicts: list[tuple[str, str]], checked: list[Checked]
) -> pd.DataFrame:
    """Joins the table with what was found of each image; a verdict about the row comes before one about the bytes.

    Returns:
        The columns of `index.parquet`, then the table's own further columns as text, then `thumbnail`.
    """
    seen = [item.inspection for item in checked]
    final = [
        row if row[0] else (one.verdict, one.reason) for row, one in zip(verdicts, seen, strict=True)
    ]  # fmt: skip
    found = pd.DataFrame(
        {
            "group_id": table["lesion_id"].to_numpy(),
            "label": label,
            "uri": [item.uri for item in checked],
            "sha256": [item.sha256 for item in checked],
            "size": [item.size for item in checked],
            "verdict": [verdict for verdict, _ in final],
            "reason": [reason for _, reason in final],
            **{name: [getattr(one, name) for one in seen] for name in
               ("width", "height", "phash", "format", "channels", "orientation", "thumbnail")},
        },
        index=table.index,
    )  # fmt: skip
    whole = table.drop(columns=list(_WORKING), errors="ignore").join(found)
    extra = [name for name in whole.columns if name not in _TYPES and name != "thumbnail"]
    return whole[[*_TYPES, *extra, "thumbnail"]]


def write_index(index: pd.DataFrame, path: Path) -> None:
    """Writes the index; equal content gives equal bytes."""
    kinds = _TYPES | {"thumbnail": pa.binary()}
    columns = {
        name: pa.array(index[name], kinds.get(name, pa.string()), from_pandas=name != "age") for name in index.columns
    }
    pq.write_table(pa.table(columns), path, compression="zstd")
