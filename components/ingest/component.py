"""KFP interface of the ingest step."""

from kfp import dsl


@dsl.component(base_image="lesionflow.invalid/sentinel", install_kfp_package=False)
def ingest(config: dict, index: dsl.Output[dsl.Dataset], metrics: dsl.Output[dsl.Metrics]):
    """Checks every image the table names and writes an index with a verdict on each.

    Args:
        config: Parameters of the step, with the URIs of table and images, as the task check made them.

    Returns:
        index: index.parquet, one row per image, and ingest.json.
        metrics: Images by verdict.
    """
    from pathlib import Path

    from components.common.artifacts.handover import hand_over
    from components.common.runtime.session import step_session
    from components.ingest.config import IngestSources
    from components.ingest.run import run

    with step_session("ingest"):
        asked = IngestSources.parse(config)
        result = run(asked, asked.metadata, asked.images, Path(index.path))
        hand_over(index)
        for name, value in result.metrics().items():
            metrics.log_metric(name, value)
