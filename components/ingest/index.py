"""`index.parquet`: one row an image, columns in a fixed order."""

from __future__ import annotations

from pathlib import Path

from components.common.parquet import Columns, write_parquet
from components.ingest.check import Checked

_KINDS = {
    "image_id": "string", "lesion_id": "string", "group_id": "string", "dx": "string", "label": "int8",
    "uri": "string", "sha256": "string", "width": "int32", "height": "int32", "phash": "string", "verdict": "string",
    "reason": "string", "format": "string", "channels": "int8", "orientation": "int8", "size": "int64",
    "age": "double", "sex": "string", "localization": "string", "dx_type": "string", "dataset": "string",
}  # fmt: skip
_WORKING = ("row", "malignant_label", "stated_label")


def index_table(table: Columns, label: list[int], verdicts: list[tuple[str, str]], checked: list[Checked]) -> Columns:
    """Joins the table with what was found of each image; a verdict about the row comes before one about the bytes.

    Returns:
        The columns of `index.parquet`, then the table's own further columns as text, then `thumbnail`.
    """
    seen = [item.inspection for item in checked]
    final = [row if row[0] else (one.verdict, one.reason) for row, one in zip(verdicts, seen, strict=True)]
    whole = {name: values for name, values in table.items() if name not in _WORKING}
    whole |= {
        "group_id": table["lesion_id"],
        "label": label,
        "uri": [item.uri for item in checked],
        "sha256": [item.sha256 for item in checked],
        "size": [item.size for item in checked],
        "verdict": [verdict for verdict, _ in final],
        "reason": [reason for _, reason in final],
        **{name: [getattr(one, name) for one in seen] for name in
           ("width", "height", "phash", "format", "channels", "orientation", "thumbnail")},
    }  # fmt: skip
    extra = [name for name in whole if name not in _KINDS and name != "thumbnail"]
    return {name: whole[name] for name in (*_KINDS, *extra, "thumbnail")}


def write_index(index: Columns, path: Path) -> None:
    """Writes the index; equal content gives equal bytes."""
    write_parquet(path, index, dict.fromkeys(index, "string") | _KINDS | {"thumbnail": "binary"})
