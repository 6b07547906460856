"""KFP interface of the train step, and of the task that makes one model of several."""

from kfp import dsl


@dsl.component(base_image="lesionflow.invalid/sentinel", install_kfp_package=False)
def train(
    records: dsl.Input[dsl.Dataset],
    config: str,
    model: dsl.Output[dsl.Model],
    metrics: dsl.Output[dsl.Metrics],
):
    """Trains a malignant-or-benign classifier on prepared records.

    Args:
        records: Records artifact: TFRecord shards and manifest.json.
        config: Parameters of the step as JSON text, as the task check made them; with the name of the member, if any.

    Returns:
        model: Model artifact: model.keras, training_config.json, history.csv, val_probs.npz and more.
        metrics: Average precision and ROC-AUC of the best epoch on validation.
    """
    import json
    from pathlib import Path

    from components.common.artifacts.noted import note_digest, noted_path
    from components.common.runtime.session import step_session
    from components.train.config import TrainConfig
    from components.train.run import run

    values = json.loads(config)
    member = values.pop("member", "")
    with step_session(f"train {member}".strip()):
        result = run(TrainConfig.parse(values), noted_path(records), Path(model.path), member=bool(member))
        note_digest(model)
        for name in ("average_precision", "roc_auc", "best_epoch", "epochs"):
            metrics.log_metric(name, float(getattr(result, name)))


@dsl.component(base_image="lesionflow.invalid/sentinel", install_kfp_package=False)
def combine(
    members: dsl.Input[list[dsl.Model]],
    planned: list,
    how: str,
    model: dsl.Output[dsl.Model],
    metrics: dsl.Output[dsl.Metrics],
):
    """Makes one model of several: their mean, or the best of them on validation.

    Args:
        members: Model artifacts of the trainings.
        planned: The configuration of each training as JSON text, in the order of the members.
        how: mean or best.

    Returns:
        model: Model artifact, as train writes it.
        metrics: Average precision and ROC-AUC on validation: of the model, and the members' mean.
    """
    from pathlib import Path

    from components.common.artifacts.noted import note_digest, noted_path
    from components.common.runtime.session import step_session
    from components.train.combine import run

    with step_session("combine"):
        result = run([noted_path(one) for one in members], planned, how, Path(model.path))
        note_digest(model)
        for name, value in result.figures.items():
            metrics.log_metric(name, value)
