"""KFP interface of the calibrate step."""

from kfp import dsl


@dsl.component(base_image="lesionflow.invalid/sentinel", install_kfp_package=False)
def calibrate(
    model: dsl.Input[dsl.Model],
    config: dict,
    policy: dsl.Output[dsl.Artifact],
    metrics: dsl.Output[dsl.Metrics],
):
    """Calibrates a model on its validation scores and chooses the decision threshold.

    Args:
        model: Model artifact of the train step.
        config: Parameters of the step, as the task check made them.

    Returns:
        policy: Decision policy: calibrator, threshold, and the counts of the images they were chosen on.
        metrics: Validation sensitivity, specificity and threshold.
    """
    from pathlib import Path

    from components.calibrate.config import CalibrateConfig
    from components.calibrate.run import run
    from components.common.artifacts.noted import note_digest, noted_path
    from components.common.runtime.session import step_session

    with step_session("calibrate"):
        result = run(CalibrateConfig.parse(config), noted_path(model), Path(policy.path))
        note_digest(policy)
        for name, value in result.metrics().items():
            metrics.log_metric(name, value)
