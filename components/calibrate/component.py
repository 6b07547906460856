"""Calibrate as a KFP component."""

from kfp import dsl


@dsl.component(base_image="lesionflow.invalid/sentinel", install_kfp_package=False)
def calibrate(
    model: dsl.Input[dsl.Model],
    policy: dsl.Output[dsl.Artifact],
    metrics: dsl.Output[dsl.Metrics],
    calibration: str = "auto",
    operating_point: str = "lower_bound",
    target_sensitivity: float = 0.90,
    cost_ratio: float = 9.0,
    abstain_alpha: float = 0.0,
):
    """Calibrate a model on its validation scores and choose the decision threshold.

    Args:
        model: Model artifact of the train step.
        policy: Decision policy: calibrator, threshold, counts they were chosen on.
        metrics: Validation sensitivity, specificity and threshold.
        calibration: auto, none, offset, temperature, platt, beta or isotonic.
        operating_point: lower_bound, point, cost or youden.
        target_sensitivity: Sensitivity that lower_bound guarantees and point aims at.
        cost_ratio: Cost of a missed cancer over a false alarm, for operating_point cost.
        abstain_alpha: Error per class outside the abstain band; 0 is no band.
    """
    from pathlib import Path

    from components.calibrate.config import CalibrateConfig
    from components.calibrate.run import run
    from components.common.runtime.session import step_session

    asked = {"calibration": calibration, "operating_point": operating_point, "abstain_alpha": abstain_alpha}
    numbers = {"target_sensitivity": target_sensitivity, "cost_ratio": cost_ratio}
    with step_session("calibrate"):
        result = run(CalibrateConfig.parse({**asked, **numbers}), Path(model.path), Path(policy.path))
    for name, value in result.kfp_metrics().items():
        metrics.log_metric(name, value)
