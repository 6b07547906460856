"""The compiled pipeline a command works on: a file that is given, or compiled on the spot."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from components.common.runtime.cli import CommandParser
from components.common.runtime.config import unknown_name
from components.common.runtime.errors import ConfigError
from components.common.runtime.yaml_text import parse_assignments
from pipelines.cluster_file import Cluster, load_cluster
from pipelines.ir import load_documents

if TYPE_CHECKING:
    from pipelines.form_dag import FormPipeline

PLACEHOLDER_REFS = Path("placeholder")
_KINDS: dict[str, tuple[tuple[type, ...], str]] = {
    "STRING": ((str,), "text"),
    "NUMBER_INTEGER": ((int,), "an integer"),
    "NUMBER_DOUBLE": ((int, float), "a number"),
    "BOOLEAN": ((bool,), "true or false"),
    "LIST": ((list,), "a list"),
    "STRUCT": ((dict,), "a mapping"),
}


def add_cluster_flags(command: CommandParser) -> None:
    """Adds the flags that name the cluster and its container images."""
    command.add_argument("--cluster", metavar="FILE", help="cluster file, or the name of an example such as gke-t4")
    command.add_assignments(
        "--set-cluster",
        help="one entry of the cluster file, such as checkpoints.uri=gs://bucket/checkpoints; may be repeated",
    )
    command.add_argument(
        "--image-refs", type=Path, metavar="FILE", help="container references, as `make images` wrote them"
    )
    command.add_argument("--allow-mutable-tags", action="store_true", help="accept image tags that can change")
    command.add_old_name("--config", "--cluster")
    command.add_old_name("--images", "--image-refs")


def add_pipeline_flags(command: CommandParser) -> None:
    """Adds the flags that name the pipeline to use."""
    command.add_argument("--pipeline", type=Path, metavar="FILE", help="compiled file; default: compiled now")
    add_kind_flag(command)
    add_cluster_flags(command)


def add_parameter_flags(command: CommandParser) -> None:
    """Adds the two ways to give parameters."""
    command.add_argument("--preset", metavar="NAME", help="parameters: a name of `lesionflow presets`, or a YAML file")
    command.add_assignments()


def add_kind_flag(command: CommandParser) -> None:
    """Adds the flags that ask for another pipeline than the one that trains."""
    kinds = command.add_mutually_exclusive_group()
    kinds.add_argument(
        "--validation", action="store_true", help="the pipeline that validates a finished bundle at another clinic"
    )
    kinds.add_argument(
        "--monitor", action="store_true", help="the pipeline that watches the logged predictions of a bundle in use"
    )


def form_pipeline(arguments: argparse.Namespace) -> FormPipeline | None:
    """The pipeline that the flags of `add_kind_flag` ask for; None for the one that trains.

    Raises:
        ConfigError: together with a preset, which only training has.
    """
    if not (arguments.validation or arguments.monitor):
        return None
    if getattr(arguments, "preset", None):
        flag = "--validation" if arguments.validation else "--monitor"
        raise ConfigError(f"--preset: received {arguments.preset!r} with {flag}, which has none; use --set")
    from pipelines.form_dag import MONITORING, VALIDATION

    return VALIDATION if arguments.validation else MONITORING


def cluster_of(arguments: argparse.Namespace, *, to_look_at: bool = False) -> Cluster:
    """The cluster that the flags of `add_cluster_flags` name.

    Args:
        arguments: the parsed flags.
        to_look_at: the pipeline may name images that nobody has pushed, where the user says so.

    Raises:
        ConfigError: not readable, a bad entry, no images, or an image that can change under its name.
    """
    placeholder = arguments.image_refs == PLACEHOLDER_REFS
    cluster = read_cluster(arguments, None if placeholder else arguments.image_refs)
    if placeholder and not to_look_at:
        raise ConfigError(f"--image-refs: received {PLACEHOLDER_REFS}; allowed: the file that `make images` wrote")
    kinds = ("data", "cpu", "gpu") if cluster.gpu.count else ("data", "cpu")
    missing = [kind for kind in kinds if not getattr(cluster.images, kind)]
    if missing and not placeholder:
        only = f", or --image-refs {PLACEHOLDER_REFS} for a pipeline to look at" if to_look_at else ""
        raise ConfigError(
            f"images.{missing[0]}: missing; give --image-refs FILE, which `make images` writes (out/images.yaml), or "
            f"an entry `images:` in the cluster file{only}"
        )
    cluster.check_images(allow_mutable_tags=arguments.allow_mutable_tags)
    return cluster


def read_cluster(arguments: argparse.Namespace, images: Path | None) -> Cluster:
    """The cluster file that the flags name with their changes, whatever its images are.

    Raises:
        ConfigError: not readable, or a bad entry.
    """
    changes = parse_assignments(arguments.set_cluster, "--set-cluster", "checkpoints.uri=gs://bucket/checkpoints")
    return load_cluster(arguments.cluster, images, changes)


def compiled_text(arguments: argparse.Namespace, values: Mapping[str, Any] | None = None) -> str:
    """The compiled pipeline.

    Args:
        arguments: the parsed flags of `add_pipeline_flags`.
        values: parameters of the run it is for, which may ask for several trainings.

    Raises:
        ConfigError: `--pipeline` together with what it makes meaningless, not readable, or faulty.
    """
    if arguments.pipeline is None and (other := form_pipeline(arguments)) is not None:
        return other.compile(cluster_of(arguments))
    if arguments.pipeline is None:
        from pipelines.compile import compile_pipeline
        from pipelines.parameters import member_count

        cluster, members = cluster_of(arguments), member_count(values or {})
        warn_of_deadline(cluster, members)
        return compile_pipeline(cluster, members=bool(members))
    if arguments.cluster or arguments.image_refs or arguments.set_cluster:
        raise ConfigError(
            "--pipeline: received with --cluster, --set-cluster or --image-refs; allowed: a compiled file or these"
        )
    try:
        text = str(arguments.pipeline.read_text(encoding="utf-8"))
        load_documents(text)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        said = " ".join(str(error).split())
        raise ConfigError(f"--pipeline: {arguments.pipeline} is not a compiled pipeline ({said})") from error
    return text


def warn_of_deadline(cluster: Cluster, members: int) -> None:
    """Says on stderr where the members of a run may outlast its deadline; its first task says it again."""
    if members and (said := cluster.rounds.warning(members)):
        sys.stderr.write(f"warning: {said}\n")


def check_signature(text: str, values: Mapping[str, Any]) -> None:
    """Checks parameter values against the file that will run, which may be of another version than this code.

    Raises:
        ConfigError: a line for each name the file does not know, value of the wrong type, or missing value.
    """
    spec, _ = load_documents(text)
    declared = spec["root"].get("inputDefinitions", {}).get("parameters", {})
    faults = list(_faults(declared, values))
    if faults:
        raise ConfigError("\n".join(faults))


def _faults(declared: Mapping[str, Any], values: Mapping[str, Any]) -> Iterator[str]:
    for name, value in values.items():
        if name not in declared:
            yield unknown_name(name, declared)
            continue
        kinds, words = _KINDS[declared[name]["parameterType"]]
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            yield f"{name}: received {value!r}; allowed: {words}"
    for name, definition in declared.items():
        if name not in values and not definition.get("isOptional") and "defaultValue" not in definition:
            yield f"{name}: missing; give it with --set {name}=... or in the parameter file"


def without_cache(text: str) -> str:
    """The same pipeline with caching off in every task of every DAG.

    The client's own switch reaches the tasks of the root only: one inside a nested pipeline or an exit
    handler would stay cached.
    """
    spec, platform = load_documents(text)
    for component in (spec["root"], *spec["components"].values()):
        for task in component.get("dag", {}).get("tasks", {}).values():
            task["cachingOptions"] = {}
    return yaml.safe_dump_all([spec, platform], sort_keys=True)
