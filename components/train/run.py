"""Training: records in, a model artifact out."""

from __future__ import annotations

import csv
import hashlib
import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from components.common.artifacts import new_artifact, open_artifact, write_atomic, write_json
from components.common.class_weight import ClassWeight
from components.common.decision import sigmoid
from components.common.errors import DataError
from components.common.scores import Scores, save_scores
from components.train.balance import balance_record, label_weights
from components.train.checkpoint import State, load_state, save_state
from components.train.config import TrainConfig
from components.train.examples import Examples, load_examples, read_manifest

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainResult:
    """A finished training.

    Attributes:
        out: the model artifact.
        epochs: epochs done.
        best_epoch: the epoch whose weights were kept, counted from 1.
        average_precision: its exact average precision on validation.
        roc_auc: its area under the ROC curve on validation.
    """

    out: Path
    epochs: int
    best_epoch: int
    average_precision: float
    roc_auc: float


def run(config: TrainConfig, records: Path, out: Path) -> TrainResult:
    """Trains a model on a records artifact.

    Raises:
        DataError: unreadable records or weights, or a class that is absent.
        TrainingError: NaN that could not be recovered, or a constant model.
        ArtifactError: a checkpoint that belongs to something else.
    """
    source = open_artifact(records, "records")
    manifest = read_manifest(records)
    fingerprint = hashlib.sha256(
        (source.digest + config.model_dump_json(exclude={"checkpoint_dir"})).encode()
    ).hexdigest()
    with new_artifact(out, "model", {"records": source.digest}) as folder, _log_file(folder / "train.log"):
        # TensorFlow takes seconds to import: only now, after everything cheap has been checked
        from components.train.device import environment_record, prepare_device
        from components.train.loop import Trainer
        from components.train.network import build_network
        from components.train.tensorboard import scalar_writer

        device = prepare_device(config)
        counts = ClassWeight.from_counts(manifest["splits"]["train"]["label_counts"])
        train, val = (load_examples(records, split, config.height_width) for split in ("train", "val"))
        if len(set(val.label.tolist())) < 2:
            raise DataError(f"{records}: validation holds one class only; split again with more lesions")
        network = build_network(config, manifest["dx_classes"])
        checkpoints = Path(config.checkpoint_dir) if config.checkpoint_dir else None
        write_scalars = scalar_writer(folder / "tensorboard")

        def after_epoch(state: State) -> None:
            write_scalars(state.history[-1])
            if checkpoints:
                save_state(checkpoints, state, fingerprint)

        labels = list(manifest["dx_classes"].values())
        trainer = Trainer(config, network, train, val, label_weights(config, counts), labels, after_epoch)
        state = trainer.run((checkpoints and load_state(checkpoints, fingerprint)) or State())
        _write(folder, config, manifest, network.scoring, trainer.score(val.images), val, state)
        write_json(folder / "class_weight.json", balance_record(config, counts))
        write_json(folder / "environment.json", environment_record(device))
    best = max(state.history, key=lambda row: row["val_average_precision"])
    return TrainResult(out, state.epoch, best["epoch"], best["val_average_precision"], best["val_roc_auc"])


def _write(
    folder: Path, config: TrainConfig, manifest: dict[str, Any], model: Any, logit: Any, val: Examples, state: State
) -> None:
    model.save(folder / "model.keras")
    write_json(folder / "training_config.json", {"schema": "lesionflow.training_config/1", **config.model_dump()})
    write_json(
        folder / "model.json",
        {
            "schema": "lesionflow.model/1",
            "architecture": config.architecture,
            "image_size": list(config.height_width),
            "target": config.target,
            "record_size": manifest["record_size"],
            "jpeg_quality": manifest["jpeg_quality"],
            "parameters": int(model.count_params()),
        },
    )
    write_atomic(folder / "history.csv", history_csv(state.history))
    scores = Scores(
        val.image_id, val.lesion_id, val.group_id, val.label, np.asarray(logit, np.float64), sigmoid(logit)
    )  # fmt: skip
    save_scores(folder / "val_probs.npz", scores)
    log.info("kept the weights of average precision %.4f, %d parameters", state.best_value, model.count_params())


def history_csv(history: list[dict[str, Any]]) -> str:
    """History as CSV, one row an epoch, LF line ends."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(history[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    return buffer.getvalue()


@contextmanager
def _log_file(path: Path) -> Iterator[None]:
    """Also writes the log into the artifact: a pod's log goes when the pod goes."""
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S"))
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
        handler.close()
