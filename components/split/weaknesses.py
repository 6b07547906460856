"""What is weak about a split, in sentences with numbers, for the log, the record and the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from components.common.artifacts.split import SPLITS, Groups
from components.split.groups import group_sentence

_POINTS = 10.0  # distance of a split's malignant share from the whole's
_FEW_MALIGNANT = 30  # images; with fewer the report calls intervals and slices insufficient


def weaknesses(
    counts: Mapping[str, Mapping[str, int]],
    shares: Mapping[str, Mapping[str, float]],
    groups: Groups,
    doubtful: Sequence[Sequence[str]],
    treated: str,
) -> list[str]:
    """Every weakness of a split.

    Args:
        counts: `SplitRecord.counts`.
        shares: the audit's `class_shares`.
        groups: what the groups are.
        doubtful: pairs of near-duplicates with different labels.
        treated: parameter `contradictions`: drop or keep.
    """
    found = _ids(groups, sum(one["images"] for one in counts.values())) + _splits(counts, shares)
    if doubtful:
        left = "their images are left out" if treated == "drop" else "they were kept on request"
        found.append(f"{len(doubtful)} pairs of near-duplicates have different labels; {left}")
    return found


def _ids(groups: Groups, images: int) -> list[str]:
    found = []
    if not groups.known:
        found.append(
            "lesions and patients are unknown: the table has no ids of either, so that images of one lesion may be in "
            "both train and test, and the figures too good; add a column lesion_id or patient_id"
        )
    elif groups.images_without_ids:
        found.append(
            f"{groups.images_without_ids} of {images} images have neither a lesion nor a patient id: two of them "
            "may show the same lesion, in different splits"
        )
    if groups.patients_across_splits:
        found.append(
            f"{groups.patients_across_splits} patients have images in several splits, because the groups are made of "
            f"{', '.join(groups.joined_by)} only; group by patient_id as well (split.group_by)"
        )
    if (sentence := group_sentence(groups, images)) is not None:
        found.append(sentence)
    return found


def _splits(counts: Mapping[str, Mapping[str, int]], shares: Mapping[str, Mapping[str, float]]) -> list[str]:
    found = []
    overall = 100 * shares["all"]["malignant_share"]
    for split in SPLITS:
        error = shares[split]["error_points"]
        if abs(error) >= _POINTS:
            found.append(f"{split} is {overall + error:.1f} % malignant, all images together are {overall:.1f} %")
    for split in ("val", "test"):
        if counts[split]["malignant"] < _FEW_MALIGNANT:
            found.append(
                f"{split} holds {counts[split]['malignant']} malignant images; with fewer than {_FEW_MALIGNANT} "
                "sensitivity and its interval say little"
            )
    return found
