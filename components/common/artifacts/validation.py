"""The validation artifact: a finished bundle on another clinic's images.

Validate writes it, recalibrate reads it. `external_probs.npz` holds the scores of the labelled images as every scores
file does, with the ids of the clinic; `validation.json` what the first screen of the report says.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from components.common.artifacts.estimate import Estimate
from components.common.artifacts.folder import Artifact, open_artifact
from components.common.artifacts.json_file import Count, Document, Number, read_record, write_json
from components.common.artifacts.scores import Scores, load_scores

FILE = "validation.json"
SCHEMA = "lesionflow.validation/1"
EXTERNAL_SCORES = "external_probs.npz"
UNLABELLED = "unlabelled.csv"
OVERLAP = "overlap.csv"

Answer = Literal["holds", "does not hold", "too few", "nothing promised"]
FigureKey = Literal["roc_auc", "sensitivity", "specificity", "calibration_intercept", "calibration_slope"]


class Compared(Document):
    """One figure in both places.

    Attributes:
        name: which.
        there: on the bundle's internal test; None where the bundle does not carry it.
        here: on the clinic's images.
        difference: here minus there, two independent sets.
        standardised: here, with the internal test's mix of diagnoses; None without diagnoses.
        standardised_difference: that minus there.
    """

    name: FigureKey
    there: Estimate | None
    here: Estimate
    difference: Estimate | None
    standardised: Estimate | None
    standardised_difference: Estimate | None


class Verdict(Document):
    """Whether the promised sensitivity holds, one image per malignant group counted.

    Attributes:
        answer: holds where the one-sided lower bound reaches the target, does not hold where the upper bound is below.
        sentence: the answer for people.
        target: promised sensitivity; None where the policy promises none.
        delta: one minus the confidence of each bound.
        found: malignant groups whose first image is predicted malignant.
        of: malignant groups.
        lower: one-sided Clopper-Pearson bound at 1 - delta.
        upper: the other one.
        more: malignant groups that would decide it at this rate; None where decided or out of reach.
    """

    answer: Answer
    sentence: str
    target: Number | None
    delta: Number
    found: Count
    of: Count
    lower: Number
    upper: Number
    more: Count | None


class Size(Document):
    """How much stands behind the figures of one place."""

    images: Count
    malignant: Count
    groups: Count
    malignant_groups: Count


class Overlap(Document):
    """What the bundle has seen of these images.

    Attributes:
        known: whether the bundle carries fingerprints at all.
        pictures: whether near-duplicates could be recognised, not equal bytes alone.
        images: images that were compared.
        bytes: of those, with the bytes of a training or validation image.
        near_duplicates: with other bytes and the same picture.
        same_lesion: further images of lesions with such an image, left out with them.
        examples: image ids, the first ones.
    """

    known: bool
    pictures: bool
    images: Count
    bytes: Count
    near_duplicates: Count
    same_lesion: Count
    examples: list[str]

    @property
    def seen(self) -> int:
        """Images the bundle was trained or chosen on."""
        return self.bytes + self.near_duplicates

    @property
    def left_out(self) -> int:
        """All that is left out for it."""
        return self.seen + self.same_lesion


class DiagnosisShare(Document):
    """One diagnosis in both places; `weight` is share there / share here, 0 where the internal test lacks it."""

    diagnosis: str
    there: Number
    here: Number
    weight: Number


class CaseMix(Document):
    """How the diagnoses differ.

    Attributes:
        diagnoses: of both places, the most common there first.
        represented: share of the internal test whose diagnosis is here at all.
        effective: effective number of images after weighting (Kish 1965).
    """

    diagnoses: list[DiagnosisShare]
    represented: Number
    effective: Number


class Labelling(Document):
    """What counts as malignant here.

    Attributes:
        policy: label policy of this table.
        unlike: diagnoses that the bundle was trained to see otherwise, each `akiec: benign here, malignant there`.
        unknown: diagnoses the bundle was never shown, images by diagnosis.
    """

    policy: str
    unlike: list[str]
    unknown: dict[str, Count]


class Validation(Document):
    """The content of `validation.json`.

    Attributes:
        site: name of the clinic, as given.
        policy_id: the decision policy that was measured.
        bundle: digest of the bundle.
        here: size of this validation.
        there: size of the internal test; None where it is unknown.
        verdict: on the promised sensitivity.
        figures: in both places.
        overlap: with what the bundle has seen.
        refused: images without a prediction (not readable, or referred by the bundle's own check), by reason.
        refused_share: share of the labelled images that were shown to it.
        refuses: what the bundle says of its own check for pictures that are not dermoscopy; empty: an earlier version.
        refusal_reliable: whether it was seen to tell them; False also where nothing is checked.
        unlabelled: images without a usable label, which are scored apart, by reason.
        mix: diagnoses in both places; None where one side has none.
        labelling: what counts as malignant.
    """

    site: str
    policy_id: str
    bundle: str
    here: Size
    there: Size | None
    verdict: Verdict
    figures: list[Compared]
    overlap: Overlap
    refused: dict[str, Count]
    refused_share: Number
    refuses: str = ""
    refusal_reliable: bool = True
    unlabelled: dict[str, Count]
    mix: CaseMix | None
    labelling: Labelling

    def save(self, folder: Path) -> None:
        """Writes `validation.json`."""
        write_json(folder / FILE, {"schema": SCHEMA, **self.model_dump()})


def open_validation(path: Path) -> tuple[Artifact, Validation, Scores]:
    """Opens a validation artifact; every file is hashed.

    Returns:
        The artifact, what it says, and the scores of the clinic's labelled images.

    Raises:
        ArtifactError: not a validation artifact, or a file of it is damaged.
    """
    artifact = open_artifact(path, "validation")
    record = read_record(path / FILE, SCHEMA, Validation, "validate the bundle again")
    return artifact, record, load_scores(path / EXTERNAL_SCORES)
