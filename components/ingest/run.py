"""Ingest: from a table and folders of images to an index with a verdict on every image."""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.common.artifacts.folder import dump_json, new_artifact, read_json, write_json
from components.common.imaging.inspect import INSPECTOR
from components.common.parquet import Columns
from components.common.runtime.cores import usable_cores
from components.common.runtime.errors import DataError
from components.common.storage import retry, store
from components.ingest.cache import Cache
from components.ingest.check import Checked, check_images
from components.ingest.config import IngestConfig
from components.ingest.index import index_table, write_index
from components.ingest.labels import LabelPolicy, load_label_policy
from components.ingest.memo import memo_of
from components.ingest.rows import table_bytes
from components.ingest.sources import Root, list_roots, printable
from components.ingest.tables import read_table
from components.ingest.verdicts import EXCLUDED, labels_of, row_verdicts

SCHEMA = "lesionflow.ingest/1"
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
    made_from = _made_from(metadata, policy)
    roots, files = list_roots(images)
    memo = memo_of(config.cache, metadata, images, made_from, files.values()) if config.cache else None
    with new_artifact(out, "index", made_from) as folder:
        facts = memo.take(folder) if memo and not config.rehash else None
        if facts is not None:
            log.info("the table and all %d images are those of an earlier ingest: its index is taken", facts["rows"])
            facts["unchanged"] = facts["rows"]
        else:
            known = _Known(config, metadata, policy, roots, files)
            facts = _build(known, out, folder)
            if memo and "unreadable" not in facts["counts"]:  # what cannot be read today may be readable tomorrow
                memo.keep(folder, facts)
        record = read_json(folder / "ingest.json", SCHEMA)
        _log(record)
        _check_loss(record, config.max_lost_pct)
    return IngestResult(path=out, **facts)


@dataclass(frozen=True)
class _Known:
    config: IngestConfig
    metadata: str
    policy: LabelPolicy
    roots: list[Root]
    files: dict[str, list[store.StoredObject]]


def _build(known: _Known, out: Path, folder: Path) -> dict[str, Any]:
    """Writes the files of the index into `folder`; returns what `IngestResult` says of them."""
    table, notes = read_table(known.metadata)
    label = labels_of(table, known.policy)
    verdicts, more = row_verdicts(table, label, known.policy)
    cache = Cache(rehash=known.config.rehash)
    cache.load_artifact(out)
    if known.config.cache:
        cache.load(known.config.cache)
    candidates = [known.files.get(image_id, []) for image_id in table["image_id"]]
    threads = known.config.threads or _threads([root.uri for root in known.roots])
    checked = list(check_images(candidates, cache, threads))
    if known.config.cache:
        cache.save(known.config.cache)
    index = index_table(table, label, verdicts, checked)
    record = _record(index, known.policy, known.roots, [*notes, *more, *_notes(known.files, table, checked)])
    write_index(index, folder / "index.parquet")
    write_json(folder / "ingest.json", record)
    return {
        "rows": record["rows"],
        "ok": record["ok"],
        "lost": record["lost"],
        "malignant": list(zip(index["verdict"], index["label"], strict=True)).count(("ok", 1)),
        "counts": record["counts"],
        "unchanged": cache.hits,
    }


def _threads(images: list[str]) -> int:
    # the codecs release the GIL: one thread a core where decoding is the work, more where waiting is
    return usable_cores() if all(store.is_local(uri) for uri in images) else retry.THREADS


def _made_from(metadata: str, policy: LabelPolicy) -> dict[str, str]:
    parts = [metadata] if store.exists(metadata) else metadata.rsplit(",", 1)
    digest = hashlib.sha256(b"".join(table_bytes(part) for part in parts)).hexdigest()
    return {"metadata": digest, "label_policy": hashlib.sha256(dump_json(policy.record()).encode()).hexdigest()}


def _record(index: Columns, policy: LabelPolicy, roots: list[Root], notes: list[str]) -> dict[str, Any]:
    counts = Counter(index["verdict"])
    rows = zip(index["image_id"], index["verdict"], index["reason"], strict=True)
    lost = [row for row in rows if row[1] not in ("ok", EXCLUDED)]
    considered = counts.total() - counts[EXCLUDED]
    return {
        "schema": SCHEMA,
        "inspector": INSPECTOR,
        "label_policy": policy.record(),
        "roots": [root.record() for root in roots],
        "rows": counts.total(),
        "ok": counts["ok"],
        "lost": len(lost),
        "lost_pct": round(100.0 * len(lost) / considered, 4) if considered else 0.0,
        "counts": dict(sorted(counts.items())),
        "lost_images": [dict(zip(("image_id", "verdict", "reason"), row, strict=True)) for row in lost],
        "notes": notes,
    }


def _notes(files: dict[str, list[store.StoredObject]], table: Columns, checked: list[Checked]) -> list[str]:
    notes = []
    unlisted = sorted(set(files) - set(table["image_id"]))
    if unlisted:
        notes.append(f"{len(unlisted)} image files are not in the table, the first is {printable(unlisted[0])}")
    copied = [image_id for image_id, item in zip(table["image_id"], checked, strict=True) if item.copies]
    if copied:
        notes.append(f"{len(copied)} images are there more than once with equal bytes, the first is {copied[0]}")
    return notes


def _log(record: dict[str, Any]) -> None:
    log.info("%-24s %8s %8s", "verdict", "images", "%")
    for verdict, n in record["counts"].items():
        log.info("%-24s %8d %8.2f", verdict, n, 100.0 * n / record["rows"])
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
