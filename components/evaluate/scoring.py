"""Scoring the test split: original image bytes into the shipped bundle, one row per image."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd

from components.common.artifacts.index import Verdict, check_unchanged
from components.common.artifacts.policy import DecisionPolicy
from components.common.artifacts.scores import Scores
from components.common.artifacts.split import Split, read_split
from components.common.bundle import layout
from components.common.runtime.errors import ArtifactError, DataError, LesionflowError
from components.common.runtime.events import progress
from components.common.runtime.ordered import chunks, ordered_map
from components.evaluate.subgroups import TEXT_COLUMNS

_READERS = 4
_TOLERANCE = 1e-5


class Predictor(Protocol):
    """A bundle: image bytes in, predictions out."""

    @property
    def policy(self) -> DecisionPolicy:
        """The policy beside the graph."""
        ...

    def predict(self, images: Sequence[bytes]) -> Any:
        """Predictions for a batch."""
        ...


def open_split(folder: Path) -> Split:
    """Reads a split artifact and refuses one whose test lesions are also in train or validation.

    Raises:
        ArtifactError: a file or column is missing.
        DataError: no usable test image, or a group or lesion in test and elsewhere.
    """
    split = read_split(folder)
    refuse_overlap(split.rows)
    test = split.part("test")
    if not len(split.usable("test")):
        raise DataError(f"{folder}: {len(test)} test images, none usable; expected at least one")
    return split


def lost_images(part: pd.DataFrame) -> list[dict[str, str]]:
    """The images of a part of the split that cannot be used, each with its verdict."""
    lost = part[part["verdict"] != Verdict.OK]
    return [
        {"image_id": image_id, "reason": verdict}
        for image_id, verdict in zip(lost["image_id"], lost["verdict"], strict=True)
    ]


def refuse_overlap(rows: pd.DataFrame) -> None:
    """Refuses rows whose test groups or lesions are in another split too.

    Raises:
        DataError: names an example.
    """
    test = rows["split"] == "test"
    for other in ("val", "train"):
        for column in ("group_id", "lesion_id", "image_id"):
            both = set(rows.loc[test, column]) & set(rows.loc[rows["split"] == other, column])
            if both:
                raise DataError(
                    f"{len(both)} values of {column} are in test and in {other}, for example {min(both)!r}: figures on "
                    "this test set would be too good; make the split again"
                )


def score(
    bundle: Predictor, test: pd.DataFrame, batch_size: int, what: str = "test"
) -> tuple[Scores, list[dict[str, str]]]:
    """Runs the bundle on every test image.

    Args:
        bundle: what predicts.
        test: the images: image_id, lesion_id, group_id, label, uri, sha256.
        batch_size: images sent to the bundle at once.
        what: what the images are called in errors.

    Returns:
        The scores, and the images the bundle could not read with the reason.

    Raises:
        ArtifactError: the predictions contradict the policy beside the graph.
        DataError: an image cannot be fetched or has changed since ingest, or none could be read.
    """
    predictions = []
    # the next batch is read while the bundle works on this one
    listed = list(zip(test["uri"], test["sha256"], strict=True))
    files = ordered_map(listed, partial(_read, what), _READERS, ahead=-(-2 * batch_size // _READERS))
    with progress(f"{what} images", len(test)) as bar:
        for batch in chunks((data for _, data in files), batch_size):
            predictions.append(bundle.predict(batch))
            bar.advance(len(batch), note=f"batch {len(predictions)}")
    names = ("probability", "logit", "decision", "policy_id", "status", "distance")
    joined = {name: np.concatenate([getattr(one, name) for one in predictions]) for name in names}
    read = joined["decision"] != -1
    unread = [
        {"image_id": str(i), "reason": str(s) or "not readable"}
        for i, s in zip(test["image_id"][~read], joined["status"][~read], strict=True)
    ]
    if not read.any():
        example = f"{unread[0]['image_id']} ({unread[0]['reason']})"
        raise DataError(f"the bundle could read none of {len(test)} {what} images, for example {example}; use others")
    check_predictions(bundle.policy, {name: column[read] for name, column in joined.items()})
    rows = test[read]
    image, lesion, group = (rows[name].to_numpy(dtype=np.str_) for name in ("image_id", "lesion_id", "group_id"))
    logit, probability, distance = (
        joined[name][read].astype(np.float64) for name in ("logit", "probability", "distance")
    )
    refused = joined["status"][read] == layout.STATUSES[layout.NOT_DERMOSCOPY]
    # a refused image has a logit only; figures of the network's ranking count it all the same
    probability = np.where(refused, bundle.policy.probability(logit), probability)
    label = rows["label"].to_numpy(np.int8)
    if (distance == layout.NO_DISTANCE).all():
        return Scores(image, lesion, group, label, logit, probability), unread
    return Scores(image, lesion, group, label, logit, probability, distance, refused), unread


def check_predictions(policy: DecisionPolicy, predicted: dict[str, Any]) -> None:
    """Compares the graph's predictions with the policy file: same id, same probability, same decision.

    Raises:
        ArtifactError: they differ: the graph was built with another policy.
    """
    other = predicted["policy_id"][predicted["policy_id"] != policy.policy_id]
    if len(other):
        raise ArtifactError(
            f"the bundle's graph holds policy {str(other[0])!r}, decision_policy.json is "
            f"{policy.policy_id!r}: export again"
        )
    logit = predicted["logit"].astype(np.float64)
    refused = predicted["status"] == layout.STATUSES[layout.NOT_DERMOSCOPY]
    sent = (predicted["decision"] == layout.REFER) & (predicted["probability"] == layout.NO_PROBABILITY)
    if (refused & ~sent).any():
        raise ArtifactError("the bundle decides on images that it refuses as not dermoscopic: export again")
    apart = np.where(refused, 0, np.abs(policy.probability(logit) - predicted["probability"]))
    if not (apart <= _TOLERANCE).all():
        raise ArtifactError(
            f"the bundle's probability differs from its policy's by {np.nanmax(apart):.2g}, expected at most "
            f"{_TOLERANCE:g}: export again"
        )
    wrong = (predicted["decision"] != 2) & ((predicted["decision"] == 1) != policy.decide(logit))
    if wrong.any():
        i = int(np.argmax(wrong))
        raise ArtifactError(
            f"the bundle decides {predicted['decision'][i]} at logit {logit[i]:.6g}, its policy says "
            f"{int(policy.decide(logit)[i])} (threshold {policy.threshold_logit:.6g}; {wrong.sum()} such images): "
            "export again"
        )


def slice_columns(rows: pd.DataFrame) -> dict[str, Any]:
    """(n,) columns of the table that slices are cut by, as they go into `test_probs.npz`."""
    out: dict[str, Any] = {
        name: rows[name].fillna("unknown").astype(str).to_numpy(dtype=np.str_)
        for name in TEXT_COLUMNS.values()
        if name in rows
    }
    if "age" in rows:
        out["age"] = rows["age"].to_numpy(np.float64)
    return out


def _read(what: str, file: tuple[str, str]) -> bytes:
    from components.common.imaging.picture import read_picture

    uri, sha256 = file
    try:
        data = read_picture(uri)
    except (OSError, LesionflowError) as error:
        raise DataError(f"{what} image {uri}: cannot be read ({error}); check the image root") from error
    check_unchanged(data, sha256, f"{what} image {uri}")
    return data
