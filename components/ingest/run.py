"""Ingest: from a table and folders of images to an index with a verdict on every image."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from components.common.artifacts.folder import dump_json, new_artifact
from components.common.artifacts.index import COLUMNS, KIND, THUMBNAIL, Verdict, write_account, write_index
from components.common.imaging.inspect import INSPECTOR
from components.common.runtime.cores import usable_cores
from components.common.runtime.errors import DataError
from components.common.storage import retry, store
from components.ingest.cache import Cache
from components.ingest.check import Checked, check_images
from components.ingest.config import IngestConfig
from components.ingest.labels import LabelPolicy, load_label_policy
from components.ingest.rows import table_bytes
from components.ingest.sources import Root, list_roots, printable
from components.ingest.tables import WORKING, read_table
from components.ingest.verdicts import labels_of, row_verdicts

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
    with new_artifact(out, KIND, made_from) as folder:
        columns, notes = read_table(metadata)
        table = pd.DataFrame(columns)
        label = labels_of(table, policy)
        verdicts, more = row_verdicts(table, label, policy)
        cache = _cache(config, out)
        candidates = [files.get(image_id, []) for image_id in table["image_id"]]
        threads = config.threads or _threads([root.uri for root in roots])
        checked = list(check_images(candidates, cache, threads))
        if config.cache:
            cache.save(config.cache)
        index = _index(table.assign(label=label), verdicts, checked)
        account = _account(index, policy, roots, [*notes, *more, *_notes(files, table, checked)])
        write_index(folder, index)
        write_account(folder, account)
        _log(account)
        _check_loss(account, config.max_lost_pct)
    return IngestResult(
        path=out,
        rows=account["rows"],
        ok=account["ok"],
        lost=account["lost"],
        malignant=int(((index["verdict"] == Verdict.OK) & (index["label"] == 1)).sum()),
        counts=account["counts"],
        unchanged=cache.hits,
    )


def _cache(config: IngestConfig, out: Path) -> Cache:
    cache = Cache(rehash=config.rehash)
    cache.load_artifact(out)
    if config.cache:
        cache.load(config.cache)
    return cache


def _index(table: pd.DataFrame, verdicts: pd.DataFrame, checked: list[Checked]) -> pd.DataFrame:
    """Joins the table with what was found of each image; a verdict about the row comes before one about the bytes."""
    seen = pd.DataFrame([asdict(item.inspection) for item in checked])
    by_row = verdicts["verdict"] != ""
    whole = table.assign(
        group_id=table["lesion_id"],
        uri=[item.uri for item in checked],
        sha256=[item.sha256 for item in checked],
        size=[item.size for item in checked],
        verdict=verdicts["verdict"].where(by_row, seen["verdict"]),
        reason=verdicts["reason"].where(by_row, seen["reason"]),
        **{name: seen[name] for name in seen.columns if name not in ("verdict", "reason")},
    )
    further = [name for name in table.columns if name not in COLUMNS and name not in WORKING]
    return whole[[*COLUMNS, *further, THUMBNAIL]]


def _threads(images: list[str]) -> int:
    # the codecs release the GIL: one thread a core where decoding is the work, more where waiting is
    return usable_cores() if all(store.is_local(uri) for uri in images) else retry.THREADS


def _made_from(metadata: str, policy: LabelPolicy) -> dict[str, str]:
    parts = [metadata] if store.exists(metadata) else metadata.rsplit(",", 1)
    digest = hashlib.sha256(b"".join(table_bytes(part) for part in parts)).hexdigest()
    return {"metadata": digest, "label_policy": hashlib.sha256(dump_json(policy.record()).encode()).hexdigest()}


def _account(index: pd.DataFrame, policy: LabelPolicy, roots: list[Root], notes: list[str]) -> dict[str, Any]:
    counts = {str(verdict): int(n) for verdict, n in sorted(index["verdict"].value_counts().items())}
    excluded = counts.get(Verdict.EXCLUDED_DIAGNOSIS, 0)
    lost = index.loc[
        ~index["verdict"].isin([Verdict.OK, Verdict.EXCLUDED_DIAGNOSIS]), ["image_id", "verdict", "reason"]
    ]
    considered = len(index) - excluded
    return {
        "inspector": INSPECTOR,
        "label_policy": policy.record(),
        "roots": [root.record() for root in roots],
        "rows": len(index),
        "ok": counts.get(Verdict.OK, 0),
        "lost": len(lost),
        "lost_pct": round(100.0 * len(lost) / considered, 4) if considered else 0.0,
        "counts": counts,
        "lost_images": lost.to_dict("records"),
        "notes": notes,
    }


def _notes(files: dict[str, list[store.StoredObject]], table: pd.DataFrame, checked: list[Checked]) -> list[str]:
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
            f"{max_lost_pct:g} % may be: {shown}; fix them, or raise max_lost_pct"
        )
    if not record["ok"]:
        raise DataError(f"none of {record['rows']} images is usable: {record['counts']}; see the table and the roots")
