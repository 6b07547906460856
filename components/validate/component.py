"""KFP interface of the validate step."""

from kfp import dsl


@dsl.component(base_image="lesionflow.invalid/sentinel", install_kfp_package=False)
def validate(
    index: dsl.Input[dsl.Dataset],
    config: dict,
    validation: dsl.Output[dsl.Artifact],
    report: dsl.Output[dsl.HTML],
    roc: dsl.Output[dsl.ClassificationMetrics],
    metrics: dsl.Output[dsl.Metrics],
):
    """Measure a finished bundle on another clinic's images, beside what its internal test showed.

    Args:
        index: Index artifact of the clinic's images.
        config: Parameters of the step, with the URI of the bundle, as the task check made them.

    Returns:
        validation: Scores, metrics.json, validation.json, overlap.csv, unlabelled.csv, predictions.csv, report.html.
        report: The HTML report.
        roc: ROC curve and confusion matrix.
        metrics: The figures with their 95 percent intervals.
    """
    from pathlib import Path

    from components.common.artifacts.noted import note_digest, noted_path
    from components.common.bundle.signing import asked_key
    from components.common.runtime.session import step_session
    from components.evaluate.publish import publish
    from components.evaluate.regenerate import REPORT
    from components.validate.config import ValidateSources
    from components.validate.run import run

    with step_session("validate"):
        asked = ValidateSources.parse(config)
        result = run(asked, asked.bundle, noted_path(index), asked.internal, Path(validation.path), asked_key())
        note_digest(validation)
        publish(result.path / REPORT, result.scores, result.metrics, report, roc, metrics)
