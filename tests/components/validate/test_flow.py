"""Where the rows of a clinic's table went, down to a table of which nothing left."""

import pandas as pd

from components.validate.flow import trace
from components.validate.material import sort_images


def index_of(verdicts, thumbnails):
    names = [f"i{number}" for number in range(len(verdicts))]
    return pd.DataFrame(
        {
            "image_id": names, "lesion_id": names, "dx": "nv", "dataset": "",
            "sha256": [f"{number:064x}" for number in range(len(names))],
            "label": [number % 2 if verdict in ("ok", "corrupt") else -1 for number, verdict in enumerate(verdicts)],
            "verdict": verdicts, "thumbnail": thumbnails,
        }
    )  # fmt: skip


def test_of_a_table_without_a_fault_nothing_leaves(sim):
    index = index_of(["ok"] * 6, [b"x"] * 6)
    lineage = trace(index, sort_images(index, None), [], sim(6, 1))
    assert (lineage.table.images, lineage.read.images, lineage.dropped) == (6, 6, [])


def test_rows_without_label_or_file_and_images_not_read_are_counted_where_they_left(sim):
    index = index_of(["ok", "ok", "ok", "unknown_diagnosis", "unknown_diagnosis", "corrupt"], [b"x"] * 4 + [b"", b""])
    lineage = trace(index, sort_images(index, None), [{"image_id": "i2", "reason": "too_small"}], sim(2, 1))
    assert [(left.reason, left.counts.images) for left in lineage.dropped] == [("unknown_diagnosis", 2)]
    assert [(left.reason, left.counts.images) for left in lineage.parts["test"].unusable] == [("corrupt", 1)]
    assert [(left.reason, left.counts.images) for left in lineage.unread] == [("too_small", 1)]
    assert (lineage.table.images, lineage.read.images) == (6, 2)
