"""What the records step reads from a split artifact."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from components.common.artifacts.folder import read_json
from components.common.parquet import read_parquet
from components.common.runtime.errors import ArtifactError
from components.common.storage.store import exists
from components.records.prepare import Source

SPLITS = ("train", "val", "test")
_TEXT = ("image_id", "lesion_id", "group_id", "dx", "uri", "sha256", "verdict", "reason")
_COLUMNS = (*_TEXT, "label", "width", "height", "size", "format", "channels", "orientation")
_UPRIGHT = (0, 1)  # EXIF orientations that change nothing; 0 stands for none


def read_sources(split: Path) -> dict[str, list[Source]]:
    """The images of each split in the order they are written.

    Train is in the order of a hash, so that every shard holds every class; val and test keep the order
    of `split.csv`.

    Raises:
        ArtifactError: `split.csv` names an image that `index.parquet` does not, an image is there twice, or a
            column is missing.
    """
    import pyarrow as pa

    from components.common.arrow import column
    from components.common.siphash import hash_texts

    places = _split_csv(split / "split.csv")
    found = _index_rows(split / "index.parquet", places)
    out = {}
    for name in SPLITS:
        ids = [image_id for image_id, place in places.items() if place == name]
        if name == "train":
            ids = [ids[i] for i in np.argsort(hash_texts(column(ids, pa.string())), kind="stable")]
        out[name] = [found[image_id] for image_id in ids]
    return out


def roots(split: Path) -> list[dict[str, Any]]:
    """The image roots ingest was given, each with whether it exists now."""
    known = read_json(split / "split.json", "lesionflow.split/1").get("roots", [])
    return [{"uri": root["uri"], "exists": exists(root["uri"])} for root in known]


def _split_csv(path: Path) -> dict[str, str]:
    """The split of each image, in the order of the file."""
    places: dict[str, str] = {}
    with path.open(encoding="utf-8", newline="") as handle:
        table = csv.DictReader(handle)
        absent = {"image_id", "split"} - set(table.fieldnames or ())
        if absent:
            raise ArtifactError(f"{path}: no column {min(absent)}; expected image_id and split; split again")
        for row in table:
            _refuse_twice(path, row["image_id"], places)
            places[row["image_id"]] = row["split"]
    return places


def _index_rows(path: Path, places: Mapping[str, str]) -> dict[str, Source]:
    """The labelled images of the index that have a place in a split."""
    columns = read_parquet(path, _COLUMNS)
    found: dict[str, Source] = {}
    for values in zip(*columns.values(), strict=True):
        row = dict(zip(columns, values, strict=True))
        if row["image_id"] in places and row["label"] in (0, 1):
            _refuse_twice(path, row["image_id"], found)
            found[row["image_id"]] = _source(row, exact=places[row["image_id"]] == "val")
    absent = next((image_id for image_id in places if image_id not in found), None)
    if absent is not None:
        raise ArtifactError(f"{path.parent}: image {absent} is in split.csv and not in {path.name}; split again")
    return found


def _source(row: Mapping[str, Any], *, exact: bool) -> Source:
    plain = (row["format"] or "").lower() in ("jpeg", "jpg") and row["channels"] == 3
    return Source(
        label=int(row["label"]),
        width=int(row["width"] or 0),
        height=int(row["height"] or 0),
        size=int(row["size"] or 0),
        plain=plain and (row["orientation"] or 0) in _UPRIGHT,
        exact=exact,
        **{name: row[name] or "" for name in _TEXT},
    )


def _refuse_twice(path: Path, image_id: str, seen: Mapping[str, Any]) -> None:
    if image_id in seen:
        raise ArtifactError(f"{path}: image {image_id} is there twice, expected one row an image; make it again")
