"""KFP interface of the records step, and of the task that prepares a part of the images."""

from kfp import dsl


@dsl.component(base_image="lesionflow.invalid/sentinel", install_kfp_package=False)
def records(
    split_data: dsl.Input[dsl.Dataset],
    config: dict,
    records: dsl.Output[dsl.Dataset],
    metrics: dsl.Output[dsl.Metrics],
):
    """Prepares the images for training, packs them into TFRecord shards and checks that none is missing.

    Args:
        split_data: Split artifact.
        config: Parameters of the step, as the task check made them.

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
        result = run(RecordsConfig.parse(config), noted_path(split_data), Path(records.path))
        note_digest(records)
        for name, value in result.metrics().items():
            metrics.log_metric(name, value)


@dsl.component(base_image="lesionflow.invalid/sentinel", install_kfp_package=False)
def records_part(split_data: dsl.Input[dsl.Dataset], config: dict, part: str, prepared: dsl.Output[dsl.Dataset]):
    """Prepares a part of the images for training.

    Args:
        split_data: Split artifact.
        config: Parameters of the step, as the task check made them.
        part: Which part of how many, as JSON text.

    Returns:
        prepared: Records of the part, in order.
    """
    from pathlib import Path

    from components.common.artifacts.noted import note_digest, noted_path
    from components.common.runtime.part import Part
    from components.common.runtime.session import step_session
    from components.records.config import RecordsConfig
    from components.records.parts import run_part

    which = Part.parse(part)
    with step_session(f"records-part {which.number + 1} of {which.of}"):
        run_part(RecordsConfig.parse(config), noted_path(split_data), which, Path(prepared.path))
        note_digest(prepared)
