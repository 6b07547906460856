"""What the records step reads from a split artifact."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from components.common.artifacts import read_json
from components.common.errors import ArtifactError
from components.common.storage import exists
from components.records.prepare import Source

SPLITS = ("train", "val", "test")
_UPRIGHT = (0, 1)  # EXIF orientations that change nothing; 0 stands for none


def read_sources(split: Path) -> dict[str, list[Source]]:
    """The images of each split in the order they are written.

    Train is in the order of a hash, so that every shard holds every class; val and test keep the order
    of `split.csv`.

    Raises:
        ArtifactError: `split.csv` names an image that `index.parquet` does not.
    """
    table = pd.read_csv(split / "split.csv", dtype=str, keep_default_na=False)[["image_id", "split"]]
    index = pd.read_parquet(split / "index.parquet")
    index = index[index["image_id"].isin(table["image_id"]) & index["label"].isin((0, 1))]
    joined = table.merge(index, on="image_id", how="left", validate="one_to_one", indicator=True)
    absent = joined.loc[joined["_merge"] != "both", "image_id"]
    if len(absent):
        raise ArtifactError(f"{split}: image {absent.iloc[0]} is in split.csv and not in index.parquet; split again")
    out = {}
    for name in SPLITS:
        rows = joined[joined["split"] == name]
        if name == "train":
            rows = rows.iloc[
                pd.util.hash_array(rows["image_id"].to_numpy(object), categorize=False).argsort(kind="stable")
            ]
        out[name] = [_source(row, exact=name == "val") for row in rows.to_dict("records")]
    return out


def roots(split: Path) -> list[dict[str, Any]]:
    """The image roots ingest was given, each with whether it exists now."""
    known = read_json(split / "split.json", "lesionflow.split/1").get("roots", [])
    return [{"uri": root["uri"], "exists": exists(root["uri"])} for root in known]


def _source(row: dict[Any, Any], *, exact: bool) -> Source:
    text = {
        name: str(row.get(name) or "") for name in ("uri", "sha256", "verdict", "reason", "lesion_id", "group_id", "dx")
    }
    plain = str(row.get("format", "")).lower() in ("jpeg", "jpg") and _number(row, "channels") == 3
    return Source(
        image_id=str(row["image_id"]),
        label=int(row["label"]),
        width=_number(row, "width"),
        height=_number(row, "height"),
        plain=plain and _number(row, "orientation") in _UPRIGHT,
        exact=exact,
        **text,
    )


def _number(row: dict[Any, Any], name: str) -> int:
    value = row.get(name)
    return 0 if value is None or pd.isna(value) else int(value)
