"""KFP interface of the ingest step."""

from kfp import dsl


@dsl.component(base_image="lesionflow.invalid/sentinel", install_kfp_package=False)
def ingest(
    metadata: str,
    images: list,
    index: dsl.Output[dsl.Dataset],
    metrics: dsl.Output[dsl.Metrics],
    label_policy: str = "ham10000",
    max_lost_pct: float = 5.0,
    cache: str = "",
):
    """Checks every image the table names and writes an index with a verdict on each.

    Args:
        metadata: URI of the table (CSV), or two joined by a comma: labels,facts.
        images: URIs of the folders that hold the images.
        index: index.parquet, one row an image, and ingest.json.
        metrics: images by verdict.
        label_policy: ham10000, ham10000-without-akiec, isic2019, or the URI of a YAML file.
        max_lost_pct: the step fails when more than this share of images, in percent, is unusable.
        cache: URI of a folder that keeps verdicts, so that unchanged images are not read again; empty keeps none.
    """
    from pathlib import Path

    from components.common.runtime.session import step_session
    from components.ingest.config import IngestConfig
    from components.ingest.run import run

    with step_session("ingest"):
        config = IngestConfig.parse({"label_policy": label_policy, "max_lost_pct": max_lost_pct, "cache": cache})
        for name, value in run(config, metadata, images, Path(index.path)).metrics().items():
            metrics.log_metric(name, value)
