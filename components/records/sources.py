"""What the records step reads from a split artifact."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from components.common.artifacts.split import SPLITS, read_split
from components.records.prepare import Source

_TEXT = ("image_id", "lesion_id", "group_id", "dx", "uri", "sha256", "verdict", "reason")
_COLUMNS = (*_TEXT, "label", "width", "height", "size", "format", "channels", "orientation")
_UPRIGHT = (0, 1)  # EXIF orientations that change nothing; 0 stands for none


def read_sources(split: Path) -> dict[str, list[Source]]:
    """The images of each split in the order they are written.

    Train is in the order of a hash, so that every shard holds every class; val and test keep the order
    of `split.csv`.

    Raises:
        ArtifactError: the split cannot be read or contradicts itself.
    """
    made = read_split(split, _COLUMNS)
    out = {}
    for name in SPLITS:
        part = made.part(name)
        if name == "train":
            order = pd.util.hash_array(part["image_id"].to_numpy(object), categorize=False).argsort(kind="stable")
            part = part.iloc[order]
        rows = part.astype(object).where(part.notna(), None).to_dict("records")
        out[name] = [_source(row, exact=name == "val") for row in rows]
    return out


def _source(row: Mapping[Hashable, Any], *, exact: bool) -> Source:
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
