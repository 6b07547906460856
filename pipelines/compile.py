"""`lesionflow compile`: the pipeline as the YAML that Kubeflow's UI takes."""

from __future__ import annotations

import inspect
import json
import tempfile
from collections.abc import Mapping
from itertools import dropwhile
from pathlib import Path
from typing import Any

from kfp import compiler

from components.common.artifacts.json_file import write_atomic
from pipelines.cluster_file import Cluster
from pipelines.dag import build_pipeline
from pipelines.parameter_texts import signature
from pipelines.parameters import member_count


def compile_pipeline(
    cluster: Cluster, defaults: Mapping[str, Any] | None = None, *, members: bool | None = None
) -> str:
    """Compiles the DAG for `cluster`; equal inputs give equal text.

    Args:
        cluster: where the pods will run; also gives the defaults of selector and tolerations.
        defaults: parameter values that replace the DAG's defaults, as a preset has them.
        members: whether its runs train several models; None: whether `defaults` name members.

    Returns:
        Both YAML documents: the pipeline spec and the platform spec.
    """
    parameters = {
        "gpu_node_selector": dict(cluster.gpu.node_selector),
        "gpu_tolerations": [item.manifest() for item in cluster.gpu.tolerations],
        **(defaults or {}),
    }
    several = bool(member_count(defaults or {})) if members is None else members
    return documents(build_pipeline(cluster, members=several, defaults=parameters), parameters, signature())


def documents(pipeline: Any, defaults: Mapping[str, Any], parameters: inspect.Signature) -> str:
    """Both YAML documents of a kfp pipeline, with a comment that names its parameters."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "pipeline.yaml"
        compiler.Compiler().compile(pipeline, str(target), pipeline_parameters=dict(defaults))
        return _header(defaults, parameters) + _without_comments(target.read_text(encoding="utf-8"))


def _header(defaults: Mapping[str, Any], parameters: inspect.Signature) -> str:
    """A comment that names the parameters in the order of the signature.

    Instead of kfp's own, which prints the entries of a mapping in an order that changes with the process.
    """
    lines = ["lesionflow, compiled for Kubeflow Pipelines. Parameters:"]
    for one in parameters.parameters.values():
        value = defaults.get(one.name, one.default)
        required = value is inspect.Parameter.empty
        lines.append(f"  {one.name}: " + ("required" if required else json.dumps(value, sort_keys=True)))
    return "".join(f"# {line}\n" for line in lines)


def _without_comments(text: str) -> str:
    """The documents without the comment in front of them."""
    lines = text.splitlines(keepends=True)
    return "".join(dropwhile(lambda line: line.startswith("#"), lines))


def write_pipeline(
    out: Path, cluster: Cluster, defaults: Mapping[str, Any] | None = None, *, members: bool | None = None
) -> None:
    """Compiles into `out`, atomically; see `compile_pipeline`."""
    write_documents(out, compile_pipeline(cluster, defaults, members=members))


def write_documents(out: Path, text: str) -> None:
    """Writes a compiled pipeline, atomically."""
    out.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(out, text)
