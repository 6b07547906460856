"""KFP interface of the ingest step where many pods have checked the images; it is the task `ingest` there."""

from kfp import dsl


@dsl.component(base_image="lesionflow.invalid/sentinel", install_kfp_package=False)
def ingest(
    config: dict,
    parts: dsl.Input[list[dsl.Dataset]],
    index: dsl.Output[dsl.Dataset],
    metrics: dsl.Output[dsl.Metrics],
):
    """Writes the index from the verdicts that the pods of the parts have found.

    Args:
        config: Parameters of the step, with the URIs of table and images, as the task check made them.
        parts: Verdicts of each part.

    Returns:
        index: index.parquet, one row per image, and ingest.json.
        metrics: Images by verdict.
    """
    from pathlib import Path

    from components.common.artifacts.noted import note_digest, noted_path
    from components.common.runtime.session import step_session
    from components.ingest.config import IngestSources
    from components.ingest.run import run

    with step_session("ingest"):
        asked = IngestSources.parse(config)
        found = [noted_path(one) for one in parts]
        result = run(asked, asked.metadata, asked.images, Path(index.path), found)
        note_digest(index)
        for name, value in result.metrics().items():
            metrics.log_metric(name, value)
