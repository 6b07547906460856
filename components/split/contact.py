"""Near-duplicates for human eyes: a table of all pairs and an HTML sheet that shows them side by side."""

from __future__ import annotations

import base64
import html
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from components.split.duplicates import Pairs
from components.split.recipes import SPLITS
from components.split.tables import write_csv

SHOWN = 500  # pairs on the sheet; the table holds all of them

Codes = npt.NDArray[np.int8]

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


def write_pairs(path: Path, rows: pd.DataFrame, code: Codes, pairs: Pairs) -> None:
    """Writes every pair: both images with lesion and split, and the distance."""
    columns: dict[str, pa.Array] = {}
    for side, at in (("a", pairs.left), ("b", pairs.right)):
        columns[f"image_{side}"] = pa.array(rows["image_id"].iloc[at])
        columns[f"lesion_{side}"] = pa.array(rows["lesion_id"].iloc[at])
        columns[f"split_{side}"] = pa.array(np.array(SPLITS)[code[at]])
    columns["distance"] = pa.array([f"{d:.4f}" for d in pairs.distance])
    write_csv(path, columns)


def contact_sheet(rows: pd.DataFrame, code: Codes, pairs: Pairs) -> str:
    """An HTML page with no outside references: pairs across splits first, then of two lesions, then the rest."""
    lesion = rows["lesion_id"].to_numpy(object)
    crossing = code[pairs.left] != code[pairs.right]
    between = lesion[pairs.left] != lesion[pairs.right]
    order = np.lexsort((pairs.distance, ~between, ~crossing))
    summary = (
        f"{len(pairs)} pairs: {int(crossing.sum())} across splits (red), {int(between.sum())} between lesions. "
        f"Shown: {min(len(pairs), SHOWN)}. Distance 0 = equal bytes; the table near_duplicates.csv holds all pairs."
    )
    cards = "\n".join(_card(rows, code, pairs, int(i), bool(crossing[i])) for i in order[:SHOWN])
    return _PAGE.format(summary=html.escape(summary), pairs=cards)


def _card(rows: pd.DataFrame, code: Codes, pairs: Pairs, i: int, crossing: bool) -> str:
    figures = "".join(_figure(rows.iloc[int(at)], SPLITS[code[at]]) for at in (pairs.left[i], pairs.right[i]))
    kind = "pair crossing" if crossing else "pair"
    return f'<div class="{kind}">{figures}<p>distance {pairs.distance[i]:.3f}</p></div>'


def _figure(row: pd.Series, split: str) -> str:
    data = row.get("thumbnail") or b""
    image = f'<img alt="" src="data:image/jpeg;base64,{base64.b64encode(data).decode()}">' if data else "no picture"
    words = " · ".join(html.escape(str(word)) for word in (row["image_id"], row["lesion_id"], row["dx"], split))
    return f"<figure>{image}<figcaption>{words}</figcaption></figure>"
