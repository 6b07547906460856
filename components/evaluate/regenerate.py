"""Numbers, gate and report from the saved scores; no image, no model, the same bytes every time."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.common.artifacts.folder import sha256_file
from components.common.artifacts.json_file import read_json, write_atomic, write_json
from components.common.artifacts.metrics import FILE as METRICS
from components.common.artifacts.metrics import Metrics
from components.common.artifacts.policy import load_policy
from components.common.artifacts.scores import Scores, load_extra, load_scores
from components.common.runtime.errors import ArtifactError, DataError
from components.evaluate import context as about
from components.evaluate.analysis import Inputs, Settings, analyse
from components.evaluate.gate import Verdict, check, gate_record
from components.evaluate.report import report_html
from components.evaluate.shortcuts import PREFIX
from components.evaluate.summary import summary_markdown

_PROBABILITY_TOLERANCE = 1e-5


def render(
    *,
    probs: Path,
    val_probs: Path | None,
    policy: Path,
    champion: Scores | None,
    context: Mapping[str, Any],
    settings: Settings,
    gate: Sequence[str],
    folder: Path,
) -> tuple[Metrics, list[Verdict]]:
    """Writes metrics.json, gate.json, summary.md and report.html into `folder`.

    Returns:
        The metrics and the gate's verdicts.

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
            "belong to another policy"
        )
    columns = load_extra(probs)
    _check_numbers(probs, columns)
    inputs = Inputs(test, columns, rule, val, champion, sha256_file(probs))
    metrics = analyse(inputs, settings)
    verdicts = check(gate, metrics)
    metrics.save(folder / METRICS)
    write_json(folder / "gate.json", gate_record(verdicts))
    write_atomic(folder / "summary.md", summary_markdown(metrics, verdicts))
    write_atomic(folder / "report.html", report_html(inputs, settings, metrics, verdicts, context))
    return metrics, verdicts


def _check_numbers(probs: Path, columns: dict[str, npt.NDArray[Any]]) -> None:
    """Refuses ages that are not numbers and shortcut controls that are not finite.

    Raises:
        ArtifactError: names the column.
    """
    for name in (n for n in columns if n == "age" or n.startswith(PREFIX)):
        try:
            values = columns[name].astype(np.float64)
        except ValueError as error:
            raise ArtifactError(f"{probs}: column {name} holds text, expected numbers; evaluate again") from error
        if name != "age" and not np.isfinite(values).all():  # an unknown age is NaN
            raise ArtifactError(f"{probs}: column {name} holds values that are not finite; evaluate again")
        columns[name] = values


def load_context(path: Path | None, probs: Path) -> dict[str, Any]:
    """The context beside the scores; empty where there is none and none was asked for."""
    found = path or probs.with_name("context.json")
    if path is None and not found.is_file():
        return json.loads(json.dumps({"schema": about.SCHEMA}))  # type: ignore[no-any-return]
    return read_json(found, about.SCHEMA)
