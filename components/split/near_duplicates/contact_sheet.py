"""Near-duplicates for human eyes: a table of all pairs and an HTML sheet that shows them side by side."""

from __future__ import annotations

import base64
import html
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from components.common.arrow import column
from components.split.audit import between_lesions
from components.split.division import Division
from components.split.near_duplicates.find import Pairs
from components.split.near_duplicates.verify_pair import IN_PART
from components.split.tables import write_csv
from components.split.texts import take

SHOWN = 500  # pairs on the sheet; the table holds all of them

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Near-duplicates</title><style>
body {{ font: 14px/1.4 system-ui, sans-serif; margin: 2rem; color: #222; background: #fff; }}
.pairs {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(25rem, 1fr)); gap: 1rem; }}
.pair {{ border: 1px solid #ccc; border-radius: 6px; padding: .6rem; }}
.crossing {{ border: 2px solid #b3261e; }}
figure {{ display: inline-block; width: 49%; margin: 0; vertical-align: top; }}
figure + figure {{ margin-left: 2%; }}
img {{ width: 100%; image-rendering: auto; background: #eee; }}
figcaption, p {{ font-size: 12px; margin: .2rem 0; overflow-wrap: anywhere; }}
</style></head><body>
<h1>Near-duplicates</h1>
<p>{summary}</p>
<div class="pairs">
{pairs}
</div></body></html>
"""


def write_pairs(path: Path, division: Division, pairs: Pairs) -> None:
    """Writes every pair: both images with lesion and split, and the distance."""
    columns: dict[str, pa.Array] = {}
    for side, at in (("a", pairs.left), ("b", pairs.right)):
        for name in ("image", "lesion"):
            columns[f"{name}_{side}"] = take(division.rows[f"{name}_id"], at)
        columns[f"split_{side}"] = division.split_names(at)
    columns["distance"] = column([f"{d:.4f}" for d in pairs.distance], pa.string())
    write_csv(path, columns)


def contact_sheet(division: Division, pairs: Pairs) -> str:
    """An HTML page with no outside references: pairs across splits first, then of two lesions, then the rest."""
    crossing = division.code[pairs.left] != division.code[pairs.right]
    between = between_lesions(division.rows, pairs)
    order = np.lexsort((pairs.distance, ~between, ~crossing))[:SHOWN]
    summary = (
        f"{len(pairs)} pairs: {int(crossing.sum())} across splits (red), {int(between.sum())} between lesions. "
        f"Shown: {min(len(pairs), SHOWN)}. Distance 0 = equal bytes, above {IN_PART} = "
        "alike only in part; near_duplicates.csv holds all pairs."
    )
    sides = (_figures(division, pairs.left[order]), _figures(division, pairs.right[order]))
    cards = "\n".join(
        f'<div class="{"pair crossing" if red else "pair"}">{left}{right}<p>distance {distance:.3f}</p></div>'
        for left, right, red, distance in zip(*sides, crossing[order], pairs.distance[order], strict=True)
    )
    return _PAGE.format(summary=html.escape(summary), pairs=cards)


def _figures(division: Division, at: npt.NDArray[np.int64]) -> list[str]:
    shown = [name for name in ("image_id", "lesion_id", "dx", "thumbnail") if name in division.rows.column_names]
    rows = take(division.rows.select(shown), at).to_pylist()
    return [_figure(row, split) for row, split in zip(rows, division.split_names(at).to_pylist(), strict=True)]


def _figure(row: dict[str, Any], split: str) -> str:
    data = row.get("thumbnail") or b""
    image = f'<img alt="" src="data:image/jpeg;base64,{base64.b64encode(data).decode()}">' if data else "no picture"
    words = " · ".join(html.escape(str(word)) for word in (row["image_id"], row["lesion_id"], row["dx"], split))
    return f"<figure>{image}<figcaption>{words}</figcaption></figure>"
