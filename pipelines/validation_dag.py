"""The pipeline for another clinic: check, ingest and validate, for a finished bundle and that clinic's images."""

from collections.abc import Iterator
from typing import Any

from components.validate.component import validate
from pipelines.cluster_file import PIPELINE_OF, VALIDATE_TASK, Cluster
from pipelines.dag import ingest_task
from pipelines.form_dag import FormPipeline
from pipelines.validation import FORM


def _steps(config: Any, cluster: Cluster) -> Iterator[tuple[str, Any]]:
    index = ingest_task(config["ingest"], {"cluster": cluster, "selector": None, "tolerations": None})
    yield "ingest", index
    yield VALIDATE_TASK, validate(index=index.outputs["index"], config=config["validate"])


def _set_by_cluster(cluster: Cluster) -> dict[str, Any]:
    return {"cache": cluster.ingest_cache} if cluster.ingest_cache else {}


PIPELINE = FormPipeline(
    name=PIPELINE_OF[VALIDATE_TASK],
    about="A finished bundle on another clinic's images: figures there and here, and whether its promise holds.",
    form=FORM,
    check="check_validation",
    steps=_steps,
    set_by_cluster=_set_by_cluster,
)
