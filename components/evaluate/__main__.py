"""`python -m components.evaluate --bundle DIR --split DIR --out DIR`, and `... report` from saved scores."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from components.common.runtime.cli import CommandParser, Input, run_step_command
from components.common.runtime.errors import ArtifactError
from components.common.runtime.session import exit_code_of, step_session
from components.evaluate.config import EvaluateConfig


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the step, or `report`; returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ["report"]:
        return exit_code_of(lambda: _report(arguments[1:]))
    inputs = {
        "bundle": Input("bundle artifact of export"),
        "split": Input("split artifact; its test images are read from their URIs"),
        "model": Input("model artifact: validation scores, training curve", required=False),
        "records": Input("records artifact: lost images", required=False),
    }
    description = (
        "Measure the exported bundle on the original test images and write the report. "
        "`python -m components.evaluate report --help`: the same report from saved scores."
    )
    return run_step_command("evaluate", description, inputs, EvaluateConfig, _body, arguments)


def _body(inputs: dict[str, Any], config: EvaluateConfig, out: Path) -> None:
    from components.evaluate.gate import refuse_missed
    from components.evaluate.run import run

    refuse_missed(run(config, inputs["bundle"], inputs["split"], inputs["model"], inputs["records"], out).verdicts)


def _report(argv: Sequence[str]) -> None:
    parser = CommandParser(
        prog="python -m components.evaluate report",
        description="Compute figures again from saved scores, and write the report.",
        example="python -m components.evaluate report --probs test_probs.npz --policy decision_policy.json --out DIR",
    )
    parser.add_argument("--probs", required=True, type=Path, metavar="FILE", help="test_probs.npz of an evaluation")
    parser.add_argument("--val-probs", type=Path, metavar="FILE", help="val_probs.npz the policy was chosen on")
    parser.add_argument("--policy", required=True, type=Path, metavar="FILE", help="decision_policy.json")
    context_help = "context.json, with lineage.json and others beside it: hashes, pictures (default: beside --probs)"
    parser.add_argument("--context", type=Path, metavar="FILE", help=context_help)
    parser.add_argument("--champion", default="", metavar="FILE", help="another model's test_probs.npz")
    parser.add_argument("--gate", nargs="*", default=None, metavar="CONDITION", help="default: the evaluation's own")
    parser.add_argument("--resamples", default=None, metavar="N", help="default: the evaluation's own, else 2000")
    parser.add_argument("--seed", default=None, metavar="N", help="default: the evaluation's own, else 0")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder for the files")
    given = parser.parse_args(argv)
    with step_session("evaluate report", of_command=True):
        _regenerate(given)


def _regenerate(given: argparse.Namespace) -> None:
    from components.common.artifacts.folder import new_artifact, sha256_file
    from components.common.artifacts.scores import load_scores
    from components.evaluate.analysis import Settings
    from components.evaluate.belongs import refuse_val_overlap
    from components.evaluate.regenerate import load_context, render

    context = load_context(given.context, given.probs)
    asked = {name: value for name in ("gate", "resamples", "seed") if (value := getattr(given, name)) is not None}
    config = EvaluateConfig.parse({**context.get("settings", {}), "champion": given.champion, **asked})
    champion = load_scores(Path(given.champion)) if given.champion else None
    if given.val_probs is not None:
        refuse_val_overlap(load_scores(given.probs), load_scores(given.val_probs))
    if not given.policy.is_file():
        raise ArtifactError(f"{given.policy}: no such file; expected a decision_policy.json")
    made_from = {name: sha256_file(path) for name in ("probs", "val_probs", "policy") if (path := getattr(given, name))}
    with new_artifact(given.out, "report", made_from) as folder:
        render(
            probs=given.probs,
            val_probs=given.val_probs,
            policy=given.policy,
            champion=champion,
            context=context,
            beside=(given.context or given.probs).parent,
            settings=Settings(config.resamples, config.seed),
            gate=config.gate,
            folder=folder,
        )


if __name__ == "__main__":
    sys.exit(main())
