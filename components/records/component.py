"""KFP interface of the records step."""

from kfp import dsl


@dsl.component(base_image="lesionflow.invalid/sentinel", install_kfp_package=False)
def records(
    split_data: dsl.Input[dsl.Dataset],
    records: dsl.Output[dsl.Dataset],
    metrics: dsl.Output[dsl.Metrics],
    image_size: str = "224x224",
    max_lost_pct: float = 5.0,
):
    """Prepares the images for training, packs them into TFRecord shards and checks that none is missing.

    Args:
        split_data: split artifact.
        records: TFRecord shards with manifest.json.
        metrics: images expected, found and lost per split.
        image_size: height and width of the network's input as HxW; the smaller is the stored short side.
        max_lost_pct: more lost images than this, in percent, stop the run.
    """
    from pathlib import Path

    from components.common.runtime.session import step_session
    from components.records.config import RecordsConfig
    from components.records.run import run

    with step_session("records"):
        config = RecordsConfig.for_image_size(image_size, max_lost_pct)
        result = run(config, Path(split_data.path), Path(records.path))
        for name, value in result.metrics().items():
            metrics.log_metric(name, value)
