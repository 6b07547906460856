"""`lesionflow compare`: what differs between runs, and what the difference is worth on the same test images."""

from __future__ import annotations

import argparse
import json
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.common.runtime.cli import add_command
from components.common.runtime.errors import ArtifactError, ConfigError, DataError

SCHEMA = "lesionflow.comparison/1"


@dataclass(frozen=True)
class ComparedRun:
    """One run as it is compared.

    Attributes:
        name: what the output calls it.
        evaluation: its evaluation artifact.
        parameters: its parameters by the names a person sets; of a folder without `run.json` those of training.
        whole: whether `parameters` are all of them.
    """

    name: str
    evaluation: Path
    parameters: dict[str, Any]
    whole: bool


def add_parser(commands: argparse._SubParsersAction[Any]) -> None:
    """Adds the command."""
    command = add_command(
        commands,
        "compare",
        "compare runs: parameters that differ, figures, and the paired difference on the same test images",
        example="lesionflow compare results-a results-b\nlesionflow compare fetched/evaluate/evaluation results --json",
    )
    command.add_argument(
        "runs",
        nargs="+",
        type=Path,
        metavar="RUN",
        help="folders of `lesionflow run`, of `lesionflow fetch`, or evaluations; all are compared with the first",
    )
    command.add_argument("--json", action="store_true", help="a JSON object instead of text")
    command.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> None:
    if len(arguments.runs) < 2:
        raise ConfigError(f"compare: received one run, {arguments.runs[0]}; allowed: two or more")
    found = comparison(open_runs(arguments.runs))
    print(json.dumps(found, indent=2) if arguments.json else "\n".join(comparison_lines(found)))


def open_runs(folders: Sequence[Path]) -> list[ComparedRun]:
    """Finds evaluation and parameters of each run.

    Raises:
        ConfigError: a folder without an evaluation, or the same one twice.
        ArtifactError: an evaluation is damaged.
    """
    seen: set[Path] = set()
    names = [folder.resolve().name for folder in folders]
    runs = []
    for folder, name in zip(folders, names, strict=True):
        if folder.resolve() in seen:
            raise ConfigError(f"compare: received {folder} twice; allowed: different runs")
        seen.add(folder.resolve())
        runs.append(_open(folder, name if names.count(name) == 1 else str(folder)))
    return runs


def comparison(runs: Sequence[ComparedRun]) -> dict[str, Any]:
    """Everything that `lesionflow compare` says, as JSON has it.

    Raises:
        ArtifactError: an evaluation is damaged.
    """
    from components.common.artifacts.metrics import FILE, HEADLINE, load_metrics, plain

    first, *others = runs
    metrics = [load_metrics(one.evaluation / FILE) for one in runs]
    estimates = {
        one.name: {
            "test_images": found.n,
            "test_malignant": found.malignant,
            "threshold": found.threshold.probability,
            "figures": {name: plain(getattr(found, name)) for name in HEADLINE},
            "calibration_slope": plain(found.calibration.slope),
        }
        for one, found in zip(runs, metrics, strict=True)
    }
    return {
        "schema": SCHEMA,
        "runs": [one.name for one in runs],
        "parameters_of_training_only": [one.name for one in runs if not one.whole],
        "parameters": differing(runs),
        "test": estimates,
        "against_the_first": {one.name: _paired(one, first, metrics[0].method.resamples) for one in others},
    }


def differing(runs: Sequence[ComparedRun]) -> dict[str, dict[str, Any]]:
    """Parameters that are not the same in all runs, by name and run; one that a run does not set has its default."""
    from pipelines.parameters import default_of

    whole = [one for one in runs if one.whole]
    names = sorted({name for one in runs for name in one.parameters})
    if len(whole) < len(runs):  # what some runs do not record is not called a difference
        names = [name for name in names if all(name in one.parameters for one in runs if not one.whole)]
    table = {name: {one.name: one.parameters.get(name, default_of(name)) for one in runs} for name in names}
    return {name: row for name, row in table.items() if len({json.dumps(value) for value in row.values()}) > 1}


def comparison_lines(found: Mapping[str, Any]) -> list[str]:
    """The comparison as text, in lines that fit 78 columns unless names or values are long."""
    from components.common.artifacts.metrics import HEADLINE
    from components.common.artifacts.presentation import estimate_text, heading

    runs: list[str] = found["runs"]
    width = max(map(len, runs))
    lines = ["Parameters that differ" if found["parameters"] else "No parameter differs"]
    for name, row in found["parameters"].items():
        lines += [f"  {name}", *(f"    {run:<{width}}  {_value(row[run])}" for run in runs)]
    if found["parameters_of_training_only"]:
        lines.append(f"  (of {', '.join(found['parameters_of_training_only'])} only those of training are known)")
    lines += ["", f"Test images, with 95 % intervals; differences are from {runs[0]}", "  Images"]
    for run in runs:
        size = found["test"][run]
        lines.append(f"    {run:<{width}}  {size['test_images']}, {size['test_malignant']} of them malignant")
    for name in HEADLINE:
        lines.append(f"  {heading(name)}")
        for run in runs:
            text = estimate_text(found["test"][run]["figures"][name])
            paired = found["against_the_first"].get(run, {}).get("difference", {}).get(name)
            apart = f"  {estimate_text(paired, '{:+.3f}')}" if paired else ""
            lines.append(f"    {run:<{width}}  {text:<23}{apart}".rstrip())
    return [*lines, "", *_reservations(found)]


def _reservations(found: Mapping[str, Any]) -> list[str]:
    said = [
        f"{run}: no paired difference: {against['fault']}"
        for run, against in found["against_the_first"].items()
        if against["fault"]
    ]
    if len(said) < len(found["against_the_first"]):
        said.append("A difference resamples the same lesions for both; it is clear only where its interval excludes 0.")
    said.append(
        "Choosing a run by these figures is choosing on the test set: the chosen run's figures are then optimistic."
    )
    return [line for text in said for line in textwrap.wrap(text, 78, subsequent_indent="  ")]


def _value(value: Any) -> str:
    return value if isinstance(value, str) and value else json.dumps(value)


def _paired(run: ComparedRun, first: ComparedRun, resamples: int) -> dict[str, Any]:
    """The differences to the first run, or why there are none."""
    from components.common.artifacts.metrics import plain
    from components.common.artifacts.policy import FILE as POLICY
    from components.common.artifacts.policy import load_policy
    from components.common.artifacts.scores import TEST_SCORES, load_scores
    from components.evaluate.champion import paired_differences

    mine, base = (load_scores(one.evaluation / TEST_SCORES) for one in (run, first))
    rules = [load_policy(one.evaluation / POLICY) for one in (run, first)]
    try:
        mine.aligned_to(base)
        found = paired_differences(mine, rules[0], base, rules[1], resamples, seed=0)
    except (ArtifactError, DataError) as error:
        return {"fault": f"other test images or labels ({error})", "difference": {}}
    return {"fault": "", "difference": {name: plain(one) for name, one in found.items()}}


def _open(folder: Path, name: str) -> ComparedRun:
    from components.common.artifacts.folder import open_artifact
    from components.common.artifacts.json_file import read_json
    from components.evaluate import context
    from pipelines.local.run import SCHEMA as RUN_SCHEMA
    from pipelines.local.workspace import MARK
    from pipelines.parameters import shown_name

    places = (folder, folder / "evaluate", folder / "evaluate" / "evaluation")
    evaluation = next((place for place in places if (place / context.FILE).is_file()), None)
    if evaluation is None:
        raise ConfigError(
            f"compare: {folder} holds no evaluation; allowed: a folder of lesionflow run or fetch, or an evaluation"
        )
    open_artifact(evaluation, "evaluation")
    if (folder / MARK).is_file():
        values = dict(read_json(folder / MARK, RUN_SCHEMA)["parameters"])
        return ComparedRun(name, evaluation, values | values.pop("options", {}), whole=True)
    record = read_json(evaluation / context.FILE, context.SCHEMA)
    training = (record.get("training") or {}).get("training_config", {})
    known = {shown_name(f"train.{field}"): value for field, value in training.items()}
    return ComparedRun(name, evaluation, known, whole=False)
