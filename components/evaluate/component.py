"""Evaluate and its gate as KFP components.

Two tasks, because Kubeflow drops the outputs of a failed task: the report belongs to one that succeeded.
"""

from kfp import dsl


@dsl.component(base_image="lesionflow.invalid/sentinel", install_kfp_package=False)
def evaluate(
    bundle: dsl.Input[dsl.Model],
    split_data: dsl.Input[dsl.Dataset],
    model: dsl.Input[dsl.Model],
    records: dsl.Input[dsl.Dataset],
    config: dict,
    evaluation: dsl.Output[dsl.Artifact],
    report: dsl.Output[dsl.HTML],
    model_card: dsl.Output[dsl.Markdown],
    roc: dsl.Output[dsl.ClassificationMetrics],
    metrics: dsl.Output[dsl.Metrics],
):
    """Measure the exported bundle on the original test images and write the report.

    Args:
        bundle: Bundle artifact of the export step.
        split_data: Split artifact; its test images are read from their URIs.
        model: Model artifact: validation scores and training curve.
        records: Records artifact: lost images.
        config: Parameters of the step, as the task check made them.

    Returns:
        evaluation: Scores, figures, lineage, predictions and report; docs/reference/artifacts.md has every file.
        report: The HTML report.
        model_card: The model card with the test metrics, as Markdown.
        roc: ROC curve and confusion matrix.
        metrics: The figures with their 95 percent intervals.
    """
    from pathlib import Path

    from components.common.artifacts.noted import note_digest, noted_path
    from components.common.bundle.card import bundle_card
    from components.common.runtime.session import step_session
    from components.evaluate.config import EvaluateConfig
    from components.evaluate.publish import publish, write_output
    from components.evaluate.regenerate import REPORT
    from components.evaluate.run import run

    with step_session("evaluate"):
        paths = [noted_path(artifact) for artifact in (bundle, split_data, model, records)]
        result = run(EvaluateConfig.parse(config), *paths, Path(evaluation.path))
        note_digest(evaluation)
        publish(result.path / REPORT, result.scores, result.metrics, report, roc, metrics)
        write_output(model_card, bundle_card(paths[0], result.path))


@dsl.component(base_image="lesionflow.invalid/sentinel", install_kfp_package=False)
def gate(evaluation: dsl.Input[dsl.Artifact], config: dict):
    """Judge the evaluation again, by the conditions of this run, and fail the run when one is missed.

    Args:
        evaluation: Evaluation artifact; its figures are computed again from its scores.
        config: Parameters of the step evaluate, as the task check made them: the conditions.
    """
    from components.common.artifacts.noted import noted_path
    from components.common.runtime.session import step_session
    from components.evaluate.config import EvaluateConfig
    from components.evaluate.proof import enforce

    with step_session("gate"):
        enforce(noted_path(evaluation), EvaluateConfig.parse(config))
