"""Where every row of the table went."""

import pandas as pd
import pytest

from components.common.artifacts.folder import new_artifact
from components.common.artifacts.records_manifest import Lost, RecordsManifest
from components.common.artifacts.split import SPLITS, Groups, SplitRecord, read_split, write_split
from components.evaluate.lineage import trace


@pytest.fixture
def divided(shipped, kit, tmp_path):
    """A split of the pictures: two rows dropped, one file damaged, one labelled row in no split."""
    table = shipped.pictures.table.copy()
    at = table.set_index("image_id").index.get_loc
    for image_id, dx in (("train0010", "melanoma"), ("train0030", "")):
        table.loc[at(image_id), ["dx", "label", "verdict"]] = (dx, -1, "unknown_diagnosis")
    table.loc[at("test0000"), "verdict"] = "corrupt"
    kept = table["split"].drop([at("train0010"), at("train0030"), at("val0000")])
    record = SplitRecord(
        "test", 0, "a" * 64, {}, parameters={"contradictions": "keep"},
        audit={"near_duplicates": {"pairs": 4, "between_lesions": 2, "crossing": 1}},
        groups=Groups(count=100, patients_across_splits=0), contradictions=[["a", "b"]],
    )  # fmt: skip
    with new_artifact(tmp_path / "split", "split", {"index": "0" * 64}) as folder:
        write_split(folder, kit.whole_index(table.drop(columns="split")), kept, record)
    return tmp_path / "split", len(table)


def test_each_row_is_counted_where_it_left(divided):
    folder, rows = divided
    lost = [Lost("train0000", "train", 1, "missing"), Lost("test0000", "test", 1, "corrupt: damaged")]
    manifest = RecordsManifest(None, 95, {}, {}, {}, lost, 0, {})
    found = trace(folder, read_split(folder), manifest, [{"image_id": "test0010", "reason": "too_small"}])
    assert (found.table.images, found.table.unlabelled) == (rows, 2)
    (dropped,) = found.dropped
    assert (dropped.reason, dropped.diagnoses) == ("unknown_diagnosis", {"melanoma": 1, "none": 1})
    assert (found.undivided.images, found.undivided.malignant) == (1, 1)
    (corrupt,) = found.parts["test"].unusable
    assert (corrupt.reason, corrupt.counts.malignant, corrupt.diagnoses) == ("corrupt", 1, {"mel": 1})
    assert found.parts["train"].lost_in_records.images == 1
    assert found.parts["test"].lost_in_records.images == 0  # it was unusable before
    assert [(one.reason, one.counts.benign) for one in found.unread] == [("too_small", 1)]
    assert found.read.images == found.parts["test"].assigned.images - 2


def test_what_the_split_knows_of_groups_and_near_duplicates_is_kept(divided):
    folder, rows = divided
    found = trace(folder, read_split(folder), None, [])
    assert (found.groups.count, found.groups.patients_across_splits, found.groups.contradictions) == (100, 0, 1)
    assert (found.near_duplicates.pairs, found.near_duplicates.crossing) == (4, 1)
    assert found.parts["train"].lost_in_records is None
    assert found.generated == rows


@pytest.mark.parametrize(("asked", "pairs"), [("keep", 1), ("drop", 0)])
def test_contradictory_pairs_count_where_they_stayed_in_and_as_dropped_where_they_did_not(kit, tmp_path, asked, pairs):
    names = [f"i{k}" for k in range(9)]
    index = pd.DataFrame({"image_id": names, "lesion_id": names, "group_id": names, "verdict": "ok", "dx": "nv"})
    index = kit.whole_index(index)
    index.loc[8, ["label", "dx"]] = [1, "mel"]
    place = pd.Series([SPLITS[k % 3] for k in range(9)])
    if asked == "drop":
        index.loc[[7, 8], "verdict"] = "conflicting_diagnosis"
        place = place[:7]
    groups = Groups(joined_by=["lesion", "patient"], count=9, patients_across_splits=0)
    record = SplitRecord(
        "test", 0, "a" * 64, {}, parameters={"contradictions": asked}, groups=groups, contradictions=[["i7", "i8"]]
    )
    write_split(tmp_path, index, place, record)
    lineage = trace(tmp_path, read_split(tmp_path), None, [])
    assert lineage.groups.contradictions == pairs
    assert sum(left.counts.images for left in lineage.dropped) == 2 * (1 - pairs)
    assert (lineage.groups.count, lineage.groups.patients_across_splits) == (9, 0)
