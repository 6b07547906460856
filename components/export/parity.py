"""Is the bundle the model? The Keras path and the reloaded bundle predict the same images.

Two questions, kept apart. Parity: image bytes decoded and resized in Python, the Keras model and the
decision policy in NumPy, against the reloaded SavedModel; only float rounding may differ. Preparation:
the validation logits that training recorded, on which the threshold was chosen, against the bundle's.
Both start from the original bytes (`imaging.picture`), so a difference comes from OpenCV's bilinear
weights, from mixed precision in training, or from records that another version made.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import numpy as np
import numpy.typing as npt
import pandas as pd

from components.common.artifacts.index import check_unchanged
from components.common.artifacts.policy import DecisionPolicy
from components.common.artifacts.scores import Scores
from components.common.artifacts.split import read_split
from components.common.bundle import layout
from components.common.bundle.load import Bundle
from components.common.bundle.parity_record import BundleAgreement, Preparation
from components.common.imaging import inspect
from components.common.imaging.picture import read_picture
from components.common.runtime.errors import ArtifactError, DataError
from components.common.runtime.events import progress
from components.common.runtime.ordered import chunks, ordered_map
from components.export.config import ExportConfig
from components.export.resizing import resize_reference

_BATCH = 25
_READERS = 8
_ROUNDING = 1e-3  # of a distance
KerasOutputs = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float32]]


@dataclass(frozen=True)
class Source:
    """One image to compare on: its id, where its original bytes are, and their sha256; empty for a generated one."""

    image_id: str
    uri: str
    sha256: str = ""


@dataclass(frozen=True)
class Compared:
    """Predictions of both sides for n images.

    Attributes:
        image_id: (n,) text.
        keras_logit: (n,) float64 from the Python path, with the bundle's test-time augmentation.
        plain_logit: (n,) float64 from the Python path without augmentation.
        bundle_logit: (n,) float64.
        bundle_probability: (n,) float64.
        bundle_decision: (n,) int.
        bundle_status: (n,) text.
        keras_distance: (n,) from the training images, from the Python path; -1 where it is not measured.
        bundle_distance: (n,) the same from the bundle.
        pixels: (n, h, w, 3) uint8, what the network saw on the Python path.
    """

    image_id: npt.NDArray[np.str_]
    keras_logit: npt.NDArray[np.float64]
    plain_logit: npt.NDArray[np.float64]
    bundle_logit: npt.NDArray[np.float64]
    bundle_probability: npt.NDArray[np.float64]
    bundle_decision: npt.NDArray[np.int64]
    bundle_status: npt.NDArray[np.str_]
    keras_distance: npt.NDArray[np.float32]
    bundle_distance: npt.NDArray[np.float32]
    pixels: npt.NDArray[np.uint8]


def validation_sources(split: Path, limit: int) -> list[Source]:
    """Up to `limit` readable validation images, spread evenly over the split in order of their ids.

    Raises:
        ArtifactError: there is none.
    """
    val = read_split(split, ["uri", "verdict", "sha256"]).usable("val")
    if val.empty:
        raise ArtifactError(
            f"{split}: holds no readable validation image to compare bundle and model on; make a split that has some"
        )
    return sources_of(spread(val, limit))


def spread(rows: pd.DataFrame, limit: int) -> pd.DataFrame:
    """Up to `limit` rows of a split, evenly over the image ids and in their order."""
    rows = rows.sort_values("image_id")
    chosen = np.unique(np.linspace(0, len(rows) - 1, min(limit, len(rows))).round().astype(int))
    return rows.iloc[chosen]


def sources_of(rows: pd.DataFrame) -> list[Source]:
    """The images in rows of a split."""
    return [Source(*one) for one in zip(rows["image_id"], rows["uri"], rows["sha256"], strict=True)]


def compare(
    sources: Sequence[Source],
    predict: Callable[[npt.NDArray[np.float32]], KerasOutputs],
    bundle: Bundle,
    read: Callable[[str], bytes] = read_picture,
) -> Compared:
    """Predicts every image on both sides.

    Args:
        sources: the images.
        predict: the Keras model: float32 [n, H, W, 3] to raw logits [n] with augmentation and without, and distances
            [n], -1 where they are not measured.
        bundle: the reloaded bundle.
        read: bytes of a URI.

    Raises:
        ArtifactError: the bundle cannot read an image that ingest accepted.
        DataError: an image cannot be fetched, or is another than ingest saw.
    """
    how = bundle.preprocessing
    keras: list[KerasOutputs] = []
    served, prepared = [], []
    with progress("parity: Keras model against bundle", len(sources)) as bar:
        read_ahead = ordered_map(sources, lambda source: fetch(source, read), _READERS)
        for some in chunks(read_ahead, _BATCH):
            batch, files = [source for source, _ in some], [data for _, data in some]
            served.append(bundle.predict(files))
            for source, status in zip(batch, served[-1].status.tolist(), strict=True):
                if status not in layout.READ:
                    raise ArtifactError(
                        f"{source.uri}: ingest accepted this image, the bundle says {status!r}; set min_side and "
                        "max_megapixels so that it is read, or report this image as an error of lesionflow"
                    )
            pixels = [resize_reference(inspect.decode_rgb(data), how.record_size, how.image_size) for data in files]
            prepared.append(np.stack(pixels))
            keras.append(predict(prepared[-1].astype(np.float32)))
            bar.advance(len(files))
    return Compared(
        image_id=np.array([source.image_id for source in sources]),
        keras_logit=np.concatenate([logit for logit, _, _ in keras]),
        plain_logit=np.concatenate([plain for _, plain, _ in keras]),
        bundle_logit=np.concatenate([reply.logit for reply in served]).astype(np.float64),
        bundle_probability=np.concatenate([reply.probability for reply in served]).astype(np.float64),
        bundle_decision=np.concatenate([reply.decision for reply in served]).astype(np.int64),
        bundle_status=np.concatenate([reply.status for reply in served]),
        keras_distance=np.concatenate([distance for _, _, distance in keras]),
        bundle_distance=np.concatenate([reply.distance for reply in served]),
        pixels=np.concatenate(prepared),
    )


def parity_report(
    compared: Compared, policy: DecisionPolicy, config: ExportConfig, limit: float | None = None
) -> BundleAgreement:
    """Numbers of the parity check.

    Args:
        compared: predictions of both sides.
        policy: the decision policy.
        config: the tolerances.
        limit: distance beyond which images are refused; None where none is.

    Raises:
        ArtifactError: probabilities differ by more than the tolerance, a decision differs, or an image is refused on
            one side only.
    """
    refused = compared.bundle_status == layout.STATUSES[layout.NOT_DERMOSCOPY]
    wanted = compared.keras_distance > (np.inf if limit is None else limit)
    # a refused image has no probability; its logit has
    probability = np.where(refused, policy.probability(compared.bundle_logit), compared.bundle_probability)
    difference = np.abs(policy.probability(compared.keras_logit) - probability)
    expected = expected_decisions(policy, compared.keras_logit)
    expected[refused] = layout.REFER
    flips = int((expected != compared.bundle_decision).sum())
    worst = int(np.argmax(difference))
    images = len(compared.image_id)
    refusals = refusal_differences(compared.keras_distance, compared.bundle_distance, (wanted, refused), limit)
    if refusals["changed_refusals"]:
        raise ArtifactError(
            f"bundle and Keras model disagree on what is a dermoscopic image: {refusals['changed_refusals']} of "
            f"{images} images are refused on one side only, distances differ by up to "
            f"{refusals['max_distance_difference']:.3g}"
        )
    if flips or not difference[worst] <= config.parity_tolerance:
        raise ArtifactError(
            f"bundle and Keras model disagree on {images} images: largest difference in probability "
            f"{difference[worst]:.3g} (image {compared.image_id[worst]}, allowed {config.parity_tolerance:g}), "
            f"{flips} changed decisions (allowed 0)"
        )
    return BundleAgreement(
        images=images,
        max_probability_difference=float(difference[worst]),
        max_logit_difference=float(np.abs(compared.keras_logit - compared.bundle_logit).max()),
        changed_decisions=flips,
        tolerance=config.parity_tolerance,
        **refusals,
    )


class RefusalDifferences(TypedDict):
    """What two sides refuse: the fields of `Agreement` of these names."""

    refused: int
    changed_refusals: int
    max_distance_difference: float


def refusal_differences(
    expected: npt.NDArray[np.float32],
    received: npt.NDArray[np.float32],
    refused: tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]],
    limit: float | None,
) -> RefusalDifferences:
    """How far distances differ, and how many images are refused on one side only.

    An image whose expected distance is within rounding of the limit may be refused or not.

    Args:
        expected: (n,) distances.
        received: (n,) distances from the other side.
        refused: (n,) what each side refuses.
        limit: distance beyond which images are refused; None where none is.
    """
    clear = np.abs(expected - (limit or np.inf)) > _ROUNDING * (limit or 1)
    wrong = refused[0] != refused[1]
    far = np.abs(expected - received) > _ROUNDING * np.maximum(expected, 1)
    return {
        "refused": int(refused[1].sum()),
        "changed_refusals": int((wrong & clear | far).sum()),
        "max_distance_difference": float(np.abs(expected - received).max()),
    }


def expected_decisions(policy: DecisionPolicy, logit: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Decisions in the bundle's terms: 1 malignant, 0 benign, 2 inside the abstain band."""
    decision = policy.decide(logit).astype(np.int64)
    if policy.abstain is not None:
        p = policy.probability(logit)
        decision[(p > policy.abstain["low"]) & (p < policy.abstain["high"])] = layout.REFER
    return decision


def preparation_report(
    compared: Compared, recorded: Scores, policy: DecisionPolicy, config: ExportConfig
) -> Preparation:
    """Difference between training-time and serving-time preparation of the same images, in logits.

    Without augmentation on either side: what that changes is not the preparation's doing.

    Raises:
        ArtifactError: no image in common, or the difference is out of the bounds in `config`.
    """
    rows = recorded.rows_of(compared.image_id)
    common = rows >= 0
    if not common.any():
        raise ArtifactError(
            "none of the compared validation images is in the model's val_probs.npz; "
            "give the split that the model was trained on"
        )
    trained = recorded.logit[rows[common]]
    served = compared.plain_logit[common]
    shift = served - trained
    size = np.abs(shift)
    changed = int((policy.decide(served) != policy.decide(trained)).sum())
    report = Preparation(
        images=int(common.sum()),
        mean_logit_shift=float(shift.mean()),
        mean_absolute_logit_shift=float(size.mean()),
        p95_absolute_logit_shift=float(np.quantile(size, 0.95)),
        max_absolute_logit_shift=float(size.max()),
        changed_decisions=changed,
        bound_mean_absolute=config.max_logit_shift,
        bound_changed_decisions=config.max_changed_decisions,
    )
    if not size.mean() <= config.max_logit_shift or changed > config.max_changed_decisions * common.sum():
        raise ArtifactError(
            f"images prepared for serving differ too much from those used in training, on {report.images} images: "
            f"mean absolute difference in logit {size.mean():.3g} (max_logit_shift allows {config.max_logit_shift:g}), "
            f"{changed} changed decisions (max_changed_decisions allows {config.max_changed_decisions:g} of them); "
            "make records and model again with one version of lesionflow, or train with precision float32"
        )
    return report


def fetch(source: Source, read: Callable[[str], bytes] = read_picture) -> bytes:
    """The original bytes of an image.

    Raises:
        DataError: they cannot be read any more, or are not those ingest saw.
    """
    try:
        data = read(source.uri)
    except OSError as error:
        raise DataError(
            f"image {source.uri}: cannot be read any more ({error}); put it back, or ingest and split again"
        ) from error
    if source.sha256:
        check_unchanged(data, source.sha256, f"image {source.uri}")
    return data
