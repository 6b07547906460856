"""Tamperings with index, split and records; `test_tampering.py` lets each happen."""

import json

import pandas as pd
import tamperings as t
from tamperings import DIGEST, LATER, tampering

from components.common.artifacts.folder import MANIFEST, sha256_file
from components.common.artifacts.records_manifest import read_manifest
from components.common.artifacts.tfrecord import read_tfrecord


@tampering("ingest", "a bit flipped in index.parquet", said="sha256 is")
def _(store, older):
    t.bit(store / "ingest" / "index.parquet")


@tampering("ingest", "a file added", said="is not part of the artifact")
def _(store, older):
    (store / "ingest" / "notes.txt").write_text("x")


@tampering("ingest", "a folder added", said="is not part of the artifact")
def _(store, older):
    (store / "ingest" / "more").mkdir()


@tampering("ingest", "ingest.json is a link to a file elsewhere", said="is a link")
def _(store, older):
    (store / "ingest" / "ingest.json").unlink()
    (store / "ingest" / "ingest.json").symlink_to(older / "ingest" / "ingest.json")


@tampering("ingest", "index.parquet removed", said="missing")
def _(store, older):
    (store / "ingest" / "index.parquet").unlink()


@tampering("ingest", "the kind in artifact.json changed", said="this is a split artifact, expected an index artifact")
def _(store, older):
    t.rehash(store / "ingest", kind="split")


@tampering("ingest", "a row of the index twice, hashes recomputed", said="more than once")
def _(store, older):
    rows = t.read_index(store / "ingest")
    t.write_index(store / "ingest", pd.concat([rows, rows.head(1)]))
    t.rehash(store / "ingest")


@tampering("ingest", "a label flipped, hashes recomputed", DIGEST)
def _(store, older):
    t.write_index(store / "ingest", t.flipped(t.read_index(store / "ingest")))
    t.rehash(store / "ingest")


@tampering("ingest", "the index of an older run", DIGEST)
def _(store, older):
    t.replaced("ingest", store, older)


@tampering("split", "split.csv replaced by something else", said="sha256 is")
def _(store, older):
    (store / "split" / "split.csv").write_bytes(b"\0\1")


@tampering("split", "a test image moved to train, hashes recomputed", said="its digest is")
def _(store, older):
    t.divided_otherwise(store, lambda rows: t.moved(rows, "image_id"), digest=False)


@tampering("split", "a group taken apart, digest recomputed", LATER, "are in test and in train", t.by_evaluate)
def _(store, older):
    def apart(rows):
        twice = rows[(rows["split"] == "test") & rows["group_id"].duplicated()]["image_id"].iloc[0]
        return rows.assign(split=rows["split"].mask(rows["image_id"] == twice, "train"))

    t.divided_otherwise(store, apart)


@tampering("split", "a whole test lesion moved to train before training, digest recomputed", DIGEST)
def _(store, older):
    t.divided_otherwise(store, lambda rows: t.moved(rows, "group_id"))


@tampering("split", "train and test exchanged after training", said="was made from the", read=t.by_evaluate)
def _(store, older):
    other = {"train": "test", "test": "train", "val": "val"}
    t.divided_otherwise(store, lambda rows: rows.assign(split=rows["split"].map(other)))


@tampering("split", "a label flipped before training, hashes recomputed", DIGEST)
def _(store, older):
    t.divided_otherwise(store, t.flipped)


@tampering("split", "a label flipped after training, hashes recomputed", said="was made from the", read=t.by_evaluate)
def _(store, older):
    t.divided_otherwise(store, t.flipped)


@tampering("split", "an image listed twice, digest recomputed", said="is listed twice")
def _(store, older):
    t.divided_otherwise(store, lambda rows: pd.concat([rows, rows.head(1)]))


@tampering("split", "the split of an older run, after training", said="", read=t.by_evaluate)
def _(store, older):
    t.replaced("split", store, older)


def name_a_shard(store, name):
    def named(splits):
        splits["train"]["shards"][0]["name"] = name
        return splits

    t.document(store / "records" / "manifest.json", splits=named)


@tampering("records", "a shard is named by an absolute path", said="leads out of the records artifact")
def _(store, older):
    name_a_shard(store, "/etc/passwd")


@tampering("records", "a shard is named by a path upward", said="leads out of the records artifact")
def _(store, older):
    name_a_shard(store, "../train/val_probs.npz")


@tampering("records", "a shard cut after a whole record, hashes recomputed", said="the manifest says")
def _(store, older):
    path = store / "records" / read_manifest(store / "records").splits["train"].shards[0].name
    last = len(list(read_tfrecord(path))[-1]) + 16  # with the frame's lengths and checksums
    path.write_bytes(path.read_bytes()[:-last])
    t.rehash(path.parent)


@tampering("records", "a bit flipped inside a record, hashes recomputed", said="record")
def _(store, older):
    path = store / "records" / read_manifest(store / "records").splits["train"].shards[0].name
    t.bit(path)
    t.rehash(path.parent)


@tampering("records", "manifest.json lacks a field, hashes recomputed", said="manifest.json: splits: missing")
def _(store, older):
    path = store / "records" / "manifest.json"
    record = json.loads(path.read_text())
    del record["splits"]
    path.write_text(json.dumps(record))
    t.rehash(path.parent)


@tampering(
    "records", "test images put where validation was, before training", LATER, "are in test and in val",
    t.by_evaluate_of_what_was_trained,
)  # fmt: skip
def _(store, older):
    t.document(store / "records" / "manifest.json", splits=lambda splits: splits | {"val": splits["test"]})


@tampering("records", "the records of an older run, after training", said="was made from the", read=t.by_evaluate)
def _(store, older):
    t.replaced("records", store, older)


@tampering("records", "the same, claiming this split", said="was made from the records", read=t.by_evaluate)
def _(store, older):
    t.replaced("records", store, older)
    t.rehash(store / "records", made_from={"split": sha256_file(store / "split" / MANIFEST)})


@tampering("records", "records of another split that claim this one, before training", DIGEST)
def _(store, older):
    t.replaced("records", store, older)
    t.rehash(store / "records", made_from={"split": sha256_file(store / "split" / MANIFEST)})
