"""Leaves one fold of the training images out, so that the members of an ensemble differ in what they saw.

Cross-validation committees (Parmanto, Munro and Doyle 1996): each member trains without one fold and is
stopped by it, so its weights owe nothing to the validation split. That split stays the same for all
members: on it an ensemble can be calibrated and judged, since no member has seen it in any way. The scores
of the members on their own left-out folds could do neither: no fold is new to all members, so the
ensemble itself is never scored there, and the mean of several logits lies closer together than one
member's, so a threshold taken from single members' scores would not keep its promise.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from components.common.runtime.errors import DataError
from components.common.statistics.folds import TooFewGroupsError, deal_folds, order_by_hash
from components.train.records import ImageSource, Pixels, Rows, SplitData


@dataclass(frozen=True)
class SelectedImages:
    """Some images of another source, in the order of `positions`."""

    source: ImageSource
    positions: npt.NDArray[np.intp]

    def get(self, index: int) -> Pixels:
        """The image at a position of the selection."""
        return self.source.get(int(self.positions[index]))


def leave_out(data: SplitData, folds: int, fold: int) -> tuple[SplitData, SplitData]:
    """Divides the training images into what a member trains on and the fold it leaves out.

    The division depends on group ids and labels alone, so every member cuts the same images the same way,
    whatever its seed.

    Args:
        data: the training split.
        folds: how many folds.
        fold: the one to leave out, from 0.

    Returns:
        The other folds, and the fold.

    Raises:
        DataError: fewer malignant or benign groups than folds.
    """
    out = fold_of(data.rows, folds) == fold
    return _select(data, np.flatnonzero(~out)), _select(data, np.flatnonzero(out))


def fold_of(rows: Rows, folds: int) -> npt.NDArray[np.intp]:
    """(n,) fold of each image: groups stay whole, and each class is dealt out evenly, in the order of a hash.

    Raises:
        DataError: fewer malignant or benign groups than folds.
    """
    try:
        return deal_folds(rows.group_id, rows.label, folds, order_by_hash("lesionflow.folds"))
    except TooFewGroupsError as error:
        raise DataError(
            f"train has {error.groups} {error.kind} lesion groups, folds is {folds}; use fewer folds"
        ) from error


def _select(data: SplitData, positions: npt.NDArray[np.intp]) -> SplitData:
    rows = Rows(**{field.name: getattr(data.rows, field.name)[positions] for field in fields(Rows)})
    return SplitData(rows, SelectedImages(data.images, positions), data.cached)
