"""The pipelines whose first task checks a form: the check, their steps, and the exit task.

`VALIDATION` is for another clinic: check, ingest and validate, for a finished bundle and that clinic's images.
`MONITORING` is for a bundle in use: check, monitor, and alarm, which fails the run where a change was found.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.monitor.component import alarm, monitor
from components.validate.component import validate
from pipelines import monitoring, validation
from pipelines.check_task import CHECK_TASK, written_component
from pipelines.cluster_file import ALARM_TASK, MONITOR_TASK, PIPELINE_OF, VALIDATE_TASK, Cluster
from pipelines.compile import documents, write_documents
from pipelines.dag import Interface, ingest_task, with_exit_task
from pipelines.form import Form
from pipelines.placement import look_versions_up, place


@dataclass(frozen=True)
class FormPipeline:
    """One of the pipelines beside the training pipeline.

    Attributes:
        name: its name in Kubeflow.
        about: what it is for.
        form: its parameters.
        check: name of the function in `pipelines.check` that checks them in a pod.
        steps: makes the tasks after the check, each with its step's name, from the check's outputs and the cluster.
        set_by_cluster: values of the form that a cluster file sets.
    """

    name: str
    about: str
    form: Form
    check: str
    steps: Callable[[Any, Cluster], Iterable[tuple[str, Any]]]
    set_by_cluster: Callable[[Cluster], dict[str, Any]] = lambda _: {}

    def build(self, cluster: Cluster, defaults: Mapping[str, Any] | None = None) -> Any:
        """The pipeline for one cluster: a kfp pipeline object, ready to compile or to run locally.

        Args:
            cluster: where it will run.
            defaults: values that the compiled file will have as defaults, for the descriptions.
        """
        form = self.form
        interface = Interface(self.name, self.about, form.signature(), form.docstring(self.about, defaults))
        names, check = list(form.fields()), self._check()

        def steps(*values: Any) -> None:
            checked = check(**dict(zip(names, values, strict=True)))
            for step, task in ((CHECK_TASK, checked), *self.steps(checked.outputs, cluster)):
                place(task, step, cluster=cluster, selector=None, tolerations=None)
            look_versions_up(checked, cluster)

        return with_exit_task(steps, cluster, interface)

    def compile(self, cluster: Cluster, defaults: Mapping[str, Any] | None = None) -> str:
        """Compiles the pipeline; equal inputs give equal text.

        Args:
            cluster: where the pods will run.
            defaults: parameter values that replace the pipeline's defaults.

        Returns:
            Both YAML documents.

        Raises:
            ConfigError: a default that is not allowed.
        """
        given = self.set_by_cluster(cluster) | self.form.values_of(defaults or {})
        return documents(self.build(cluster, given), given, self.form.signature())

    def write(self, out: Path, cluster: Cluster, defaults: Mapping[str, Any] | None = None) -> None:
        """Compiles into `out`, atomically."""
        write_documents(out, self.compile(cluster, defaults))

    def _check(self) -> Any:
        given = ", ".join(f"{one.name}: {one.annotation.__name__}" for one in self.form.signature().parameters.values())
        returned = ", ".join(f'("{step}", dict)' for step in self.form.steps)
        text = (
            f'def {CHECK_TASK}({given}) -> NamedTuple("Configurations", [{returned}]):\n'
            "    values = dict(locals())\n"
            f"    from pipelines.check import {self.check}\n"
            f"    return {self.check}(values)\n"
        )
        doc = self.form.docstring("Checks the parameters of a run and what it will read.")
        outputs = ["", "Returns:", *(f"    {step}: Configuration of the step {step}." for step in self.form.steps)]
        return written_component(CHECK_TASK, text, doc + "\n".join(outputs))


def _validation_steps(config: Any, cluster: Cluster) -> Iterator[tuple[str, Any]]:
    index = ingest_task(config["ingest"], {"cluster": cluster, "selector": None, "tolerations": None})
    yield "ingest", index
    yield VALIDATE_TASK, validate(index=index.outputs["index"], config=config["validate"])


def _monitoring_steps(config: Any, cluster: Cluster) -> Iterator[tuple[str, Any]]:
    watched = monitor(config=config["monitor"])
    yield MONITOR_TASK, watched
    yield ALARM_TASK, alarm(findings=watched.outputs["findings"])


VALIDATION = FormPipeline(
    name=PIPELINE_OF[VALIDATE_TASK],
    about="A finished bundle on another clinic's images: figures there and here, and whether its promise holds.",
    form=validation.FORM,
    check="check_validation",
    steps=_validation_steps,
    set_by_cluster=lambda cluster: {"cache": cluster.ingest_cache} if cluster.ingest_cache else {},
)
MONITORING = FormPipeline(
    name=PIPELINE_OF[MONITOR_TASK],
    about="Logged predictions of a bundle in use: whether they, or the labels that came since, have changed.",
    form=monitoring.FORM,
    check="check_monitor",
    steps=_monitoring_steps,
)
