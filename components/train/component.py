"""KFP interface of the train step."""

from kfp import dsl


@dsl.component(base_image="lesionflow.invalid/sentinel", install_kfp_package=False)
def train(
    records: dsl.Input[dsl.Dataset],
    config: dict,
    model: dsl.Output[dsl.Model],
    metrics: dsl.Output[dsl.Metrics],
):
    """Trains a malignant-or-benign classifier on prepared records.

    Args:
        records: Records artifact: TFRecord shards and manifest.json.
        config: Parameters of the step, as the task check made them.

    Returns:
        model: Model artifact: model.keras, training_config.json, history.csv, val_probs.npz and more.
        metrics: Average precision and ROC-AUC of the best epoch on validation.
    """
    from pathlib import Path

    from components.common.artifacts.handover import hand_over, handed_over
    from components.common.runtime.session import step_session
    from components.train.config import TrainConfig
    from components.train.run import run

    with step_session("train"):
        result = run(TrainConfig.parse(config), handed_over(records), Path(model.path))
        hand_over(model)
        for name in ("average_precision", "roc_auc", "best_epoch", "epochs"):
            metrics.log_metric(name, float(getattr(result, name)))
