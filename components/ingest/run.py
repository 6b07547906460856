"""Ingest: from a table and folders of images to an index with a verdict on every image."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pandas as pd

from components.common.artifacts.folder import new_artifact
from components.common.artifacts.index import (
    COLUMNS,
    THUMBNAIL,
    WITHOUT_LABEL,
    Verdict,
    one_class,
    write_account,
    write_index,
)
from components.common.artifacts.json_file import dump_json
from components.common.artifacts.place import refuse_inside
from components.common.imaging.inspect import INSPECTOR, Inspection
from components.common.runtime.errors import DataError
from components.common.runtime.resources import usable_cores
from components.common.runtime.words import counted
from components.common.storage import retry, store
from components.common.storage.retry import StoredObject
from components.ingest.cache import Cache
from components.ingest.cells import WORKING
from components.ingest.check import Checked, check_images, explain_missing
from components.ingest.config import IngestConfig
from components.ingest.dicom_patients import name_patients
from components.ingest.filters import keep_only
from components.ingest.labels import AUTO, LabelPolicy, load_label_policy
from components.ingest.sources import Files, Root, list_roots, printable
from components.ingest.tables import Table, read_table
from components.ingest.verdicts import conflicts_of_bytes, conflicts_of_lesions, label_rows, policy_of

_SHOWN = 5
_LOGGED = 20
NOT_LOST = (Verdict.EXCLUDED_DIAGNOSIS,)  # left out on purpose
_LISTED = 10_000  # lost images in ingest.json; index.parquet holds the verdict and reason of every one

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


@dataclass(frozen=True)
class Look:
    """What is known before an image is read: the table, its labels, and where the files are."""

    table: Table
    kept: dict[str, Any]
    policy: LabelPolicy
    found: pd.DataFrame
    notes: list[str]
    roots: list[Root]
    files: Files

    def candidates(self) -> list[list[StoredObject]]:
        """The files of each row of the table."""
        rows = self.table.rows
        return [self.files.find(name, place) for name, place in zip(rows["image_id"], rows["folder"], strict=True)]


def look(config: IngestConfig, metadata: str, images: list[str]) -> Look:
    """Reads the table, labels its rows and lists the image roots.

    Raises:
        DataError: the table breaks the rules, or no image is found.
        ConfigError: no such label policy, or `columns` names what is not there.
    """
    if config.label_policy != AUTO:
        load_label_policy(config.label_policy)  # a wrong name is told before the table is read
    table = read_table(metadata, config.columns)
    kept = keep_only(table, config.licences, config.image_types)
    policy = policy_of(config.label_policy, table)
    keep = config.unlabelled == "keep"
    found, more = label_rows(table, policy, chosen=config.label_policy != AUTO, unknown_classes=keep)
    more += conflicts_of_lesions(table.rows, found)
    return Look(table, kept, policy, found, more, *list_roots(images, table.rows["image_id"]))


def run(config: IngestConfig, metadata: str, images: list[str], out: Path, parts: Sequence[Path] = ()) -> IngestResult:
    """Checks every image of the table and writes the index artifact `out`.

    Args:
        config: label policy, columns, filters, limits, cache.
        metadata: URI of the table, or two joined by a comma (labels, facts).
        images: URIs of the image roots.
        out: folder of the artifact.
        parts: verdicts that parts of this run have found, see `parts`.

    Raises:
        DataError: the table breaks the rules, no image is found, or more than max_lost_pct are unusable.
        ConfigError: no such label policy, `columns` names what is not there, or `out` lies inside a root.
    """
    refuse_inside(out, images)
    seen = look(config, metadata, images)
    table, kept, policy, found, more = seen.table, seen.kept, seen.policy, seen.found, seen.notes
    roots, files = seen.roots, seen.files
    keep = config.unlabelled == "keep"
    with new_artifact(out, "index", _made_from(table, policy, config)) as folder:
        cache = _cache(config, out, parts)
        checked = list(check_images(seen.candidates(), cache, threads_for(config, roots)))
        checked = explain_missing(table.rows["image_id"], checked, [root.uri for root in roots])
        if config.cache:
            cache.save(config.cache)
        dicom, said = name_patients(table.rows, checked)
        more += said
        # the same error page under two names is not a picture with two labels
        readable = [item.sha256 if item.inspection.verdict == Verdict.OK else "" for item in checked]
        more += conflicts_of_bytes(table.rows, found, pd.Series(readable, dtype="str"))
        index = _index(table.rows, found, checked)
        notes = [*table.notes, *more, *_notes(files, table.rows, checked)]
        not_lost = WITHOUT_LABEL if keep else NOT_LOST
        account = _account(index, policy, roots, notes, not_lost) | {
            "table": _about(table, policy),
            **kept,
            **dicom,
        }
        write_index(folder, index)
        write_account(folder, account)
        _log(account)
        labelled = index.loc[~index["verdict"].isin(WITHOUT_LABEL), "label"]
        if (fault := one_class(labelled[labelled.isin((0, 1))])) is not None:
            log.warning("%s by label policy %s: nothing can be trained on this index", fault, policy.name)
        _check_loss(account, config.max_lost_pct, roots)
    return IngestResult(
        path=out,
        rows=account["rows"],
        ok=account["ok"],
        lost=account["lost"],
        malignant=int(((index["verdict"] == Verdict.OK) & (index["label"] == 1)).sum()),
        counts=account["counts"],
        unchanged=cache.hits,
    )


def _cache(config: IngestConfig, out: Path, parts: Sequence[Path]) -> Cache:
    cache = Cache(rehash=config.rehash)
    cache.load_artifact(out)
    if config.cache:
        cache.load(config.cache)
    for part in parts:
        cache.load_part(part)
    return cache


def _index(rows: pd.DataFrame, found: pd.DataFrame, checked: list[Checked]) -> pd.DataFrame:
    """Joins the table with what was found of each image; a verdict about the row comes before one about the bytes."""
    names = [field.name for field in fields(Inspection)]
    seen = pd.DataFrame({name: [getattr(item.inspection, name) for item in checked] for name in names})
    by_row = found["verdict"] != ""
    new = {
        "group_id": rows["lesion_id"],
        "label": found["label"],
        "uri": [item.uri for item in checked],
        "sha256": [item.sha256 for item in checked],
        "size": [item.size for item in checked],
        "verdict": found["verdict"].where(by_row, seen["verdict"]),
        "reason": found["reason"].where(by_row, seen["reason"]),
        **{name: seen[name] for name in seen.columns if name not in ("verdict", "reason")},
    }
    further = [name for name in rows.columns if name not in COLUMNS and name not in WORKING]
    return pd.DataFrame({name: new.get(name, rows.get(name)) for name in (*COLUMNS, *further, THUMBNAIL)})


def threads_for(config: IngestConfig, roots: list[Root]) -> int:
    """Images read at a time."""
    # the codecs release the GIL: one thread per core where decoding is the work, more where waiting is
    local = all(store.is_local(root.uri) for root in roots)
    return config.threads or (usable_cores() if local else retry.THREADS)


def _made_from(table: Table, policy: LabelPolicy, config: IngestConfig) -> dict[str, str]:
    made_from = {"metadata": table.sha256, "label_policy": _digest(policy.record())}
    reading = config.model_dump(include={"columns", "licences", "image_types"}, exclude_defaults=True)
    return made_from | ({"reading": _digest(reading)} if reading else {})


def _digest(value: Any) -> str:
    return hashlib.sha256(dump_json(value).encode()).hexdigest()


def _about(table: Table, policy: LabelPolicy) -> dict[str, Any]:
    """How the table was read."""
    reading = table.reading
    columns = {meaning: names[0] for meaning, names in sorted(reading.columns.items())}
    stated = {"lesion_id": "lesion_id" in columns, "patient_id": "patient_id" in table.rows}
    ids = {
        f"{name}s": int(table.rows.loc[table.rows[name] != "", name].nunique()) if there else 0
        for name, there in stated.items()
    }
    return {"layout": reading.layout, "columns": columns, "label_policy": policy.name, **ids}


def _account(
    index: pd.DataFrame, policy: LabelPolicy, roots: list[Root], notes: list[str], not_lost: Sequence[str]
) -> dict[str, Any]:
    counts = {str(verdict): int(n) for verdict, n in sorted(index["verdict"].value_counts().items())}
    lost = index.loc[~index["verdict"].isin([Verdict.OK, *not_lost]), ["image_id", "verdict", "reason"]]
    considered = len(index) - sum(counts.get(verdict, 0) for verdict in not_lost)
    return {
        "inspector": INSPECTOR,
        "label_policy": policy.record(),
        "roots": [root.record() for root in roots],
        "rows": len(index),
        "ok": counts.get(Verdict.OK, 0),
        "lost": len(lost),
        "lost_pct": round(100.0 * len(lost) / considered, 4) if considered else 0.0,
        "counts": counts,
        "lost_images": lost.head(_LISTED).to_dict("records"),
        "notes": notes,
    }


def _notes(files: Files, rows: pd.DataFrame, checked: list[Checked]) -> list[str]:
    notes = []
    for what, found in (
        ("in another case only", files.other_case),
        ("as another spelling of a number", files.other_number),
    ):
        if found:
            asked, have = next(iter(found.items()))
            notes.append(f"{counted(len(found), 'image id')} found {what}, the first: {asked} (file {have})")
    unlisted = files.unlisted(rows["image_id"])
    if unlisted:
        notes.append(f"{counted(len(unlisted), 'image file')} not in the table, the first is {printable(unlisted[0])}")
    copied = [image_id for image_id, item in zip(rows["image_id"], checked, strict=True) if item.copies]
    if copied:
        notes.append(f"{counted(len(copied), 'image')} found more than once with equal bytes, the first is {copied[0]}")
    beside = [item for item in checked if item.passed_over]
    if beside:
        notes.append(
            f"{counted(len(beside), 'image')} with several files of that name, of which only one can be read and is "
            f"taken; the first file not taken is {beside[0].passed_over[0]}"
        )
    return notes


def _log(record: dict[str, Any]) -> None:
    log.info("%-24s %8s %8s", "verdict", "images", "%")
    for verdict, n in record["counts"].items():
        log.info("%-24s %8d %8.2f", verdict, n, 100.0 * n / record["rows"])
    for item in record["lost_images"][:_LOGGED]:
        log.warning("lost %s: %s: %s", item["image_id"], item["verdict"], item["reason"])
    if record["lost"] > _LOGGED:
        log.warning("and %d more lost images; index.parquet has verdict and reason of each", record["lost"] - _LOGGED)
    for note in record["notes"]:
        log.info("note: %s", note)


def _check_loss(account: dict[str, Any], max_lost_pct: float, roots: list[Root]) -> None:
    lost = account["lost_images"]
    shown = "; ".join(f"{one['image_id']}: {one['verdict']}, {one['reason']}" for one in lost[:_SHOWN])
    if account["lost_pct"] > max_lost_pct:
        by_row = account["counts"].keys() <= {Verdict.OK, *WITHOUT_LABEL}
        advice = "fix them, or raise max_lost_pct"
        if by_row:
            advice = "choose a label_policy that knows or excludes them, or name the column of the label in columns"
        advice += "".join(f"; image root {root.uri} {root.problem}" for root in roots if root.problem)
        raise DataError(
            f"{account['lost']} of {account['rows']} images ({account['lost_pct']:.2f} %) are unusable, at most "
            f"{max_lost_pct:g} % may be: {shown}; {advice}"
        )
    if not account["ok"]:
        raise DataError(f"none of {account['rows']} images is usable: {account['counts']}; {shown}")
