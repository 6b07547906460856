"""Train: from records to the best model, its validation scores, and everything needed to reproduce it."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.common.artifacts.folder import Artifact, new_artifact, open_artifact
from components.common.artifacts.json_file import write_atomic
from components.common.artifacts.model import (
    ENVIRONMENT,
    HISTORY,
    NETWORK,
    TRAINING_CONFIG,
    VAL_SCORES,
    ModelFacts,
    write_record,
)
from components.common.artifacts.records_manifest import RecordsManifest, read_manifest
from components.common.artifacts.scores import Scores, save_scores
from components.common.runtime.errors import DataError, TrainingError
from components.common.runtime.session import CHECKPOINT_ROOT_VARIABLE, RUN_ID_VARIABLE
from components.common.statistics.numeric import sigmoid
from components.common.storage.store import join
from components.train.augmentation import Augmentation
from components.train.backend import prepare_backend
from components.train.checkpoint import CheckpointStore, identity_of, run_facts
from components.train.class_balance import loss_weights, write_balance
from components.train.config import TrainConfig
from components.train.device import Device, dtype_policy, find_device, log_device
from components.train.epoch_report import Watcher, history_csv
from components.train.feed import Pictures, TrainFeed
from components.train.folds import leave_out
from components.train.metrics import ValidationMetrics
from components.train.records import Rows, SplitData, dx_classes, load_split
from components.train.reproducibility import environment_record, seed_everything
from components.train.sigterm import StopRequest

log = logging.getLogger(__name__)

_NO_RANKING = 0.6  # ROC-AUC; a model that predicts one class for everything and ranks no better than this is useless
_ONE_SCORE = 1e-6  # range of logits that rounding alone makes


@dataclass(frozen=True)
class TrainResult:
    """The outcome of training.

    Attributes:
        out: the model artifact.
        epochs: epochs done.
        best_epoch: the epoch whose weights were kept, counted from 1; 0 is the state after head warm-up.
        average_precision: its exact average precision on validation.
        roc_auc: its area under the ROC curve on validation.
    """

    out: Path
    epochs: int
    best_epoch: int
    average_precision: float
    roc_auc: float


def run(
    config: TrainConfig, records: Path, out: Path, *, member: bool = False, watch: Watcher | None = None
) -> TrainResult:
    """Trains a network and writes the model artifact.

    The same command resumes a stopped or killed run from the checkpoint in `config.checkpoint_dir`; on a cluster
    that is a folder of the run's own, see `checkpoint_place`.

    Args:
        config: parameters.
        records: a records artifact.
        out: folder for the model artifact.
        member: one training of several in this run, which keep their checkpoints apart.
        watch: called with each finished row of the history; what it raises ends the training.

    Raises:
        ArtifactError: damaged records, weights that do not fit, or a checkpoint of another run.
        ConfigError: a layer name or weights file that does not exist.
        DataError: a split is empty or holds one class only.
        StoppedError: SIGTERM; exit code 75, the state is saved.
        TrainingError: diverged twice, or the model cannot tell the classes apart.
    """
    artifact = open_artifact(records, "records")
    backend = prepare_backend(deterministic=config.deterministic)
    device = find_device(backend)
    policy = dtype_policy(config.precision, device.compute_capability)
    log_device(device, policy)
    with (
        new_artifact(out, "model", {"records": artifact.digest}) as folder,
        StopRequest() as stop,
        _training_log(folder / "train.log"),
    ):
        store = _checkpoints(config, artifact, policy, backend, member=member)
        return _train(config, artifact, folder, out, device, policy, store, stop, watch)


def _checkpoints(config: TrainConfig, records: Artifact, policy: str, backend: str, *, member: bool) -> CheckpointStore:
    """Where this training saves; the name of a member's folder is a hash of what decides its result."""
    facts = run_facts(config, records.digest, policy, backend)
    place = checkpoint_place(config)
    if member and place:
        place = join(place, f"member-{identity_of(facts)[:16]}")
    return CheckpointStore(place, facts, config.checkpoint_minutes)


def _train(
    config: TrainConfig,
    records: Artifact,
    folder: Path,
    out: Path,
    device: Device,
    policy: str,
    store: CheckpointStore,
    stop: StopRequest,
    also: Watcher | None,
) -> TrainResult:
    import keras

    from components.train.fused_norm import fuse_batch_norm
    from components.train.loop import score_split
    from components.train.network import build_network
    from components.train.replicas import make_strategy, scope, share_batch_statistics
    from components.train.tensorboard import scalar_writer

    manifest = read_manifest(records.path)
    classes = dx_classes(manifest)
    train, val, stop_by = _read(config, records)
    start = store.load()
    seed_everything(config.seed, deterministic=config.deterministic)
    previous = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        strategy = make_strategy(device, min(config.batch_size, len(train.rows)))
        with scope(strategy):
            network = build_network(config, classes)
            share_batch_statistics(network.classifier, shared=strategy is not None)
            if keras.backend.backend() == "tensorflow" and (device.kind, policy, strategy) == ("cpu", "float32", None):
                fuse_batch_norm(network.classifier)
            watchers = [scalar_writer(folder / "tensorboard"), *([also] if also else [])]
            trained, shown, judged = _what_is_trained(config, network, classes, train, stop_by)
            loop = _loop(config, trained, train, shown, judged, store, policy, device, watchers, strategy)
        if start is None and config.head_epochs:
            from components.train.head_warmup import warm_up_head

            warm_up_head(config, network, train, loss_weights(config.class_balance, train.rows.label))
        scored = loop.run(start, stop)
        if config.folds or config.frozen_views:
            scored = score_split(network, val, config)
    finally:
        keras.config.set_dtype_policy(previous)
    metrics, logit = scored.metrics, scored.logit
    refuse_constant(metrics, logit)
    share_batch_statistics(network.classifier, shared=False)
    _save_network(folder, config, manifest, classes, network)
    _save_validation(folder, val.rows, logit)
    write_record(folder, TRAINING_CONFIG, config.model_dump(mode="json"))
    write_balance(folder, config.class_balance, train.rows.label)
    write_record(folder, ENVIRONMENT, environment_record(device, policy, keras.backend.backend()))
    write_atomic(folder / HISTORY, history_csv(loop.state.history))
    return TrainResult(out, loop.state.epoch, loop.state.best_epoch, metrics.average_precision, metrics.roc_auc)


def _read(config: TrainConfig, records: Artifact) -> tuple[SplitData, SplitData, SplitData]:
    """Training images, validation images, and what the run is judged by: validation, or the fold left out."""
    train, val = (load_split(records.path, name, config.height_width, config.cache) for name in ("train", "val"))
    stop_by = val
    if config.folds:
        train, stop_by = leave_out(train, config.folds, config.fold)
        log.info(
            "fold %d (of 0 to %d) is left out: in the lines of the epochs, val means its %d images",
            config.fold,
            config.folds - 1,
            len(stop_by.rows),
        )
    for name, data in (("train", train), ("val", val)):
        _need_both_classes(name, data)
    return train, val, stop_by


def checkpoint_place(config: TrainConfig) -> str:
    """Where the checkpoint is: the parameter, else the folder the cluster gives each run, else nowhere."""
    root, run_id = os.environ.get(CHECKPOINT_ROOT_VARIABLE), os.environ.get(RUN_ID_VARIABLE)
    return config.checkpoint_dir or (f"{root.rstrip('/')}/{run_id}" if root and run_id else "")


def _what_is_trained(
    config: TrainConfig, network: Any, classes: Mapping[str, int], train: SplitData, val: SplitData
) -> tuple[Any, Augmentation | Pictures, SplitData]:
    """The network and its images; or what follows the frozen layers, and what those make of the images."""
    how = Augmentation(
        config.augment_rotation,
        config.augment_zoom,
        config.augment_shift,
        config.augment_flip,
        config.augment_brightness,
        config.augment_contrast,
    )
    if not config.frozen_views:
        return network, how, val
    from components.train.frozen_views import compute_views
    from components.train.network import cut_network

    prefix, tail = cut_network(network, config, classes)
    return tail, *compute_views(prefix, train, val, config, how)


def _loop(
    config: TrainConfig,
    network: Any,
    train: SplitData,
    shown: Augmentation | Pictures,
    val: SplitData,
    store: CheckpointStore,
    policy: str,
    device: Device,
    watchers: Sequence[Watcher],
    strategy: Any,
) -> Any:
    from components.train.loop import Loop
    from components.train.steps import make_optimizer, make_train_step
    from components.train.weight_average import WeightAverage

    weights = loss_weights(config.class_balance, train.rows.label)
    feed = TrainFeed(train, config.batch_size, config.seed, shown, weights, config.feed_threads)
    log.info(
        "%s: %s parameters, %d images per step, %d steps per epoch, loss weights %.3f benign, %.3f malignant",
        config.architecture,
        f"{network.scorer.count_params():,}",
        feed.batch_size,
        feed.steps,
        *weights,
    )
    optimizer = make_optimizer(config, network, policy)
    # XLA helps on a GPU; on a CPU it is many times slower, it has no deterministic mode, and does not sum over replicas
    xla = device.kind == "gpu" and not config.deterministic and strategy is None
    step = make_train_step(config, network, optimizer, compile_xla=xla, strategy=strategy)
    average = WeightAverage(network.classifier.variables, config.average)
    return Loop(config, network, optimizer, step, feed, val, average, store, watchers)


def _save_network(
    folder: Path, config: TrainConfig, manifest: RecordsManifest, classes: Mapping[str, int], network: Any
) -> None:
    """Writes `model.keras`, and in `model.json` what serving must know to prepare an image for it."""
    network.scorer.save(folder / NETWORK)
    ModelFacts(
        architecture=config.architecture,
        image_size=config.height_width,
        target=config.target,
        classes=tuple(classes) if config.target == "diagnosis" else (),
        record_size=manifest.record_size,
        jpeg_quality=manifest.jpeg_quality,
        parameters=int(network.scorer.count_params()),
    ).save(folder)


def _save_validation(folder: Path, rows: Rows, logit: npt.NDArray[np.float64]) -> None:
    """Writes `val_probs.npz`; the probability is the plain sigmoid, calibration comes later."""
    scores = Scores(rows.image_id, rows.lesion_id, rows.group_id, rows.label, logit, sigmoid(logit))
    save_scores(folder / VAL_SCORES, scores)


@contextmanager
def _training_log(path: Path) -> Iterator[None]:
    """Copies log lines of this process into `train.log`: a pod's own log goes when the pod goes."""
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(levelname)-7s %(message)s"))
    logger = logging.getLogger("components")
    level = logger.level
    if not logger.isEnabledFor(logging.INFO):
        logger.setLevel(logging.INFO)  # the terminal may be set to be quiet; the file is complete all the same
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.setLevel(level)
        logger.removeHandler(handler)
        handler.close()


def _need_both_classes(name: str, data: SplitData) -> None:
    malignant = int((data.rows.label == 1).sum())
    if malignant in (0, len(data.rows)):
        raise DataError(
            f"split {name}: {malignant} of {len(data.rows)} images are malignant; both classes are needed: divide the "
            "images again, with larger shares or more data"
        )


def refuse_constant(metrics: ValidationMetrics, logit: npt.NDArray[np.float64]) -> None:
    """Refuses a degenerate model: one prediction for every image.

    Raises:
        TrainingError: all predictions are one class and the scores hardly rank, or all scores are equal.
    """
    rate = metrics.predicted_positive_rate
    if np.ptp(logit) < _ONE_SCORE or (rate in (0.0, 1.0) and metrics.roc_auc < _NO_RANKING):
        what = "gives the same score to" if 0.0 < rate < 1.0 else f"predicts {_class_of(rate)} for"
        raise TrainingError(
            f"degenerate model: {what} every validation image (logits {logit.min():.3g} to {logit.max():.3g}, "
            f"ROC-AUC {metrics.roc_auc:.3f}): train longer, lower learning_rate, or give pretrained weights"
        )


def _class_of(rate: float) -> str:
    return "malignant" if rate > 0.5 else "benign"
