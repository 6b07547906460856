"""Commands about a finished model: ensemble, bundle verify, bundle card, bundle stage, predict, register.

Each keeps what it needs out of the imports until it runs, so that `lesionflow --help` stays fast.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from components.common.runtime.cli import CommandParser, add_command
from components.common.runtime.errors import ConfigError, DataError
from pipelines.cli.bundle_source import add_bundle, add_server


def add_parsers(commands: argparse._SubParsersAction[Any]) -> None:
    """Adds the commands to the `lesionflow` command."""
    _add_predict(commands)
    _add_bundle(commands)
    _add_ensemble(commands)
    _add_register(commands)


def _add_predict(commands: argparse._SubParsersAction[Any]) -> None:
    command = add_command(
        commands,
        "predict",
        "predict images with a bundle",
        example="lesionflow predict results/export image.jpg folder/",
    )
    add_bundle(command)
    command.add_argument("images", nargs="+", metavar="IMAGE", help="image files, folders or globs")
    _add_key(command)
    form = command.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="one JSON array instead of a table")
    form.add_argument("--csv", action="store_true", help="a table for spreadsheets (CSV) instead")
    command.set_defaults(run=_predict)


def _add_bundle(commands: argparse._SubParsersAction[Any]) -> None:
    command = add_command(
        commands,
        "bundle",
        "check, sign, describe, stage or hand over a serving bundle",
        example="lesionflow bundle verify results/export",
    )
    command.set_defaults(run=lambda arguments: command.print_help())
    actions = command.add_subparsers(title="actions", metavar="ACTION", parser_class=CommandParser)
    verify = add_command(
        actions,
        "verify",
        "check hashes, policy and graph, and that the model loads and passes its self-test",
        example="lesionflow bundle verify results/export",
    )
    verify.add_argument("bundle", type=Path, metavar="DIR", help="folder of the bundle")
    _add_digest(verify)
    _add_key(verify)
    verify.set_defaults(run=_verify)
    sign = add_command(
        actions,
        "sign",
        "sign a bundle (OpenSSF model signing), so that others can check who made it",
        example="lesionflow bundle sign results/export --key private.pem",
    )
    sign.add_argument("bundle", type=Path, metavar="DIR", help="folder of the bundle; model.sig is written into it")
    sign.add_argument("--key", type=Path, required=True, metavar="FILE", help="private key (ECDSA), PEM, no password")
    _add_certificate(sign)
    sign.set_defaults(run=_sign)
    card = add_command(
        actions,
        "card",
        "print the model card, with the test metrics of an evaluation",
        example="lesionflow bundle card results/export --evaluation results/evaluate --out card.md",
    )
    card.add_argument("bundle", type=Path, metavar="DIR", help="folder of the bundle")
    _add_evaluation(card)
    card.add_argument("--out", type=Path, metavar="FILE", help="Markdown file to write; without it the card is printed")
    card.set_defaults(run=_card)
    _add_stage_and_handover(actions)


def _add_stage_and_handover(actions: argparse._SubParsersAction[Any]) -> None:
    stage = add_command(
        actions,
        "stage",
        "copy a bundle to where a model server reads it",
        example="lesionflow bundle stage results/export --out gs://bucket/lesionflow --version 1 "
        "--evaluation results/evaluate",
    )
    stage.add_argument("bundle", type=Path, metavar="DIR", help="folder of the bundle")
    stage.add_argument("--out", required=True, metavar="DIR_OR_URI", help="the served model; versions are subfolders")
    stage.add_argument("--version", type=int, required=True, metavar="N", help="a server takes the highest it finds")
    _add_evaluation(stage)
    _add_digest(stage)
    _add_key(stage)
    stage.add_argument("--sign-key", type=Path, metavar="FILE", help="private key that signs the staged version")
    _add_certificate(stage)
    stage.set_defaults(run=_stage)
    handover = add_command(
        actions,
        "handover",
        "write a bundle for another clinic, with the figures and scores of its internal test inside",
        example="lesionflow bundle handover results/export --evaluation results/evaluate --out handover",
    )
    handover.add_argument("bundle", type=Path, metavar="DIR", help="folder of the bundle")
    handover.add_argument(
        "--evaluation", type=Path, required=True, metavar="DIR", help="evaluation of this bundle, for its test"
    )
    handover.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the bundle to hand over")
    handover.set_defaults(run=_handover)


def _add_ensemble(commands: argparse._SubParsersAction[Any]) -> None:
    command = add_command(
        commands,
        "ensemble",
        "average several models into one ensemble and measure the gain",
        example="lesionflow ensemble member0 member1 member2 --against model --out ensemble",
    )
    command.add_argument("models", nargs="+", type=Path, metavar="MODEL", help="model artifacts of train")
    command.add_argument("--against", type=Path, metavar="MODEL", help="a single model to compare with as well")
    command.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the ensemble")
    command.set_defaults(run=_ensemble)


def _add_register(commands: argparse._SubParsersAction[Any]) -> None:
    command = add_command(
        commands,
        "register",
        "put an evaluated bundle into Kubeflow's Model Registry",
        example="lesionflow register results/export --evaluation results/evaluate --server URL --uri gs://bucket/model",
    )
    command.add_argument("bundle", type=Path, metavar="BUNDLE", help="folder of the bundle")
    command.add_argument(
        "--evaluation", type=Path, required=True, metavar="DIR", help="evaluation of this bundle, for its metrics"
    )
    command.add_argument(
        "--uri", required=True, metavar="URI", help="URI the model server reads (printed by `bundle stage`)"
    )
    command.add_argument(
        "--bundle-uri",
        default="",
        metavar="URI",
        help="URI of the bundle itself, for its validation at another clinic",
    )
    command.add_argument("--evaluation-uri", default="", metavar="URI", help="URI of its evaluation, for the same")
    command.add_argument("--card-uri", default="", metavar="URI", help="URI of its card with the test metrics")
    command.add_argument("--name", default="lesionflow", metavar="NAME", help="the registered model")
    command.add_argument("--version", default="", metavar="NAME", help="default: commit and digest")
    add_server(command, required=True)
    _add_key(command)
    command.set_defaults(run=_register)


def _add_digest(command: CommandParser) -> None:
    command.add_argument(
        "--digest", metavar="SHA256", help="the digest the bundle must have, received separately from it"
    )


def _add_key(command: CommandParser) -> None:
    command.add_argument("--key", type=Path, metavar="FILE", help="public key or certificate that must have signed it")


def _add_certificate(command: CommandParser) -> None:
    command.add_argument(
        "--certificate", type=Path, metavar="FILE", help="certificate chain of the private key, its own first (PEM)"
    )


def _add_evaluation(command: CommandParser) -> None:
    command.add_argument("--evaluation", type=Path, metavar="DIR", help="evaluation of this bundle, for its metrics")


def _predict(arguments: argparse.Namespace) -> None:
    from components.common.bundle import layout
    from components.common.runtime.session import setup_logging
    from pipelines.cli import predictions
    from pipelines.cli.bundle_commands import predict
    from pipelines.cli.bundle_source import local_bundle

    setup_logging()
    with local_bundle(arguments) as bundle:
        rows = predict(bundle, arguments.images, arguments.key)
    form = predictions.as_json if arguments.json else predictions.as_csv if arguments.csv else predictions.table
    predictions.write_out(form(rows))
    lost = sum(row.decision == layout.DECISIONS[layout.UNREADABLE] for row in rows)
    if lost:
        raise DataError(f"no prediction for {lost} of {len(rows)} images; their rows say why")


def _verify(arguments: argparse.Namespace) -> None:
    from components.common.bundle.verify import BUNDLE_OK, verify_bundle

    known = verify_bundle(arguments.bundle, digest=_digest(arguments), key=arguments.key)
    print(f"digest {known.digest}")
    print(f"policy {known.policy_id}, model {known.model_sha256[:12]}, {known.files} files")
    if arguments.key:
        print(f"signed by {arguments.key}")
    print(f"pictures that are not dermoscopy: {known.refusal.words}")
    if known.rule_compared is False:
        print(
            "self-test: the bundle refuses its generated image as not dermoscopic, as it should; the rule inside the "
            "graph was therefore not compared with decision_policy.json here (export compared it on validation images)"
        )
    print(BUNDLE_OK)  # last: whoever scripts this can look for it, since a process may also end early with code 0


def _sign(arguments: argparse.Namespace) -> None:
    from components.common.bundle.signing import sign_bundle

    print(f"wrote {sign_bundle(arguments.bundle, arguments.key, arguments.certificate)}")


def _card(arguments: argparse.Namespace) -> None:
    from pipelines.cli.bundle_commands import card

    text = card(arguments.bundle, arguments.evaluation, arguments.out)
    print(f"wrote {arguments.out}" if arguments.out else text, end="\n" if arguments.out else "")


def _stage(arguments: argparse.Namespace) -> None:
    from components.common.bundle.stage import Keys, stage_bundle

    keys = Keys(arguments.key, arguments.sign_key, arguments.certificate)
    digest, evaluation = _digest(arguments), arguments.evaluation
    staged = stage_bundle(
        arguments.bundle, arguments.out, arguments.version, digest=digest, evaluation=evaluation, keys=keys
    )
    print(f"{'staged' if staged.new else 'already staged'}: {arguments.bundle} as {staged.uri}")
    if arguments.evaluation is None:
        print("its card has no test metrics; give --evaluation to put them in")


def _handover(arguments: argparse.Namespace) -> None:
    from components.common.bundle.handover import hand_over

    made = hand_over(arguments.bundle, arguments.evaluation, arguments.out)
    print(f"{arguments.out}: the bundle with its internal test, digest {made.digest}")


def _ensemble(arguments: argparse.Namespace) -> None:
    from components.common.runtime.session import setup_logging
    from components.train.backend import prepare_backend

    setup_logging()
    prepare_backend(deterministic=False)  # so that TensorFlow's startup messages do not precede ours
    from components.train.ensemble import run

    result = run(arguments.models, arguments.out, arguments.against)
    count = len(result.record["members"])
    print(f"{result.out}: {count} models averaged into one ensemble; calibrate and export it like any model")


def _register(arguments: argparse.Namespace) -> None:
    from components.common.artifacts.folder import open_artifact
    from components.common.bundle.signing import check_signature
    from components.evaluate.proof import enforce
    from pipelines.registry.client import register, server_at
    from pipelines.registry.registration import registration_of

    server = server_at(arguments.server, arguments.token_file, arguments.ca)
    if arguments.key:
        check_signature(open_artifact(arguments.bundle, "bundle"), arguments.key)
    what = registration_of(
        arguments.bundle,
        arguments.evaluation,
        uri=arguments.uri,
        name=arguments.name,
        version=arguments.version,
        card_uri=arguments.card_uri,
        bundle_uri=arguments.bundle_uri,
        evaluation_uri=arguments.evaluation_uri,
    )
    enforce(arguments.evaluation)
    outcome = register(server, what)
    print(f"{what.name} {what.version}: {outcome.state} (model {outcome.model_id}, version {outcome.version_id})")


def _digest(arguments: argparse.Namespace) -> str | None:
    value = arguments.digest
    if value is not None and (len(value) != 64 or set(value.lower()) - set("0123456789abcdef")):
        raise ConfigError(f"--digest: received {value!r}; allowed: 64 hexadecimal digits")
    return None if value is None else str(value)
