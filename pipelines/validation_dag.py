"""The other pipeline: check, ingest and validate, for a finished bundle and another clinic's images."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.validate.component import validate
from pipelines.check_task import CHECK_TASK, written_component
from pipelines.cluster_file import VALIDATE_TASK, Cluster
from pipelines.compile import documents, write_documents
from pipelines.dag import Interface, ingest_task, with_exit_task
from pipelines.placement import look_versions_up, place
from pipelines.validation import STEPS, docstring, signature, values_of

PIPELINE_NAME = "lesionflow-validate"
_ABOUT = "A finished bundle on another clinic's images: figures there and here, and whether its promise holds."


def build_validation(cluster: Cluster, defaults: Mapping[str, Any] | None = None) -> Any:
    """The pipeline for one cluster: a kfp pipeline object, ready to compile or to run locally.

    Args:
        cluster: where it will run.
        defaults: values that the compiled file will have as defaults, for the descriptions.
    """
    interface = Interface(PIPELINE_NAME, _ABOUT, signature(), docstring(_ABOUT, defaults))
    placed: dict[str, Any] = {"cluster": cluster, "selector": None, "tolerations": None}
    names = list(interface.signature.parameters)
    check = _check()

    def steps(*values: Any) -> None:
        checked = check(**dict(zip(names, values, strict=True)))
        index = ingest_task(checked.outputs["ingest"], placed)
        found = validate(index=index.outputs["index"], config=checked.outputs["validate"])
        for step, task in ((CHECK_TASK, checked), ("ingest", index), (VALIDATE_TASK, found)):
            place(task, step, **placed)
        look_versions_up(checked, cluster)

    return with_exit_task(steps, cluster, interface)


def compile_validation(cluster: Cluster, defaults: Mapping[str, Any] | None = None) -> str:
    """Compiles the pipeline; equal inputs give equal text.

    Args:
        cluster: where the pods will run.
        defaults: parameter values that replace the pipeline's defaults.

    Returns:
        Both YAML documents.

    Raises:
        ConfigError: a default that is not allowed.
    """
    given = {"cache": cluster.ingest_cache} if cluster.ingest_cache else {}
    given |= values_of(defaults or {})
    return documents(build_validation(cluster, given), given, signature())


def write_validation(out: Path, cluster: Cluster, defaults: Mapping[str, Any] | None = None) -> None:
    """Compiles into `out`, atomically."""
    write_documents(out, compile_validation(cluster, defaults))


def _check() -> Any:
    given = ", ".join(f"{one.name}: {one.annotation.__name__}" for one in signature().parameters.values())
    returned = ", ".join(f'("{step}", dict)' for step in STEPS)
    text = (
        f'def {CHECK_TASK}({given}) -> NamedTuple("Configurations", [{returned}]):\n'
        "    values = dict(locals())\n"
        "    from pipelines.check import check_validation\n"
        "    return check_validation(values)\n"
    )
    about = docstring("Checks the parameters of a validation and what it will read.")
    outputs = "\n".join(["", "Returns:", *(f"    {step}: Configuration of the step {step}." for step in STEPS)])
    return written_component(CHECK_TASK, text, about + outputs)
