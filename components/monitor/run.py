"""Monitor: from logged predictions and late labels to figures, a page, and whether a change was found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from components.common.artifacts.folder import new_artifact, open_files
from components.common.artifacts.json_file import shown, write_atomic, write_json
from components.common.artifacts.policy import load_policy
from components.common.artifacts.remote import local_artifact, refuse_other
from components.common.bundle import layout
from components.common.runtime.errors import DataError
from components.common.runtime.words import counted
from components.monitor.alarm import FILE, PAGE, SCHEMA
from components.monitor.config import MonitorConfig
from components.monitor.log import Log, read_log, with_labels
from components.monitor.page import Told, page_html
from components.monitor.performance import by_period, by_source
from components.monitor.power import LOSS, most_power
from components.monitor.reference import FILES, Reference, fetch_reference, read_reference
from components.monitor.table import read_table, read_tables
from components.monitor.watches import LABELLED, WORDS, Watch, watch


@dataclass(frozen=True)
class MonitorResult:
    """What the monitor has found.

    Attributes:
        path: the artifact.
        images: predictions that were read.
        labelled: those with a label.
        alarms: one sentence per test that has raised its alarm, the earliest first.
        notes: what a reader must know about the log.
    """

    path: Path
    images: int
    labelled: int
    alarms: list[str]
    notes: list[str]

    @property
    def lines(self) -> list[str]:
        """What a command prints."""
        answer = "a change was found" if self.alarms else "no change was found"
        return [f"{counted(self.images, 'prediction')}; {answer}", *self.alarms, *self.notes]


def run(
    config: MonitorConfig, bundle: str, predictions: Sequence[str], out: Path, *, labels: str = "", reference: str = ""
) -> MonitorResult:
    """Reads the whole log, tests it and writes the monitor artifact `out`; the same log gives the same bytes.

    Args:
        config: parameters.
        bundle: folder or URI of the bundle that made the predictions; only the files in `FILES` are read.
        predictions: logs of it, from the beginning on: files, or folders of them, here or in an object store.
        out: folder for the artifact; that of an earlier look is replaced.
        labels: table of labels that came later; empty: none.
        reference: scores to compare with; empty: what the bundle carries.

    Raises:
        ArtifactError: the bundle or the reference is damaged.
        ConfigError: a file is missing, or there is nothing to compare with.
        DataError: a row that is not a prediction, or a label that is not one.
    """
    with TemporaryDirectory() as scratch:
        source = local_artifact(bundle, "bundle", Path(scratch) / "bundle", FILES)
        refuse_other(source, "bundle", config.bundle_digest)
        made = open_files(source, "bundle", FILES)
        policy = load_policy(made.path / layout.POLICY)
        given = fetch_reference(reference, Path(scratch) / "reference") if reference else None
        known = read_reference(made, policy, given)
    tables = read_tables(predictions)
    entries = read_log(tables, policy)
    foreign = 0
    if labels:
        entries, foreign = with_labels(entries, read_table(labels))
        if foreign and not (entries.label >= 0).any():
            raise DataError(
                f"{labels}: {counted(foreign, 'label')}, none for an image of the log, whose images have names such as "
                f"{', '.join(shown(str(one)) for one in entries.image[:2])}; give labels under these names"
            )
    watches = watch(config, entries, known)
    alarms = [_sentence(one, entries) for one in sorted(watches, key=_when) if one.alarm is not None]
    notes = _notes(entries, foreign, bool((entries.label >= 0).any()), known.refused is not None)
    told = Told(
        policy_id=policy.policy_id,
        threshold=policy.threshold_probability,
        site=(policy.parent or {}).get("site", ""),
        alpha=config.alpha,
        reference=f"{known.name} ({len(known.label)} groups, {int(known.label.sum())} malignant)",
        images=len(entries),
        span=_span(entries),
        labelled=int((entries.label >= 0).sum()),
        alarms=alarms,
        notes=notes,
        power=_power(watches, known, policy.threshold_probability, config.alpha),
        watches=watches,
        periods=by_period(config, entries),
        sources=by_source(config, entries),
    )
    made_from = {"bundle": made.digest, **{f"log_{i}": one.digest for i, one in enumerate(tables)}}
    with new_artifact(out, "monitor", made_from) as folder:
        write_json(folder / FILE, _record(config, told))
        write_atomic(folder / PAGE, page_html(told))
    return MonitorResult(out, len(entries), told.labelled, alarms, notes)


def _power(watches: Sequence[Watch], known: Reference, threshold: float, alpha: float) -> list[str]:
    """How likely a count of missed lesions among the labels of each source shows a loss."""
    before = known.probability[known.label == 1] >= threshold
    if not before.any():
        return []
    return [
        f"{one.source or 'all sources'}: {counted(one.images, 'malignant group')} with a label; a fall in sensitivity "
        f"from {before.mean():.2f} to {before.mean() - LOSS:.2f} before the first of them would be found by a single "
        f"exact test of their count in {100 * most_power(one.images, float(before.mean()), alpha):.0f} of 100 cases"
        for one in watches
        if one.subject == "malignant_scores"
    ]


def _when(one: Watch) -> tuple[int, float]:
    return (one.alarm if one.alarm is not None else 2**62, -one.capital)


def _sentence(one: Watch, entries: Log) -> str:
    at = int(one.alarm or 0)
    where = f"{one.source}: " if one.source else ""
    timed = not np.isnan(entries.time).any()
    time = entries.labelled[at] if entries.label_times and one.subject in LABELLED else entries.time[at]
    when = f", {datetime.fromtimestamp(time, UTC):%Y-%m-%d}" if timed else ""
    return (
        f"{where}{WORDS[one.subject]}: found after {one.after} of {one.images} such images (image {at + 1} of the log"
        f"{when})"
    )


def _span(entries: Log) -> str:
    if np.isnan(entries.time).any():
        return "in the order of the log, which has no times"
    first, last = (datetime.fromtimestamp(one, UTC) for one in (entries.time.min(), entries.time.max()))
    return f"from {first:%Y-%m-%d} to {last:%Y-%m-%d}"


def _notes(entries: Log, foreign: int, labels: bool, checked: bool) -> list[str]:
    notes = list(entries.notes)
    if entries.other_policies:
        notes.append(f"left out: {counted(entries.other_policies, 'row')} of other policies")
    if entries.repeated:
        notes.append(f"left out: {counted(entries.repeated, 'row')} of images that are in the log already")
    if foreign:
        notes.append(f"not used: {counted(foreign, 'label')} for images that are not in the log")
    if refused := int(entries.refused.sum()):
        notes.append(
            f"{counted(refused, 'image')} refused as not dermoscopic: sent to a person, so a malignant one counts "
            "as found and a benign one as not cleared, as in validation; tests of scores leave them out"
        )
    if np.isnan(entries.distance).all():
        notes.append("the log has no distances: whether images still look like the training images is not watched")
    if not checked:
        notes.append("the bundle does not check whether images are dermoscopic: the refused share is shown, not tested")
    if not labels:
        notes.append("no labels: a loss of sensitivity in which malignant images look benign cannot be seen")
    else:
        notes += _verification(entries)
    return notes


def _verification(entries: Log) -> list[str]:
    """Whether both sides of the threshold get labels."""
    known, sides = entries.label >= 0, (entries.malignant, ~entries.malignant)
    shares = [float(known[one].mean()) for side in sides if (one := entries.decided & side).any()]
    if len(shares) < 2 or shares[1] >= 0.8 * shares[0]:
        return []
    return [
        f"{100 * shares[0]:.0f} % of images predicted malignant have a label and {100 * shares[1]:.0f} % of those "
        "predicted benign: the observed sensitivity is too high by what was never looked at"
    ]


def _record(config: MonitorConfig, told: Told) -> dict[str, Any]:
    def plain(one: Watch) -> dict[str, Any]:
        return {name: value for name, value in asdict(one).items() if name not in ("curve", "at")}

    return {
        "schema": SCHEMA,
        "config": config.model_dump(mode="json"),
        "policy_id": told.policy_id,
        "reference": told.reference,
        "images": told.images,
        "labelled": told.labelled,
        "power": told.power,
        "alarms": told.alarms,
        "notes": told.notes,
        "watches": [plain(one) for one in told.watches],
        "periods": [asdict(one) for one in told.periods],
        "sources": [asdict(one) for one in told.sources],
    }
