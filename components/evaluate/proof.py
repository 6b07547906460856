"""Proves an evaluation before anything is released by it: its figures and tables follow from the scores it holds.

Consistent hashes prove nothing, since whoever may write to the store can make them; so the figures are computed again,
and the gate judges them by the conditions of the run. What cannot be computed again here: the scores themselves, a
champion's figures, and the pictures in the report.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from components.common.artifacts.folder import Artifact, open_artifact
from components.common.artifacts.json_file import LARGE_BYTES, read_json, shown
from components.common.artifacts.ledger import FILE as OPENINGS
from components.common.artifacts.ledger import load_openings
from components.common.artifacts.lineage import FILE as LINEAGE
from components.common.artifacts.lineage import load_lineage
from components.common.artifacts.metrics import FILE as METRICS
from components.common.artifacts.metrics import Metrics, load_metrics, plain
from components.common.artifacts.model import VAL_SCORES
from components.common.artifacts.policy import FILE as POLICY
from components.common.artifacts.scores import TEST_SCORES
from components.common.artifacts.trust import FILE as TRUST
from components.common.artifacts.trust import differing as differing_line
from components.common.artifacts.trust import load_trust
from components.common.runtime.errors import ArtifactError, ConfigError
from components.evaluate import context as about
from components.evaluate.analysis import Settings
from components.evaluate.belongs import same_split
from components.evaluate.config import EvaluateConfig
from components.evaluate.gate import FILE as GATE
from components.evaluate.gate import Verdict, check, read_gate, refuse_missed
from components.evaluate.predictions import FILE as PREDICTIONS
from components.evaluate.predictions import predictions_csv
from components.evaluate.regenerate import SUMMARY, check_lineage, measure
from components.evaluate.summary import summary_markdown
from components.evaluate.trust import questions

_TOLERANCE = 1e-6  # another processor adds in another order
_AGAIN = "it was edited, or made by another version: evaluate the bundle again"


def enforce(evaluation: Path, asked: EvaluateConfig | None = None) -> list[Verdict]:
    """Proves an evaluation and judges it.

    Args:
        evaluation: an evaluation artifact.
        asked: parameters of the run that made it, with its conditions; None: those that the evaluation recorded
            itself.

    Raises:
        ArtifactError: a file of it was changed, or contradicts its scores or the run.
        GateError: lists the missed conditions with their numbers.
    """
    artifact = open_artifact(evaluation, "evaluation")
    recorded = read_gate(evaluation / GATE)
    context = read_json(evaluation / about.FILE, about.SCHEMA, most=LARGE_BYTES)
    settings = _settings(evaluation, context)
    for name in ("gate", "resamples", "seed") if asked else ():
        said, given = getattr(settings, name), getattr(asked, name)
        if said != given:
            where = f"{evaluation / about.FILE}: settings: {name}"
            raise ArtifactError(f"{where} is {shown(said)}, this run was given {shown(given)}; {_AGAIN}")
    if (judged := [one.condition for one in recorded]) != settings.gate:
        said = f"its conditions are {shown(judged)}, {about.FILE} has {shown(settings.gate)}"
        raise ArtifactError(f"{evaluation / GATE}: {said}; {_AGAIN}")
    metrics = load_metrics(evaluation / METRICS)
    openings = load_openings(evaluation / OPENINGS)
    verdicts = check(settings.gate, metrics, openings)
    other = [one.condition for one, again in zip(recorded, verdicts, strict=True) if one != again]
    if other:
        raise ArtifactError(f"{evaluation / GATE}: its verdict on {other[0]!r} is not what {METRICS} gives; {_AGAIN}")
    _prove(artifact, context, metrics, Settings(settings.resamples, settings.seed), verdicts)
    refuse_missed(verdicts)
    return verdicts


def _settings(evaluation: Path, context: Mapping[str, Any]) -> EvaluateConfig:
    try:
        return EvaluateConfig.parse({**context.get("settings", {}), "champion": str(context.get("champion") or "")})
    except (ConfigError, TypeError) as error:
        raise ArtifactError(f"{evaluation / about.FILE}: settings: {error}; {_AGAIN}") from error


def _prove(
    artifact: Artifact, context: Mapping[str, Any], metrics: Metrics, settings: Settings, verdicts: list[Verdict]
) -> None:
    """Computes figures, answers and tables again, and compares.

    Raises:
        ArtifactError: names the file, and the figure, that differs.
    """
    folder = artifact.path
    _check_provenance(artifact, context)
    val = folder / VAL_SCORES if VAL_SCORES in artifact.files else None
    inputs, again = measure(folder / TEST_SCORES, val, folder / POLICY, None, settings)
    differing = next(_differences(plain(metrics.model_copy(update={"champion": None})), plain(again)), None)
    if differing:
        raise ArtifactError(f"{folder / METRICS}: {differing} is not what {TEST_SCORES} gives; {_AGAIN}")
    lineage = load_lineage(folder / LINEAGE)
    check_lineage(metrics, lineage)
    openings = load_openings(folder / OPENINGS)
    if openings and openings[-1].bundle != artifact.made_from["bundle"]:
        raise ArtifactError(f"{folder / OPENINGS}: its last opening is by another bundle; {_AGAIN}")
    trust = questions(metrics, lineage, same_split(context.get("provenance", {})), openings)
    if key := differing_line(load_trust(folder / TRUST), trust):
        where = f"{folder / TRUST}: {key}"
        raise ArtifactError(f"{where}: its answers are not those that the figures give; {_AGAIN}")
    told = {PREDICTIONS: predictions_csv(inputs.test, inputs.policy), SUMMARY: summary_markdown(metrics, verdicts)}
    for name, text in told.items():
        if (folder / name).read_bytes() != text.encode():
            raise ArtifactError(f"{folder / name}: not what the figures give; {_AGAIN}")


def _check_provenance(artifact: Artifact, context: Mapping[str, Any]) -> None:
    told = context.get("provenance")
    digests = {name: one.get("digest") for name, one in told.items()} if isinstance(told, dict) else told
    if digests != artifact.made_from:
        raise ArtifactError(
            f"{artifact.path / about.FILE}: provenance: its digests are not those of artifact.json; {_AGAIN}"
        )


def _differences(said: Any, computed: Any, where: str = "") -> Iterator[str]:
    """Names of the figures that differ."""
    if isinstance(said, dict) and isinstance(computed, dict):
        for name in sorted({*said, *computed}):
            below = f"{where}.{name}" if where else name
            if (name in said) != (name in computed):
                yield below
            else:
                yield from _differences(said[name], computed[name], below)
    elif isinstance(said, list) and isinstance(computed, list) and len(said) == len(computed):
        for number, pair in enumerate(zip(said, computed, strict=True)):
            yield from _differences(*pair, f"{where}.{number}")
    elif isinstance(said, float | int) and isinstance(computed, float | int):
        if not math.isclose(said, computed, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE):
            yield where
    elif said != computed:
        yield where
