"""KFP interface of the export step."""

from kfp import dsl


@dsl.component(base_image="lesionflow.invalid/sentinel", install_kfp_package=False)
def export(
    model: dsl.Input[dsl.Model],
    policy: dsl.Input[dsl.Artifact],
    split_data: dsl.Input[dsl.Dataset],
    config: dict,
    bundle: dsl.Output[dsl.Model],
    metrics: dsl.Output[dsl.Metrics],
):
    """Builds the serving bundle (image bytes to probability and decision) and checks it against the model.

    Args:
        model: Model artifact of train.
        policy: Decision policy of calibrate.
        split_data: Split artifact; the bundle is compared with the model on its validation images.
        config: Parameters of the step, as the task check made them.

    Returns:
        bundle: SavedModel, decision policy, preprocessing, labels and model card.
        metrics: Largest differences between bundle and model, and between the two ways of preparing images.
    """
    from pathlib import Path

    from components.common.artifacts.noted import note_digest, noted_path
    from components.common.runtime.session import step_session
    from components.export.config import ExportConfig
    from components.export.run import run

    with step_session("export"):
        paths = [noted_path(artifact) for artifact in (model, policy, split_data)]
        result = run(ExportConfig.parse(config), *paths, Path(bundle.path))
        note_digest(bundle)
        for name, value in result.figures.items():
            metrics.log_metric(name, value)
