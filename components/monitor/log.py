"""Logged predictions, one row per image, and labels that came later."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from components.common.artifacts.json_file import shown
from components.common.artifacts.policy import DecisionPolicy
from components.common.bundle import layout
from components.common.runtime.errors import DataError
from components.common.runtime.words import counted
from components.common.statistics.numeric import Floats
from components.common.storage.sheet import BLANK
from components.monitor.table import Row, Table

_WITH_PROBABILITY = (layout.STATUSES[layout.OK], layout.STATUSES[layout.REFERRED])
_NOT_DERMOSCOPY = layout.STATUSES[layout.NOT_DERMOSCOPY]
_LABELS = {"1": 1, "1.0": 1, "0": 0, "0.0": 0, "malignant": 1, "benign": 0}
_MALIGNANT = {"1": True, "malignant": True, "0": False, "benign": False}
_MOST_TEXT = 1024  # characters of a name: in an array every name takes what the longest takes
_MOST_SECONDS = 1e11  # the year 5138


@dataclass(frozen=True)
class Log:
    """Predictions of one policy, in the order they were made.

    Attributes:
        image: (n,) text; empty where the log has none.
        group: (n,) lesion or patient; the image where the log has none.
        source: (n,) text; empty where the log has none.
        status: (n,) as the bundle gives it.
        probability: (n,) NaN where the image has none.
        malignant: (n,) whether it was predicted malignant, or refused as not dermoscopic and so sent to a person.
        distance: (n,) from the training images; NaN where it was not logged.
        time: (n,) seconds since 1970; NaN everywhere if one row has none.
        label: (n,) 1 malignant, 0 benign, -1 not known yet.
        labelled: (n,) time or order at which the label came; NaN without.
        label_times: whether `labelled` are seconds since 1970.
        other_policies: rows of other policies, which are left out.
        repeated: further rows of an image that is already there, which are left out.
        notes: what was left out or assumed while files were read.
    """

    image: npt.NDArray[np.str_]
    group: npt.NDArray[np.str_]
    source: npt.NDArray[np.str_]
    status: npt.NDArray[np.str_]
    probability: Floats
    malignant: npt.NDArray[np.bool_]
    distance: Floats
    time: Floats
    label: npt.NDArray[np.int8]
    labelled: Floats
    label_times: bool = False
    other_policies: int = 0
    repeated: int = 0
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.image)

    @property
    def answered(self) -> npt.NDArray[np.bool_]:
        """Whether the image got a probability."""
        return ~np.isnan(self.probability)

    @property
    def refused(self) -> npt.NDArray[np.bool_]:
        """Whether the image was refused as not dermoscopic."""
        return np.asarray(self.status == _NOT_DERMOSCOPY, bool)

    @property
    def decided(self) -> npt.NDArray[np.bool_]:
        """Whether the image counts in rates at the threshold: it got a probability, or was sent on as refused."""
        return self.answered | self.refused

    def first_of_group(self, rows: npt.NDArray[np.bool_]) -> npt.NDArray[np.intp]:
        """Positions of the first image of each group among `rows`, in their order."""
        at = np.flatnonzero(rows)
        return at[np.sort(np.unique(self.group[at], return_index=True)[1])]


def read_log(tables: Sequence[Table], policy: DecisionPolicy) -> Log:
    """Reads logged predictions.

    Args:
        tables: the files.
        policy: the policy of the bundle; rows of another one are counted and left out.

    Raises:
        DataError: names file and line of the first row that is not a prediction; or no row is of this policy.
    """
    rows: list[dict[str, Any]] = []
    notes: list[str] = []
    others, repeated = 0, 0
    seen: set[str] = set()
    for table in tables:
        for where, row in table.rows(notes):
            if _policy_of(row, policy, where) != policy.policy_id:
                others += 1
                continue
            found = _parsed(row, policy, where)
            if found["image"] and found["image"] in seen:
                repeated += 1
            else:
                seen.add(found["image"])
                rows.append(found)
    if not rows:
        names = ", ".join(one.name for one in tables[:3])
        raise DataError(
            f"{names}: {'all ' if others > 1 else ''}{counted(others, 'row')} of other policies, none of this bundle's "
            f"({policy.policy_id}); give the bundle that made them"
            if others
            else f"{names}: no row; expected logged predictions, one row per image, such as the CSV of "
            "`lesionflow predict`"
        )
    return replace(_sorted(rows), other_policies=others, repeated=repeated, notes=tuple(notes))


def _sorted(rows: Sequence[Row]) -> Log:
    """The rows as a log in the order of time, with no label known yet."""
    columns: dict[str, Any] = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    if np.isnan(columns["time"]).any():
        columns["time"] = np.full(len(rows), np.nan)
    order = np.argsort(columns["time"], kind="stable")
    columns = {name: column[order] for name, column in columns.items()}
    named = columns["group"] != ""
    alone = np.char.add("row ", np.arange(len(rows)).astype(np.str_))
    own = np.where(columns["image"] != "", columns["image"], alone)
    columns["group"] = np.where(named, columns["group"], own)
    unknown = np.full(len(rows), -1, np.int8)
    never = np.full(len(rows), np.nan)
    return Log(**columns, label=unknown, labelled=never)


def with_labels(log: Log, table: Table) -> tuple[Log, int]:
    """The log with labels that came later, and the number of labels for images that it does not hold.

    Args:
        log: predictions, with images named.
        table: with the columns image, label (1 or malignant, 0 or benign) and, where it is known, the time the label
            came.

    Raises:
        DataError: not a table, a missing column, a label that is not one, or an image with two labels.
    """
    rows = {image: at for at, image in enumerate(log.image.tolist()) if image}
    label, labelled = log.label.copy(), np.full(len(log), np.nan)
    notes = list(log.notes)
    unknown, waiting = 0, 0
    for where, row in table.rows(notes, needed=("image", "label")):
        said = str(row.get("label", "")).strip().lower()
        if said in BLANK:
            waiting += 1
            continue
        value = _LABELS.get(said)
        if value is None:
            raise DataError(f"{where}: label {shown(row['label'])}; expected 1 or malignant, 0 or benign")
        if "image" not in row:
            raise DataError(f"{where}: a label without an image; expected the name that the log gives it")
        at = rows.get(str(row["image"]))
        if at is None:
            unknown += 1
            continue
        if label[at] not in (-1, value):
            raise DataError(f"{where}: image {shown(row['image'])} has two labels; keep the correct one")
        label[at], labelled[at] = value, _time(row.get("time"), where)
    if waiting:
        notes.append(f"{table.short}: {counted(waiting, 'row')} without a label: not known yet")
    known = label >= 0
    timed = not np.isnan(labelled[known]).any()
    if not timed:
        labelled = np.where(known, np.arange(len(log), dtype=np.float64), np.nan)
    return replace(log, label=label, labelled=labelled, label_times=timed, notes=tuple(notes)), unknown


def _policy_of(row: Row, policy: DecisionPolicy, where: str) -> str:
    """The policy that a row names; a row that names none, or is not a prediction, is refused."""
    missing = [name for name in ("status", "policy_id") if name not in row]
    if not missing:
        return str(row["policy_id"])
    if "image_id" in row:
        way = "a predictions.csv of an evaluation or a validation is not a log; give what `lesionflow predict` wrote"
    elif missing == ["policy_id"]:
        way = f"without it, it is not known which bundle predicted this (the one given has {policy.policy_id})"
    else:
        way = "a bundle returns all of them, and `lesionflow predict --csv` writes them"
    raise DataError(f"{where}: no {' and no '.join(missing)}; expected probability, status and policy_id: {way}")


def _parsed(row: Row, policy: DecisionPolicy, where: str) -> dict[str, Any]:
    probability = _number(row, "probability", where)
    status = _text(row, "status", where)
    if not 0 <= probability <= 1:
        if probability not in (layout.NO_PROBABILITY,) and not math.isnan(probability):
            raise DataError(f"{where}: probability {probability:g}; expected 0 to 1; -1 or nothing where there is none")
        if status in _WITH_PROBABILITY:
            raise DataError(f"{where}: status {shown(status)} without a probability; expected one")
        probability = math.nan
    elif status not in _WITH_PROBABILITY:
        raise DataError(
            f"{where}: status {shown(status)} with a probability; expected {' or '.join(_WITH_PROBABILITY)}"
        )
    decision = str(row.get("decision", "")).strip().lower()
    above = probability >= policy.threshold_probability or status == _NOT_DERMOSCOPY
    distance = _number(row, "distance", where)
    return {
        "image": _text(row, "image", where),
        "group": _text(row, "group", where),
        "source": _text(row, "source", where),
        "status": status,
        "probability": probability,
        "malignant": _MALIGNANT.get(decision, above),
        "distance": math.nan if distance < 0 else distance,
        "time": _time(row.get("time"), where),
    }


def _text(row: Row, name: str, where: str) -> str:
    value = str(row.get(name, ""))
    if len(value) > _MOST_TEXT:
        raise DataError(f"{where}: {name} has {len(value)} characters; expected {_MOST_TEXT} at most")
    return value


def _number(row: Row, name: str, where: str) -> float:
    value = row.get(name)
    try:
        return math.nan if value is None else float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(f"{where}: {name} {shown(value)}; expected a number") from error


def _time(value: Any, where: str) -> float:
    """Seconds since 1970, from such a number or from ISO 8601; without a time zone it is read as UTC."""
    if value is None:
        return math.nan
    try:
        seconds = float(value)
    except (TypeError, ValueError, OverflowError):
        pass
    else:
        if not 0 <= seconds < _MOST_SECONDS:
            raise DataError(f"{where}: time {shown(value)}; expected seconds since 1970, not milliseconds")
        return seconds
    try:
        found = datetime.fromisoformat(str(value).strip())
    except ValueError as error:
        raise DataError(
            f"{where}: time {shown(value)}; expected seconds since 1970 or ISO 8601, such as 2026-11-28T09:30:00Z"
        ) from error
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
