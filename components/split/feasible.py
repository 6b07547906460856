"""Stops a run where a later step would stop it, with ways out that were tried on this very split."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path

from components.common.artifacts.scores import fetch_scores
from components.common.artifacts.split import Split, SplitRecord, read_record, read_split
from components.common.runtime.errors import DataError
from components.common.statistics.feasibility import (
    LEAST_TARGET,
    Change,
    Demands,
    GroupCounts,
    Problem,
    SplitCounts,
    changes_that_work,
    feasibility,
    malignant_groups_wanted,
)
from components.common.statistics.intervals import groups_needed
from components.split.config import SplitConfig
from components.split.groups import count_splits, group_sentence
from components.split.recipes import assign

_MOST_SHARE, _LEAST_TRAIN = 0.40, 0.40  # of the images: beyond them train becomes too small to be worth proposing


def refuse_infeasible(split: Path, demands: Demands, champion: str = "") -> None:
    """Stops where a later step would stop, before anything is trained.

    Args:
        split: split artifact.
        demands: what later steps need of it.
        champion: path or URI of the scores that evaluation will compare with; empty for none.

    Raises:
        DataError: a line for each demand that the split cannot meet, then ways out, each of which meets all of them.
    """
    record = read_record(split)
    counts = split_counts(record.counts)
    problems = feasibility(counts, demands)
    lines = [one.line for one in problems]
    if problems:
        lines += _ways_out(split, record, counts, problems, demands)
    if champion and (fault := _champion_fault(read_split(split, ["verdict"]), champion)):
        lines.append(fault)
    if lines:
        raise DataError("\n".join(lines))


def split_counts(counts: Mapping[str, Mapping[str, int]]) -> SplitCounts:
    """The groups in `SplitRecord.counts`."""
    return SplitCounts(
        **{
            name: GroupCounts(
                groups=one["malignant_groups"] + one["benign_groups"] - one["mixed_groups"],
                malignant=one["malignant_groups"],
                benign=one["benign_groups"],
            )
            for name, one in counts.items()
        }
    )


def _ways_out(
    split: Path, record: SplitRecord, counts: SplitCounts, problems: list[Problem], demands: Demands
) -> list[str]:
    """Ways out as flags of a command, then what more data would do."""
    config = SplitConfig.parse(record.parameters)
    changes = [*_larger_shares(split, config, problems, demands), *changes_that_work(counts, demands)]
    lines = []
    if changes:
        add = "one of these lines" if len(changes) > 1 else "this"
        lines.append(f"ways to continue on this split; add {add} to the same command:")
        lines += [f"  {_flags(change)}{_reservation(change, counts, demands.delta)}" for change in changes]
    lines.append(_more_data(counts, problems, alone=not changes))
    if (sentence := group_sentence(record.groups, sum(one["images"] for one in record.counts.values()))) is not None:
        lines.append(sentence)
    return lines


def _flags(change: Change) -> str:
    texts = {
        name: json.dumps(value) if isinstance(value, list) else f"{value:g}" if isinstance(value, float) else str(value)
        for name, value in change.items()
    }
    return " ".join(f"--set {shlex.quote(f'{name}={text}')}" for name, text in texts.items())


def _reservation(change: Change, counts: SplitCounts, delta: float) -> str:
    """What a reader has to know of a way out that promises less than the run asked for."""
    said = []
    if change.get("operating_point") == "point":
        few = counts.val.malignant
        lightly = few < groups_needed(LEAST_TARGET, delta)
        said.append(
            f"for trials only, not for patients: no guarantee, and the threshold rests on {few} malignant groups"
            if lightly
            else f"no guarantee: the threshold is chosen on {few} malignant groups"
        )
    if "gate_conditions" in change:
        said.append("the model is then released without this condition, which this test split cannot meet")
    return f"   ({'; '.join(said)})" if said else ""


def _more_data(counts: SplitCounts, problems: list[Problem], *, alone: bool) -> str:
    wanted = malignant_groups_wanted(counts, problems)
    start = "no other parameters were found that help; what helps is" if alone else "or use"
    if wanted > counts.malignant:
        return (
            f"{start} more data: about {wanted} malignant groups are needed at these split shares; the table has "
            f"{counts.malignant}"
        )
    return f"{start} more data: more malignant and benign lesions in the table"


def _larger_shares(split: Path, config: SplitConfig, problems: list[Problem], demands: Demands) -> Iterator[Change]:
    """The smallest shares of val and test, in steps of a percent, with which nothing is refused: each is tried."""
    short = {one.split for one in problems}
    if config.recipe != "stratified" or not short <= {"val", "test"}:
        return
    divided = read_split(split, ["dx", "verdict"])
    shares = {"val": config.val_share, "test": config.test_share}
    while short:
        shares = {name: round(share + 0.01 * (name in short), 2) for name, share in shares.items()}
        if max(shares[name] for name in short) > _MOST_SHARE or sum(shares.values()) > 1 - _LEAST_TRAIN:
            return
        tried = config.model_copy(update={f"{name}_share": share for name, share in shares.items()})
        counts = split_counts(count_splits(divided.rows.assign(split=assign(tried, divided.rows)[0])))
        short = {one.split for one in feasibility(counts, demands)}
        if "train" in short:
            return
    before = {"val": config.val_share, "test": config.test_share}
    yield {f"split.{name}_share": share for name, share in shares.items() if share != before[name]}


def _champion_fault(divided: Split, champion: str) -> str:
    """Why evaluation could not compare with the champion; empty where it can."""
    test = divided.usable("test")
    scores = fetch_scores(champion)
    label = dict(zip(test["image_id"], test["label"], strict=True))
    theirs = dict(zip(scores.image_id.tolist(), scores.label.tolist(), strict=True))
    if label.keys() != theirs.keys():
        shared = len(label.keys() & theirs.keys())
        odd = min(label.keys() ^ theirs.keys())
        return (
            f"champion {champion}: its scores are of {len(theirs)} images, test has {len(label)}, {shared} in common "
            f"(for example {odd!r} is in one only); a comparison needs identical images: evaluate the champion on this "
            "split, or run without a champion (--set champion=)"
        )
    other = [image for image, one in label.items() if theirs[image] != one]
    if other:
        return (
            f"champion {champion}: {len(other)} test images have another label there, for example {other[0]!r}; "
            "evaluate the champion with this label policy, or run without a champion (--set champion=)"
        )
    return ""
