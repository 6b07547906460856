"""Which images a bundle refuses: distances of training and validation images, and the limit between them and the rest.

Only the network, training images and validation images decide. Generated pictures that are not dermoscopy are shown to
the finished check to see how well it works with this network; nothing is fitted or chosen on them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from components.common.artifacts.split import read_split
from components.common.bundle.preprocessing import Preparation
from components.common.bundle.refusal import ALPHA, Accepted, Refusal, Shown
from components.common.imaging import inspect
from components.common.runtime.events import progress
from components.common.runtime.ordered import chunks, ordered_map
from components.common.statistics.conformal import lesions_needed
from components.common.statistics.outliers import distances, fit_gaussian, upper_limit
from components.export.familiar import Familiar
from components.export.outside_pictures import MAKERS, made
from components.export.parity import fetch, sources_of, spread
from components.export.resizing import resize_reference

log = logging.getLogger(__name__)
_BATCH = 25
_READERS = 8
_FEWEST = 50  # training images
_MOST_VALIDATION = 5000  # images; more would narrow the limit by less than a group in a thousand
_SHOWN = 24  # pictures of each kind

Pixels = npt.NDArray[np.uint8]
Features = list[npt.NDArray[np.float32]]


def learn_refusal(
    network: Any | None, split: Path | None, how: Preparation, reference_images: int
) -> tuple[Familiar | None, Refusal]:
    """Learns what a dermoscopic image is for a network.

    Args:
        network: with pooled features; None where it has no maps to take them from.
        split: split artifact; None where there is none.
        how: what happens to an image before the network sees it.
        reference_images: training images to measure distances from; 0 for no check.

    Returns:
        What the graph needs, or None, and the record of it; a check that cannot be made is recorded with its reason.

    Raises:
        DataError: an image cannot be read any more.
    """
    if reference_images == 0:
        return _unchecked("switched off by reference_images 0")
    if network is None:
        return _unchecked("the network has no feature maps to take features from")
    if split is None:
        return _unchecked("export was given no split, so neither training nor validation images")
    rows = read_split(split, ["uri", "verdict", "sha256"])
    train, val = spread(rows.usable("train"), reference_images), _whole_groups(rows.usable("val"))
    if len(train) < _FEWEST:
        return _unchecked(f"{len(train)} readable training images, {_FEWEST} are needed")
    groups, needed = val["group_id"].nunique(), lesions_needed(ALPHA)
    if groups < needed:
        return _unchecked(f"{groups} lesion groups in validation, {needed} are needed to limit refusals to 1 %")
    features_of = _compiled(network)
    with progress("learning what dermoscopic images look like", len(train) + len(val)) as bar:
        known = _features(features_of, _prepared(train, how), bar.advance)
        gaussians = [fit_gaussian(one.astype(np.float64)) for one in known]
        accepted = _features(features_of, _prepared(val, how), bar.advance)
    distance = distances(gaussians, accepted).astype(np.float64)
    group_id = val["group_id"].to_numpy(dtype=np.str_)
    limit = upper_limit(distance, group_id, ALPHA)
    assert limit is not None  # there are groups enough
    familiar = Familiar(gaussians, float(np.float32(limit)))
    record = Refusal(
        status="checked",
        features=[len(one.mean) for one in gaussians],
        reference_images=len(train),
        limit=familiar.limit,
        validation=Accepted(
            images=len(val),
            groups=groups,
            refused_images=int((distance > familiar.limit).sum()),
            refused_groups=len(np.unique(group_id[distance > familiar.limit])),
            quantiles=np.quantile(distance, np.linspace(0, 1, 101)).tolist(),
        ),
        generated=_shown(familiar, features_of, how),
    )
    _log(record)
    return familiar, record


def _unchecked(reason: str) -> tuple[None, Refusal]:
    log.warning("the bundle will not refuse pictures that are not dermoscopy: %s", reason)
    return None, Refusal(status="not_checked", reason=reason)


def _whole_groups(rows: pd.DataFrame) -> pd.DataFrame:
    """All rows, or those of so many groups, evenly over their ids, that few more than `_MOST_VALIDATION` are left."""
    groups = np.sort(rows["group_id"].unique())
    keep = groups[:: max(1, len(rows) // _MOST_VALIDATION)]
    return rows[rows["group_id"].isin(set(keep))].sort_values("image_id")


def _compiled(network: Any) -> Callable[[npt.NDArray[np.float32]], Features]:
    import tensorflow as tf

    spec = tf.TensorSpec([None, *network.input_shape[1:]], tf.float32)
    function = tf.function(lambda pixels: network(pixels, training=False)[1:], [spec])
    return lambda pixels: [np.asarray(one) for one in function(pixels)]


def _prepared(rows: pd.DataFrame, how: Preparation) -> Iterable[Pixels]:
    read = ordered_map(sources_of(rows), lambda one: _resized(inspect.decode_rgb(fetch(one)), how), _READERS)
    return (pixels for _, pixels in read)


def _resized(rgb: Pixels, how: Preparation) -> Pixels:
    return resize_reference(rgb, how.record_size, how.image_size)


def _features(
    features_of: Callable[[npt.NDArray[np.float32]], Features],
    images: Iterable[Pixels],
    advance: Callable[[int], Any] = lambda done: None,
) -> Features:
    parts: list[Features] = []
    for batch in chunks(images, _BATCH):
        parts.append(features_of(np.stack(batch).astype(np.float32)))
        advance(len(batch))
    return [np.concatenate(depth) for depth in zip(*parts, strict=True)]


def _shown(
    familiar: Familiar, features_of: Callable[[npt.NDArray[np.float32]], Features], how: Preparation
) -> dict[str, Shown]:
    found = {}
    for kind in MAKERS:
        pictures: Sequence[Pixels] = [_resized(rgb, how) for rgb in made(kind, _SHOWN)]
        distance = distances(familiar.gaussians, _features(features_of, pictures))
        found[kind] = Shown(images=_SHOWN, refused=int((~(distance <= familiar.limit)).sum()))
    return found


def _log(record: Refusal) -> None:
    accepted, shown = record.validation, record.generated.values()
    assert accepted is not None
    log.info(
        "refused as not dermoscopy beyond a distance of %.3f: %d of %d validation groups (at most 1 %%), %d of %d "
        "generated pictures that are not dermoscopic",
        record.limit,
        accepted.refused_groups,
        accepted.groups,
        sum(one.refused for one in shown),
        sum(one.images for one in shown),
    )
    if not record.reliable:
        log.warning(
            "this network does not reliably tell dermoscopic images from others; the card and every report say so"
        )
