"""KFP interface of the export step."""

from kfp import dsl


@dsl.component(base_image="lesionflow.invalid/sentinel", install_kfp_package=False)
def export(
    model: dsl.Input[dsl.Model],
    policy: dsl.Input[dsl.Artifact],
    split_data: dsl.Input[dsl.Dataset],
    bundle: dsl.Output[dsl.Model],
    metrics: dsl.Output[dsl.Metrics],
    formats: list = [],  # noqa: B006 - kfp copies defaults into the compiled file
    augmentation: str = "none",
):
    """Builds the serving bundle (image bytes to probability and decision) and checks it against the model.

    Args:
        model: model artifact of train.
        policy: decision policy of calibrate.
        split_data: split artifact; the bundle is compared with the model on its validation images.
        bundle: SavedModel, decision policy, preprocessing, labels and model card.
        metrics: largest differences between bundle and model, and between the two ways of preparing images.
        formats: further files for runtimes without TensorFlow: onnx, litert.
        augmentation: test-time augmentation: none or flips.
    """
    from pathlib import Path

    from components.common.runtime.session import step_session
    from components.export.config import ExportConfig
    from components.export.run import run

    with step_session("export"):
        config = ExportConfig.parse({"formats": formats, "augmentation": augmentation})
        result = run(config, Path(model.path), Path(policy.path), Path(split_data.path), Path(bundle.path))
        for name, value in result.figures.items():
            metrics.log_metric(name, value)
