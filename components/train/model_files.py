"""Writes the files of a model artifact, and keeps the log and the TensorBoard scalars while training runs."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt

from components.common.artifacts.model import NETWORK, VAL_SCORES, ModelFacts
from components.common.artifacts.records_manifest import RecordsManifest
from components.common.artifacts.scores import Scores, save_scores
from components.common.statistics.numeric import sigmoid
from components.train.config import TrainConfig
from components.train.network import Network
from components.train.records import Rows


def model_facts(
    config: TrainConfig, manifest: RecordsManifest, classes: Mapping[str, int], network: Network
) -> ModelFacts:
    """What serving must know to prepare an image for this network."""
    return ModelFacts(
        architecture=config.architecture,
        image_size=config.height_width,
        target=config.target,
        classes=tuple(classes) if config.target == "diagnosis" else (),
        record_size=manifest.record_size,
        jpeg_quality=manifest.jpeg_quality,
        parameters=int(network.scorer.count_params()),
    )


def save_validation(folder: Path, rows: Rows, logit: npt.NDArray[np.float64]) -> None:
    """Writes `val_probs.npz`; the probability is the plain sigmoid, calibration comes later."""
    scores = Scores(rows.image_id, rows.lesion_id, rows.group_id, rows.label, logit, sigmoid(logit))
    save_scores(folder / VAL_SCORES, scores)


def save_model(folder: Path, network: Network, facts: ModelFacts) -> None:
    """Writes `model.keras` and `model.json`."""
    network.scorer.save(folder / NETWORK)
    facts.save(folder)


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
