"""Monitor: from logged predictions and late labels to a page, figures, and whether somebody should look."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from components.common.artifacts.folder import new_artifact, open_artifact, sha256_file
from components.common.artifacts.json_file import shown, write_atomic, write_json
from components.common.artifacts.policy import load_policy
from components.common.bundle import layout
from components.common.runtime.errors import DataError, LesionflowError
from components.monitor.config import MonitorConfig
from components.monitor.log import Log, read_log, with_labels
from components.monitor.page import Told, page_html
from components.monitor.performance import by_period, by_source
from components.monitor.reference import read_reference
from components.monitor.watches import LABELLED, WORDS, Watch, watch

SCHEMA = "lesionflow.monitor/1"
FILE, PAGE = "monitor.json", "monitor.html"


class ChangeFound(LesionflowError):  # noqa: N818 - what a scheduled run looks for, not a fault of the command
    """A test has raised its alarm; everything is written all the same."""

    exit_code = 3


@dataclass(frozen=True)
class MonitorResult:
    """What the monitor has found.

    Attributes:
        path: the artifact.
        images: predictions that were read.
        alarms: one sentence per test that has raised its alarm, the earliest first.
        notes: what a reader must know about the log.
    """

    path: Path
    images: int
    alarms: list[str]
    notes: list[str]

    def check(self) -> None:
        """Raises what makes a scheduled run report.

        Raises:
            ChangeFound: a test has raised its alarm.
        """
        if self.alarms:
            more = f" (and {len(self.alarms) - 1} more)" if len(self.alarms) > 1 else ""
            raise ChangeFound(f"change found: {self.alarms[0]}{more}; see {self.path / PAGE}")


def run(
    config: MonitorConfig,
    bundle: Path,
    predictions: Sequence[Path],
    out: Path,
    *,
    labels: Path | None = None,
    reference: Path | None = None,
) -> MonitorResult:
    """Reads the whole log, tests it and writes the monitor artifact `out`; the same log gives the same bytes.

    Args:
        config: parameters.
        bundle: the bundle that made the predictions; it is not loaded.
        predictions: logs of it, from the beginning on.
        out: folder for the artifact; that of an earlier look is replaced.
        labels: CSV of labels that came later.
        reference: scores to compare with; None: what the bundle carries.

    Raises:
        ArtifactError: the bundle or the reference is damaged.
        ConfigError: a file is missing, or there is nothing to compare with.
        DataError: a row that is not a prediction, or a label that is none.
    """
    made = open_artifact(bundle, "bundle")
    policy = load_policy(bundle / layout.POLICY)
    known = read_reference(bundle, policy, reference)
    entries = read_log(predictions, policy)
    foreign = 0
    if labels is not None:
        entries, foreign = with_labels(entries, labels)
        if foreign and not (entries.label >= 0).any():
            raise DataError(
                f"{labels}: none of its {foreign} labels is of an image in the log, whose images are named such as "
                f"{', '.join(shown(str(one)) for one in entries.image[:2])}; give labels under the same names"
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
        watches=watches,
        periods=by_period(config, entries),
        sources=by_source(config, entries),
    )
    made_from = {"bundle": made.digest, **{f"log_{i}": sha256_file(p) for i, p in enumerate(_single(predictions))}}
    with new_artifact(out, "monitor", made_from) as folder:
        write_json(folder / FILE, _record(config, told))
        write_atomic(folder / PAGE, page_html(told))
    return MonitorResult(out, len(entries), alarms, notes)


def _single(paths: Sequence[Path]) -> list[Path]:
    return [path for path in paths if path.is_file()]


def _when(one: Watch) -> tuple[int, float]:
    return (one.alarm if one.alarm is not None else 2**62, -one.capital)


def _sentence(one: Watch, entries: Log) -> str:
    at = int(one.alarm or 0)
    where = f"{one.source}: " if one.source else ""
    timed = not np.isnan(entries.time).any()
    time = entries.labelled[at] if timed and one.subject in LABELLED else entries.time[at]
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
    notes = []
    if entries.other_policies:
        notes.append(f"{entries.other_policies} rows of other policies were left out")
    if entries.repeated:
        notes.append(f"{entries.repeated} rows about images that were asked about before were left out")
    if foreign:
        notes.append(f"{foreign} labels are of images that the log does not hold")
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
    known, answered = entries.label >= 0, entries.answered
    shares = [float(known[answered & side].mean()) for side in (entries.malignant, ~entries.malignant) if side.any()]
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
        "alarms": told.alarms,
        "notes": told.notes,
        "watches": [plain(one) for one in told.watches],
        "periods": [asdict(one) for one in told.periods],
        "sources": [asdict(one) for one in told.sources],
    }
