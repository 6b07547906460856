"""Figures, gate and report from saved scores, without images or model; equal input gives equal bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.common.artifacts.characteristics import FILE as CHARACTERISTICS
from components.common.artifacts.characteristics import load_characteristics
from components.common.artifacts.folder import sha256_file
from components.common.artifacts.json_file import LARGE_BYTES, read_json, write_atomic, write_json
from components.common.artifacts.ledger import FILE as OPENINGS
from components.common.artifacts.ledger import load_openings
from components.common.artifacts.lineage import FILE as LINEAGE
from components.common.artifacts.lineage import Lineage, load_lineage
from components.common.artifacts.metrics import FILE as METRICS
from components.common.artifacts.metrics import Metrics
from components.common.artifacts.policy import load_policy
from components.common.artifacts.scores import Scores, load_extra, load_scores
from components.common.artifacts.trust import FILE as TRUST
from components.common.artifacts.trust import save_trust
from components.common.runtime.errors import ArtifactError, DataError
from components.evaluate import context as about
from components.evaluate.analysis import Inputs, Settings, analyse
from components.evaluate.belongs import same_split
from components.evaluate.gate import FILE as GATE
from components.evaluate.gate import Verdict, check, gate_record
from components.evaluate.members import PREFIX as MEMBER_PREFIX
from components.evaluate.members import check_members
from components.evaluate.predictions import FILE as PREDICTIONS
from components.evaluate.predictions import predictions_csv
from components.evaluate.report import Said, report_html
from components.evaluate.shortcuts import PREFIX
from components.evaluate.summary import summary_markdown
from components.evaluate.trust import questions

SUMMARY, REPORT = "summary.md", "report.html"
_PROBABILITY_TOLERANCE = 1e-5


def render(
    *,
    probs: Path,
    val_probs: Path | None,
    policy: Path,
    context: Mapping[str, Any],
    beside: Path,
    settings: Settings,
    gate: Sequence[str],
    folder: Path,
    champion: Scores | None = None,
) -> tuple[Metrics, list[Verdict]]:
    """Writes metrics, gate, answers to the reader's questions, predictions, summary and report into `folder`.

    Lineage, openings of the test set and Table 1 are read from the folder `beside`, as far as they are there.

    Returns:
        The metrics and the gate's verdicts.

    Raises:
        ArtifactError: scores, policy or lineage are unreadable, or do not belong together.
        DataError: the test set holds one class only.
    """
    lineage, openings = load_lineage(beside / LINEAGE), load_openings(beside / OPENINGS)
    inputs, metrics = measure(probs, val_probs, policy, champion, settings)
    check_lineage(metrics, lineage)
    verdicts = check(gate, metrics, openings)
    trust = questions(metrics, lineage, same_split(context.get("provenance", {})), openings)
    metrics.save(folder / METRICS)
    save_trust(folder / TRUST, trust)
    write_json(folder / GATE, gate_record(verdicts))
    write_atomic(folder / PREDICTIONS, predictions_csv(inputs.test, inputs.policy))
    write_atomic(folder / SUMMARY, summary_markdown(metrics, verdicts))
    said = Said(metrics, verdicts, trust, lineage, openings, context, load_characteristics(beside / CHARACTERISTICS))
    write_atomic(folder / REPORT, report_html(inputs, settings, said))
    return metrics, verdicts


def measure(
    probs: Path, val_probs: Path | None, policy: Path, champion: Scores | None, settings: Settings
) -> tuple[Inputs, Metrics]:
    """Every figure, from the files that hold scores and policy.

    Raises:
        ArtifactError: scores or policy are unreadable, or do not belong together.
        DataError: the test set holds one class only.
    """
    rule, test = load_policy(policy), load_scores(probs)
    val = load_scores(val_probs) if val_probs is not None else None
    if val_probs is not None and sha256_file(val_probs) != rule.val_probs_sha256:
        raise ArtifactError(
            f"{val_probs}: policy {rule.policy_id} was chosen on other validation scores (sha256 "
            f"{rule.val_probs_sha256[:12]}, received {sha256_file(val_probs)[:12]}); give those it was chosen on"
        )
    malignant = int(test.label.sum())
    if not 0 < malignant < len(test):
        raise DataError(
            f"the test set holds {malignant} malignant and {len(test) - malignant} benign images; every figure of the "
            "report needs both classes: use a larger test split"
        )
    apart = abs(rule.probability(test.logit) - test.probability).max()
    if not apart <= _PROBABILITY_TOLERANCE:
        raise ArtifactError(
            f"{probs}: its probabilities differ from policy {rule.policy_id}'s by up to {apart:.2g}; these scores "
            "belong to another policy: give the decision_policy.json of their evaluation"
        )
    columns = load_extra(probs)
    _check_numbers(probs, columns)
    check_members(columns, test)
    inputs = Inputs(test, columns, rule, val, champion, sha256_file(probs))
    return inputs, analyse(inputs, settings)


def check_lineage(metrics: Metrics, lineage: Lineage | None) -> None:
    """Refuses a lineage that counts other test images than the scores hold.

    Raises:
        ArtifactError: names both counts.
    """
    if lineage is None:
        return
    counted, read = (metrics.n, metrics.malignant), (lineage.read.images, lineage.read.malignant)
    if counted != read:
        raise ArtifactError(
            f"{LINEAGE} says that {read[0]} test images were read, {read[1]} of them malignant, the scores hold "
            f"{counted[0]} and {counted[1]}: they belong to different evaluations: give files of one evaluation"
        )


def _check_numbers(probs: Path, columns: dict[str, npt.NDArray[Any]]) -> None:
    """Refuses ages that are not numbers, and shortcut controls and members' logits that are not finite.

    Raises:
        ArtifactError: names the column.
    """
    for name in (n for n in columns if n == "age" or n.startswith((PREFIX, MEMBER_PREFIX))):
        try:
            values = columns[name].astype(np.float64)
        except ValueError as error:
            raise ArtifactError(f"{probs}: column {name} holds text, expected numbers; evaluate again") from error
        if name != "age" and not np.isfinite(values).all():  # an unknown age is NaN
            raise ArtifactError(f"{probs}: column {name} holds values that are not finite; evaluate again")
        columns[name] = values


def load_context(path: Path | None, probs: Path) -> dict[str, Any]:
    """The context beside the scores; empty where there is none and no path was given."""
    found = path or probs.with_name(about.FILE)
    if path is None and not found.is_file():
        return {"schema": about.SCHEMA}
    return read_json(found, about.SCHEMA, most=LARGE_BYTES)  # it holds pictures
