"""KFP interface of the ingest step, and of the task that checks a part of the images."""

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

    from components.common.artifacts.noted import note_digest
    from components.common.runtime.session import step_session
    from components.ingest.config import IngestSources
    from components.ingest.run import run

    with step_session("ingest"):
        asked = IngestSources.parse(config)
        result = run(asked, asked.metadata, asked.images, Path(index.path))
        note_digest(index)
        for name, value in result.metrics().items():
            metrics.log_metric(name, value)


@dsl.component(base_image="lesionflow.invalid/sentinel", install_kfp_package=False)
def ingest_part(config: dict, part: str, verdicts: dsl.Output[dsl.Dataset]):
    """Checks a part of the images the table names.

    Args:
        config: Parameters of the step, with the URIs of table and images, as the task check made them.
        part: Which part of how many, as JSON text.

    Returns:
        verdicts: What was found of each image of the part.
    """
    from pathlib import Path

    from components.common.artifacts.noted import note_digest
    from components.common.runtime.part import Part
    from components.common.runtime.session import step_session
    from components.ingest.config import IngestSources
    from components.ingest.parts import run_part

    which = Part.parse(part)
    with step_session(f"ingest-part {which.number + 1} of {which.of}"):
        asked = IngestSources.parse(config)
        run_part(asked, asked.metadata, asked.images, which, Path(verdicts.path))
        note_digest(verdicts)
