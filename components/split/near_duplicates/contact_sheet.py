"""Near-duplicates for review: a table of all pairs and an HTML sheet that shows them side by side."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from components.common.artifacts.index import THUMBNAIL
from components.split.audit import differ
from components.split.near_duplicates.find import Pairs
from components.split.near_duplicates.verify_pair import IN_PART

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


def write_pairs(path: Path, rows: pd.DataFrame, pairs: Pairs) -> None:
    """Writes every pair: both images with lesion and split, and the distance."""
    columns: dict[str, Any] = {}
    for side, at in (("a", pairs.left), ("b", pairs.right)):
        chosen = rows.iloc[at]
        columns |= {f"{name}_{side}": chosen[f"{name}_id"].to_numpy() for name in ("image", "lesion")}
        columns[f"split_{side}"] = chosen["split"].to_numpy()
    columns["distance"] = pairs.distance
    pd.DataFrame(columns).to_csv(path, index=False, lineterminator="\n", float_format="%.4f")


def contact_sheet(rows: pd.DataFrame, pairs: Pairs) -> str:
    """An HTML page with no outside references: pairs across splits first, then of two lesions, then the rest."""
    crossing, between = differ(rows["split"], pairs), differ(rows["lesion_id"], pairs)
    order = np.lexsort((pairs.distance, ~between, ~crossing))[:SHOWN]
    summary = (
        f"{len(pairs)} pairs: {int(crossing.sum())} across splits (red), {int(between.sum())} between lesions. "
        f"Shown: {len(order)}. Distance 0 = equal bytes, above {IN_PART} = "
        "similar only in part; near_duplicates.csv holds all pairs."
    )
    sides = (_figures(rows.iloc[side[order]]) for side in (pairs.left, pairs.right))
    cards = "\n".join(
        f'<div class="{"pair crossing" if red else "pair"}">{left}{right}<p>distance {distance:.3f}</p></div>'
        for left, right, red, distance in zip(*sides, crossing[order], pairs.distance[order], strict=True)
    )
    return _PAGE.format(summary=html.escape(summary), pairs=cards)


def _figures(rows: pd.DataFrame) -> list[str]:
    data = rows[THUMBNAIL] if THUMBNAIL in rows else [b""] * len(rows)
    words = rows[["image_id", "lesion_id", "dx", "split"]].itertuples(index=False)
    return [_figure(picture, text) for picture, text in zip(data, words, strict=True)]


def _figure(data: bytes, words: Iterable[str]) -> str:
    image = f'<img alt="" src="data:image/jpeg;base64,{base64.b64encode(data).decode()}">' if data else "no picture"
    return f"<figure>{image}<figcaption>{' · '.join(map(html.escape, words))}</figcaption></figure>"
