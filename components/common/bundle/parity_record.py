"""`parity.json` and `formats.json` of a bundle: how far what is served differs from the model it was made from."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

from components.common.artifacts.estimate import Estimate
from components.common.artifacts.json_file import Count, Document, FileDocument, Number
from components.common.bundle import layout


class Agreement(Document):
    """Two sides that predicted the same images.

    Attributes:
        images: how many.
        max_probability_difference: largest difference in probability.
        changed_decisions: images that were decided otherwise.
        tolerance: largest difference in probability that is accepted.
        refused: images refused as not dermoscopic; None where nobody looked, as in bundles that refuse nothing.
        changed_refusals: images refused on one side only; None as above.
        max_distance_difference: largest difference in distance from the training images; None as above.
    """

    images: Count
    max_probability_difference: Number
    changed_decisions: Count
    tolerance: Number
    refused: Count | None = None
    changed_refusals: Count | None = None
    max_distance_difference: Number | None = None


class BundleAgreement(Agreement):
    """The bundle and its Keras model, or an adjusted bundle and its parent.

    Attributes:
        max_logit_difference: largest difference in the raw logit.
    """

    max_logit_difference: Number


class FormatFile(Agreement):
    """A file for runtimes without TensorFlow, compared with the bundle's SavedModel.

    Attributes:
        file: its name.
        sha256: of the file, in hex.
        bytes: its size.
        latency_p50_ms: milliseconds that one prepared image takes, median, on one CPU core of the exporting machine.
        latency_p95_ms: the same, 95th percentile.
        input: what it takes.
        policy_id: the decision policy inside.
        outputs: names of what it gives.
        unreadable: decision for an image that cannot be read.
    """

    file: str
    sha256: str
    bytes: Count
    latency_p50_ms: Number
    latency_p95_ms: Number
    input: str
    policy_id: str
    outputs: list[str]
    unreadable: int


class Preparation(Document):
    """Difference in raw logit between images as training prepared them and as the bundle does.

    Attributes:
        images: how many were compared.
        mean_logit_shift: mean difference, serving minus training.
        mean_absolute_logit_shift: mean of its size.
        p95_absolute_logit_shift: 95th percentile of its size.
        max_absolute_logit_shift: its largest size.
        changed_decisions: images that were decided otherwise.
        bound_mean_absolute: largest accepted mean of its size.
        bound_changed_decisions: largest accepted share of changed decisions.
    """

    images: Count
    mean_logit_shift: Number
    mean_absolute_logit_shift: Number
    p95_absolute_logit_shift: Number
    max_absolute_logit_shift: Number
    changed_decisions: Count
    bound_mean_absolute: Number
    bound_changed_decisions: Number


class GainEstimate(Estimate):
    """A gain; the interval is left out where none is computed."""

    lower: Number | None = None
    upper: Number | None = None


class Gain(Document):
    """One figure without and with test-time augmentation."""

    before: Number
    after: Number
    gain: GainEstimate


class Augmentation(Document):
    """What test-time augmentation gains on validation, at the policy's calibrator and threshold.

    Attributes:
        images: how many.
        changed_decisions: images that are decided otherwise with it.
        log_loss: of the probabilities.
        average_precision: of the scores; None where one class is absent, as for the figures below.
        roc_auc: of the scores.
        sensitivity: per image.
        specificity: per image.
    """

    images: Count
    changed_decisions: Count
    log_loss: Gain
    average_precision: Gain | None = None
    roc_auc: Gain | None = None
    sensitivity: Gain | None = None
    specificity: Gain | None = None


class Parity(FileDocument):
    """Content of `parity.json`.

    Attributes:
        images_from: whether validation images were compared, or generated ones because export was given no split.
        parity: the bundle against its Keras model; an adjusted bundle against its parent.
        preparation: serving against training; None without a split.
        augmentation: None without test-time augmentation.
        parent: parity of the bundle that this one adjusts; None for one that was exported.
    """

    FILE: ClassVar[str] = layout.PARITY
    SCHEMA: ClassVar[str] = "lesionflow.parity/1"

    images_from: Literal["validation", "generated"]
    parity: BundleAgreement
    preparation: Preparation | None = None
    augmentation: Augmentation | None = None
    parent: Parity | None = None


class Formats(FileDocument):
    """Content of `formats.json`: each further file, by its format."""

    FILE: ClassVar[str] = layout.FORMATS
    SCHEMA: ClassVar[str] = "lesionflow.formats/1"

    formats: dict[str, FormatFile]


def read_formats(bundle: Path) -> dict[str, FormatFile]:
    """The further files of a bundle, by their format; empty where it has none.

    Raises:
        ArtifactError: `formats.json` is damaged.
    """
    return Formats.read(bundle).formats if (bundle / layout.FORMATS).is_file() else {}
