"""Writes the files of a model artifact, and keeps the log and the TensorBoard scalars while training runs."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.common.artifacts.folder import write_json
from components.common.artifacts.records_manifest import RecordsManifest
from components.common.artifacts.scores import Scores, save_scores
from components.common.statistics.numeric import sigmoid
from components.train.config import TrainConfig
from components.train.network import Network
from components.train.records import Rows

MODEL_SCHEMA = "lesionflow.model/1"
CONFIG_SCHEMA = "lesionflow.training_config/1"


def model_record(
    config: TrainConfig, manifest: RecordsManifest, classes: Mapping[str, int], network: Network
) -> dict[str, Any]:
    """Content of `model.json`: what serving must know to prepare an image for this network."""
    return {
        "schema": MODEL_SCHEMA,
        "architecture": config.architecture,
        "image_size": list(config.height_width),
        "target": config.target,
        "classes": list(classes) if config.target == "diagnosis" else [],
        "record_size": manifest.record_size,
        "jpeg_quality": manifest.jpeg_quality,
        "parameters": int(network.scorer.count_params()),
    }


def config_record(config: TrainConfig) -> dict[str, Any]:
    """Content of `training_config.json`: every parameter after defaults."""
    return {"schema": CONFIG_SCHEMA, **config.model_dump(mode="json")}


def save_validation(path: Path, rows: Rows, logit: npt.NDArray[np.float64]) -> None:
    """Writes `val_probs.npz`; the probability is the plain sigmoid, calibration comes later."""
    scores = Scores(rows.image_id, rows.lesion_id, rows.group_id, rows.label, logit, sigmoid(logit))
    save_scores(path, scores)


def save_model(folder: Path, network: Network, record: Mapping[str, Any]) -> None:
    """Writes `model.keras` and `model.json`."""
    network.scorer.save(folder / "model.keras")
    write_json(folder / "model.json", record)


@contextmanager
def training_log(path: Path) -> Iterator[None]:
    """Copies log lines of this process into `train.log`: a pod's own log goes when the pod goes."""
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(levelname)-7s %(message)s"))
    logger = logging.getLogger("components")
    level = logger.level
    if not logger.isEnabledFor(logging.INFO):
        logger.setLevel(logging.INFO)  # whoever runs the step may want a quiet terminal, the file stays complete
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.setLevel(level)
        logger.removeHandler(handler)
        handler.close()
