"""Ingest: from a table and folders of images to an index with a verdict on every image."""

from __future__ import annotations

import hashlib
import logging
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from components.common import storage
from components.common.artifacts import dump_json, new_artifact, write_json
from components.common.errors import DataError
from components.common.imaging import INSPECTOR
from components.common.labels import LabelPolicy, load_label_policy
from components.ingest.cache import Cache
from components.ingest.check import Checked, check_images
from components.ingest.config import IngestConfig
from components.ingest.index import index_table, write_index
from components.ingest.sources import Root, list_roots
from components.ingest.tables import read_table
from components.ingest.verdicts import EXCLUDED, labels_of, row_verdicts

SCHEMA = "lesionflow.ingest/1"
_REMOTE_THREADS = 32
_SHOWN = 5
_LOGGED = 20

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class IngestResult:
    """What the index holds.

    Attributes:
        path: the index artifact.
        rows: rows of the table.
        ok: images fit for use.
        lost: images that are not, without those the label policy leaves out.
        malignant: malignant images among the usable ones.
        counts: rows by verdict.
        unchanged: images whose verdict was known from an earlier ingest.
    """

    path: Path
    rows: int
    ok: int
    lost: int
    malignant: int
    counts: dict[str, int]
    unchanged: int

    def metrics(self) -> dict[str, float]:
        """What KFP shows for the step."""
        verdicts = {f"verdict_{name}": n for name, n in self.counts.items() if name != "ok"}
        return {"rows": self.rows, "ok": self.ok, "lost": self.lost, "malignant": self.malignant, **verdicts}


def run(config: IngestConfig, metadata: str, images: list[str], out: Path) -> IngestResult:
    """Checks every image of the table and writes the index artifact `out`.

    Args:
        config: label policy, limits, cache.
        metadata: URI of the table, or two joined by a comma (labels, facts).
        images: URIs of the image roots.
        out: folder of the artifact.

    Raises:
        DataError: the table breaks the rules, no image is found, or more than max_lost_pct are unusable.
    """
    policy = load_label_policy(config.label_policy)
    table, notes = read_table(metadata)
    cache = Cache()
    cache.load_artifact(out)
    with new_artifact(out, "index", _made_from(metadata, policy)) as folder:
        index, record = _index(config, policy, table, images, cache, notes)
        _log(index, record)
        _check_loss(record, config.max_lost_pct)
        write_index(index, folder / "index.parquet")
        write_json(folder / "ingest.json", record)
    malignant = int(((index["verdict"] == "ok") & (index["label"] == 1)).sum())
    return IngestResult(out, len(index), record["ok"], record["lost"], malignant, record["counts"], cache.hits)


def _index(
    config: IngestConfig, policy: LabelPolicy, table: pd.DataFrame, images: list[str], cache: Cache, notes: list[str]
) -> tuple[pd.DataFrame, dict[str, Any]]:
    label = labels_of(table, policy)
    verdicts, more = row_verdicts(table, label, policy)
    roots, files = list_roots(images)
    if config.cache:
        cache.load(config.cache)
    candidates = [files.get(image_id, []) for image_id in table["image_id"]]
    checked = list(check_images(candidates, cache, config.threads or _threads(images)))
    if config.cache:
        cache.save(config.cache)
    index = index_table(table, label, verdicts, checked)
    return index, _record(index, policy, roots, [*notes, *more, *_notes(files, table, checked)])


def _threads(images: list[str]) -> int:
    # the codecs release the GIL: one thread a core where decoding is the work, more where waiting is
    return len(os.sched_getaffinity(0)) if all(storage.is_local(uri) for uri in images) else _REMOTE_THREADS


def _made_from(metadata: str, policy: LabelPolicy) -> dict[str, str]:
    parts = [metadata] if storage.exists(metadata) else metadata.rsplit(",", 1)
    digest = hashlib.sha256(b"".join(storage.read_bytes(part) for part in parts)).hexdigest()
    return {"metadata": digest, "label_policy": hashlib.sha256(dump_json(policy.record()).encode()).hexdigest()}


def _record(index: pd.DataFrame, policy: LabelPolicy, roots: list[Root], notes: list[str]) -> dict[str, Any]:
    counts = Counter(index["verdict"])
    bad = index[~index["verdict"].isin(("ok", EXCLUDED))]
    considered = len(index) - counts[EXCLUDED]
    return {
        "schema": SCHEMA,
        "inspector": INSPECTOR,
        "label_policy": policy.record(),
        "roots": [root.record() for root in roots],
        "rows": len(index),
        "ok": counts["ok"],
        "lost": len(bad),
        "lost_pct": round(100.0 * len(bad) / considered, 4) if considered else 0.0,
        "counts": dict(sorted(counts.items())),
        "lost_images": bad[["image_id", "verdict", "reason"]].to_dict("records"),
        "notes": notes,
    }


def _notes(files: dict[str, list[storage.StoredObject]], table: pd.DataFrame, checked: list[Checked]) -> list[str]:
    notes = []
    unlisted = sorted(set(files) - set(table["image_id"]))
    if unlisted:
        notes.append(f"{len(unlisted)} image files are not in the table, the first is {unlisted[0]}")
    copies = np.flatnonzero([item.copies for item in checked])
    if len(copies):
        first = table["image_id"].iloc[copies[0]]
        notes.append(f"{len(copies)} images are there more than once with equal bytes, the first is {first}")
    return notes


def _log(index: pd.DataFrame, record: dict[str, Any]) -> None:
    log.info("%-24s %8s %8s", "verdict", "images", "%")
    for verdict, n in record["counts"].items():
        log.info("%-24s %8d %8.2f", verdict, n, 100.0 * n / len(index))
    for item in record["lost_images"][:_LOGGED]:
        log.warning("lost %s: %s: %s", item["image_id"], item["verdict"], item["reason"])
    if record["lost"] > _LOGGED:
        log.warning("and %d more lost images; ingest.json lists them all", record["lost"] - _LOGGED)
    for note in record["notes"]:
        log.info("note: %s", note)


def _check_loss(record: dict[str, Any], max_lost_pct: float) -> None:
    if record["lost_pct"] > max_lost_pct:
        shown = "; ".join(f"{i['image_id']}: {i['verdict']}, {i['reason']}" for i in record["lost_images"][:_SHOWN])
        raise DataError(
            f"{record['lost']} of {record['rows']} images ({record['lost_pct']:.2f} %) are unusable, at most "
            f"{max_lost_pct:g} % may be: {shown}; mend them or raise max_lost_pct"
        )
    if not record["ok"]:
        raise DataError(f"none of {record['rows']} images is usable: {record['counts']}; see the table and the roots")
