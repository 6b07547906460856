"""The pipeline for a bundle in use: check, monitor, and alarm, which fails the run where a change was found."""

from collections.abc import Iterator
from typing import Any

from components.monitor.component import alarm, monitor
from pipelines.cluster_file import ALARM_TASK, MONITOR_TASK, PIPELINE_OF, Cluster
from pipelines.form_dag import FormPipeline
from pipelines.monitoring import FORM


def _steps(config: Any, cluster: Cluster) -> Iterator[tuple[str, Any]]:
    watched = monitor(config=config["monitor"])
    yield MONITOR_TASK, watched
    yield ALARM_TASK, alarm(findings=watched.outputs["findings"])


PIPELINE = FormPipeline(
    name=PIPELINE_OF[MONITOR_TASK],
    about="Logged predictions of a bundle in use: whether they, or the labels that came since, have changed.",
    form=FORM,
    check="check_monitor",
    steps=_steps,
)
