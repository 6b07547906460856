"""Commands for another clinic: recalibrate, on what `lesionflow validate` has scored there, and monitor, in use."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.common.runtime.cli import add_command
from components.common.runtime.errors import ArtifactError, ConfigError
from pipelines.cli.bundle_source import add_bundle

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from components.calibrate.config import CalibrateConfig
    from components.common.artifacts.calibration import Recalibration

_KEPT = {
    "calibration": "a recalibration keeps the bundle's calibrator and moves it",
    "folds": "a recalibration takes as many folds as its validation has groups for",
}


def add_parsers(commands: argparse._SubParsersAction[Any]) -> None:
    """Adds the commands to the `lesionflow` command."""
    _add_recalibrate(commands)
    _add_monitor(commands)


def _add_recalibrate(commands: argparse._SubParsersAction[Any]) -> None:
    command = add_command(
        commands,
        "recalibrate",
        "adjust a bundle for another site: probabilities and threshold, not the network",
        example="lesionflow recalibrate results/export --validation clinic-b --out clinic-b-bundle",
        notes=_recalibrate_notes,
    )
    add_bundle(command)
    command.add_argument(
        "--validation", type=Path, required=True, metavar="DIR", help="what `lesionflow validate` wrote of this bundle"
    )
    command.add_argument("--out", type=Path, required=True, metavar="NEW", help="folder for the adjusted bundle")
    command.add_argument("--site", metavar="NAME", help="name of the site; default: that of the validation")
    command.add_argument(
        "--keep-threshold", action="store_true", help="adjust probabilities only; every decision stays as it is"
    )
    command.add_assignments(
        help="a parameter of calibrate for the threshold; default: the bundle's own; may be repeated"
    )
    command.set_defaults(run=_recalibrate)


def _add_monitor(commands: argparse._SubParsersAction[Any]) -> None:
    command = add_command(
        commands,
        "monitor",
        "watch the logged predictions of a bundle in use; exit code 3 where a change was found",
        example="lesionflow monitor results/export logs/ --labels labels.csv --out monitor",
        notes=_monitor_notes,
    )
    add_bundle(command)
    command.add_argument(
        "predictions",
        nargs="+",
        metavar="PREDICTIONS",
        help="logs (CSV or JSON of predict, JSON lines) or folders of them; gs:// and s3:// URIs, too",
    )
    command.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for page and figures")
    command.add_argument(
        "--labels",
        default="",
        metavar="FILE",
        help="late labels: CSV, .xlsx or JSON lines with image, label and time",
    )
    command.add_argument(
        "--reference", default="", metavar="DIR", help="validation or evaluation to compare with; default: the bundle's"
    )
    command.add_assignments()
    command.set_defaults(run=_monitor)


def _monitor_notes() -> str:
    from components.monitor.config import MonitorConfig
    from pipelines.parameter_texts import set_notes

    return set_notes(MonitorConfig.model_fields)


def _recalibrate_notes() -> str:
    from pipelines.parameter_texts import set_notes

    return set_notes(_adjustable(), defaults=False)


def _adjustable() -> dict[str, FieldInfo]:
    """The parameters of calibrate that make a difference to a recalibration."""
    from components.calibrate.config import CalibrateConfig

    return {name: field for name, field in CalibrateConfig.model_fields.items() if name not in _KEPT}


def _monitor(arguments: argparse.Namespace) -> None:
    from components.common.runtime.yaml_text import parse_assignments
    from components.monitor.alarm import PAGE, raise_alarm
    from components.monitor.config import MonitorConfig
    from components.monitor.run import run
    from pipelines.cli.bundle_source import local_bundle

    config = MonitorConfig.parse(parse_assignments(arguments.set))
    with local_bundle(arguments) as bundle:
        result = run(
            config,
            str(bundle),
            arguments.predictions,
            arguments.out,
            labels=arguments.labels,
            reference=arguments.reference,
        )
    print("\n".join(result.lines))
    raise_alarm(arguments.out, str(arguments.out / PAGE))


def _recalibrate(arguments: argparse.Namespace) -> None:
    from components.common.runtime.session import setup_logging
    from pipelines.cli.bundle_source import local_bundle

    setup_logging()
    with local_bundle(arguments) as folder:
        print(_adjusted(folder, arguments))


def _adjusted(folder: Path, arguments: argparse.Namespace) -> str:
    """Adjusts the bundle in a folder; returns what is printed of it."""
    from components.calibrate.recalibrate import recalibrate
    from components.common.artifacts.folder import open_artifact
    from components.common.artifacts.lineage import FILE as LINEAGE
    from components.common.artifacts.lineage import load_lineage
    from components.common.artifacts.validation import EXTERNAL_SCORES, open_validation
    from components.common.bundle.card_facts import CardFacts
    from components.common.bundle.fingerprints import read_fingerprints
    from components.common.bundle.load import check_parts, load_parts
    from components.export.adjust import adjust

    validation, measured, scores = open_validation(arguments.validation)
    bundle = open_artifact(folder, "bundle")
    if validation.made_from.get("bundle") != bundle.digest:
        raise ArtifactError(
            f"{arguments.validation}: made from another bundle than {arguments.bundle}; validate this one first"
        )
    parent, _ = check_parts(bundle.path)
    config = _config(parent.operating_point, CardFacts.read(bundle.path).calibration.config, arguments.set)
    site = arguments.site if arguments.site is not None else measured.site or validation.path.resolve().name
    made = recalibrate(config, parent, scores, validation.files[EXTERNAL_SCORES], site, keep=arguments.keep_threshold)
    images, lineage = read_fingerprints(validation.path), load_lineage(validation.path / LINEAGE)
    if images is None:
        raise ArtifactError(
            f"{arguments.validation}: no fingerprints of its images, since an earlier version made it; validate the "
            "bundle again"
        )
    notice = lineage.notice if lineage else ""
    adjust(
        load_parts(bundle), made.policy, made.record, validation, scores, arguments.out, images=images, notice=notice
    )
    return _summary(made.record, arguments.out)


def _config(point: Mapping[str, Any], own: Mapping[str, Any] | None, given: Sequence[str]) -> CalibrateConfig:
    """The rule for the threshold: that of the bundle's own calibration, and what is given."""
    from components.calibrate.config import CalibrateConfig
    from components.common.artifacts.policy import ASKED
    from components.common.runtime.yaml_text import parse_assignments

    values = {name.removeprefix("calibrate."): value for name, value in parse_assignments(given).items()}
    for name in (name for name in values if name in _KEPT):
        raise ConfigError(f"--set {name}: {_KEPT[name]}; allowed: {', '.join(_adjustable())}")
    if own is None and point.get("policy") != "kept":  # no calibration record: what the policy itself says
        own = {"operating_point": point["policy"], **{name: point[name] for name in ASKED[point["policy"]]}}
    return CalibrateConfig.parse({**(own or {}), **values})


def _left_out(refused: int) -> str:
    if not refused:
        return ""
    return f"; left out: {refused} refused as not dermoscopic, which go to a person whatever the policy says"


def _summary(record: Recalibration, out: Path) -> str:
    from components.common.artifacts.presentation import estimate_text

    before, after, counts = record.before, record.cross_fitted, record.counts
    rows = [
        ("calibration in the large", before.calibration_in_the_large, after.calibration_in_the_large),
        ("calibration slope", before.slope, after.slope),
        ("sensitivity", before.sensitivity, after.sensitivity),
        ("specificity", before.specificity, after.specificity),
    ]
    shown = [(label, estimate_text(old), estimate_text(new)) for label, old, new in rows]
    shown.insert(2, ("calibration error", f"{before.calibration_error:.3f}", f"{after.calibration_error:.3f}"))
    lines = [
        f"{record.site}: {counts.n} images of {counts.groups} lesion groups, "
        f"{counts.malignant_groups} malignant groups{_left_out(record.left_out_not_dermoscopy)}",
        record.why,
        f"{'':26}{'before':26}after, cross-fitted",
        *(f"{label:26}{old:26}{new}" for label, old, new in shown),
        "(in brackets: 95 % intervals that resample lesion groups)",
        f"wrote {out}: policy {record.policy_id}, adjusted from {record.parent_policy_id}",
    ]
    return "\n".join(lines)
