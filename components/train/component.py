"""Train as a KFP component."""

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
    options: dict = {},  # noqa: B006 - kfp copies defaults into the compiled file
):
    """Train a malignant-or-benign classifier on prepared records.

    Args:
        records: Records artifact: TFRecord shards and manifest.json.
        model: Model artifact: model.keras, training_config.json, history.csv, val_probs.npz and more.
        metrics: Average precision and ROC-AUC of the best epoch on validation.
        architecture: Backbone, such as efficientnet_lite0, resnet50 or small_cnn.
        weights: Pretrained weights: imagenet, none, a path or a gs:// URI.
        image_size: Height x width in pixels, such as 224x224 or 144x192.
        epochs: Most epochs; early stopping may end before.
        batch_size: Images per step, over all GPUs of the pod.
        learning_rate: Peak learning rate of AdamW.
        seed: Seed of everything random.
        options: Further parameters by name, such as {"precision": "bfloat16"}.
    """
    from pathlib import Path

    from components.common.runtime.session import step_session
    from components.train.config import TrainConfig
    from components.train.run import run

    named = {"architecture": architecture, "weights": weights, "image_size": image_size, "epochs": epochs}
    rest = {"batch_size": batch_size, "learning_rate": learning_rate, "seed": seed}
    with step_session("train"):
        result = run(TrainConfig.parse({**options, **named, **rest}), Path(records.path), Path(model.path))
        for name in ("average_precision", "roc_auc", "best_epoch", "epochs"):
            metrics.log_metric(name, float(getattr(result, name)))
