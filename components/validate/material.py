"""Which of a clinic's images the bundle is shown: labelled ones it has never seen; those without a label separately."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from components.common.artifacts.index import THUMBNAIL, WITHOUT_LABEL, Verdict
from components.common.artifacts.validation import Overlap
from components.common.bundle.fingerprints import BYTES, NEAR, Fingerprints
from components.common.imaging.picture_key import picture_keys
from components.common.runtime.errors import DataError

SAME_LESION = "lesion of such an image"
SEEN = "seen by the bundle"  # the reason they left, in the lineage
PATIENT = "patient_id"
_SHOWN = 5
_NAMED = 20


@dataclass(frozen=True)
class Material:
    """The rows of an index, sorted.

    Attributes:
        labelled: usable images with a label that the bundle has not seen, with their final groups.
        unlabelled: usable images without a usable label.
        unusable: rows whose file cannot be used, with or without a usable label.
        seen: images the bundle was trained or chosen on, and others of their lesions: image_id, how, part.
        overlap: the same, counted.
    """

    labelled: pd.DataFrame
    unlabelled: pd.DataFrame
    unusable: pd.DataFrame
    seen: pd.DataFrame
    overlap: Overlap


def sort_images(index: pd.DataFrame, known: Fingerprints | None) -> Material:
    """Sorts the rows of an index.

    Args:
        index: of ingest, with thumbnails.
        known: the bundle's fingerprints; None where it has none, and nothing is known to be seen.
    """
    whole = index[THUMBNAIL].map(len) > 0
    usable = index[whole & index["verdict"].isin([Verdict.OK, *WITHOUT_LABEL])].reset_index(drop=True)
    how, part = _seen(usable, known)
    also = (how == "") & usable["lesion_id"].isin(usable.loc[how != "", "lesion_id"])
    how = how.where(~also, SAME_LESION)
    left = usable[how == ""]
    labelled = left[left["verdict"] == Verdict.OK]
    overlap = Overlap(
        known=known is not None,
        pictures=known is not None and known.pictures_known,
        images=len(usable),
        bytes=int((how == BYTES).sum()),
        near_duplicates=int((how == NEAR).sum()),
        same_lesion=int(also.sum()),
        examples=usable.loc[how.isin([BYTES, NEAR]), "image_id"].head(_NAMED).tolist(),
    )
    return Material(
        labelled=labelled.assign(group_id=group_ids(labelled)).reset_index(drop=True),
        unlabelled=left[left["verdict"] != Verdict.OK].reset_index(drop=True),
        unusable=index[~index["image_id"].isin(usable["image_id"])].reset_index(drop=True),
        seen=usable.assign(how=how, part=part)[how != ""].reset_index(drop=True),
        overlap=overlap,
    )


def refuse_overlap(overlap: Overlap, most_pct: float) -> None:
    """Stops where the bundle has seen too many of the images it is to be validated on.

    Raises:
        DataError: counts and names.
    """
    share = 100 * overlap.seen / max(overlap.images, 1)
    if share > most_pct:
        raise DataError(
            f"the bundle was trained, chosen or adjusted on {overlap.seen} of {overlap.images} images ({share:.1f} %; "
            f"{overlap.bytes} by equal bytes, {overlap.near_duplicates} near-duplicates), at most {most_pct:g} % may "
            f"be: {', '.join(overlap.examples[:_SHOWN])}; validate on images from elsewhere, or raise "
            "max_overlap_pct to have them left out"
        )


def group_ids(rows: pd.DataFrame) -> pd.Series[str]:
    """The group of every row: images of one lesion, one patient or one file are resampled together."""
    columns = [name for name in ("lesion_id", PATIENT, "sha256") if name in rows]
    edges = [_joined(rows[name]) for name in columns]
    left, right = (np.concatenate(side) for side in zip(*edges, strict=True))
    graph = coo_array((np.ones(len(left), bool), (left, right)), shape=(len(rows), len(rows)))
    _, component = connected_components(graph, directed=False)
    return rows["lesion_id"].groupby(component).transform("min")


def units_of(columns: Sequence[str]) -> str:
    """What a group is, in the plural: patients where the table names them, else lesions."""
    return "patients" if PATIENT in columns else "lesions"


def _joined(values: pd.Series[str]) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of positions that join all rows of one value: the first with it and each other one."""
    position = pd.Series(np.arange(len(values)), index=values.index)
    first = position.groupby(values).transform("first")
    known = (values != "").to_numpy()
    return first.to_numpy()[known], position.to_numpy()[known]


def _seen(usable: pd.DataFrame, known: Fingerprints | None) -> tuple[pd.Series[str], pd.Series[str]]:
    if known is None:
        nothing = pd.Series("", index=usable.index, dtype="str")
        return nothing, nothing
    found = known.seen(usable["sha256"], picture_keys(usable[THUMBNAIL]))
    return found["how"], found["part"]
