"""KFP interface of the records step where many pods have prepared the images; it is the task `records` there."""

from kfp import dsl


@dsl.component(base_image="lesionflow.invalid/sentinel", install_kfp_package=False)
def records(
    split_data: dsl.Input[dsl.Dataset],
    config: dict,
    parts: dsl.Input[list[dsl.Dataset]],
    records: dsl.Output[dsl.Dataset],
    metrics: dsl.Output[dsl.Metrics],
):
    """Packs the records of all parts into TFRecord shards and checks that none is missing.

    Args:
        split_data: Split artifact.
        config: Parameters of the step, as the task check made them.
        parts: Records of each part.

    Returns:
        records: TFRecord shards with manifest.json.
        metrics: Images expected, found and lost per split.
    """
    from pathlib import Path

    from components.common.artifacts.noted import note_digest, noted_path
    from components.common.runtime.session import step_session
    from components.records.config import RecordsConfig
    from components.records.run import run

    with step_session("records"):
        found = [noted_path(one) for one in parts]
        result = run(RecordsConfig.parse(config), noted_path(split_data), Path(records.path), found)
        note_digest(records)
        for name, value in result.metrics().items():
            metrics.log_metric(name, value)
