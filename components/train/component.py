"""The KFP interface of training."""

from kfp import dsl


@dsl.component(base_image="lesionflow.invalid/sentinel", install_kfp_package=False)
def train(
    records: dsl.Input[dsl.Dataset],
    model: dsl.Output[dsl.Model],
    metrics: dsl.Output[dsl.Metrics],
    architecture: str = "efficientnet_lite0",
    weights: str = "none",
    image_size: str = "224x224",
    epochs: int = 20,
    batch_size: int = 32,
    learning_rate: float = 4e-4,
    seed: int = 42,
    options: dict = {},  # noqa: B006 - kfp copies the default into the compiled file
):
    """Trains a backbone with one malignant logit; keeps the epoch with the best exact average precision.

    Args:
        records: TFRecord shards with their manifest.
        model: Model, history, validation scores, configuration and environment.
        metrics: Validation figures of the kept epoch.
        architecture: Backbone by name.
        weights: Pretrained weights: imagenet, none, a path or a URI.
        image_size: HEIGHTxWIDTH in pixels that the network sees.
        epochs: Most epochs.
        batch_size: Images per step.
        learning_rate: Peak learning rate.
        seed: Seed of everything random in training.
        options: Further parameters of training by name.
    """
    from pathlib import Path

    from components.common.session import step_session
    from components.train.config import TrainConfig
    from components.train.run import run

    with step_session("train"):
        named = {"architecture": architecture, "weights": weights, "image_size": image_size, "epochs": epochs}
        rest = {"batch_size": batch_size, "learning_rate": learning_rate, "seed": seed}
        result = run(TrainConfig.parse({**options, **named, **rest}), Path(records.path), Path(model.path))
        for name in ("average_precision", "roc_auc", "best_epoch", "epochs"):
            metrics.log_metric(name, float(getattr(result, name)))
