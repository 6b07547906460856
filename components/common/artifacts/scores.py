"""Scores: one row per image with its label, raw logit and probability; `val_probs.npz`, `test_probs.npz`."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.common.artifacts.npz import read_npz, write_npz
from components.common.runtime.errors import ArtifactError, DataError
from components.common.storage import store

TEST_SCORES = "test_probs.npz"  # of an evaluation; a model artifact's stand in artifacts.model
_TEXT = ("image_id", "lesion_id", "group_id")
_COLUMNS = (*_TEXT, "label", "logit", "probability")
_REFUSAL = ("distance", "refused")  # of a bundle that refuses what is not dermoscopy


@dataclass(frozen=True)
class Scores:
    """Scores of n images, in the order of the split.

    Attributes:
        image_id: (n,) text, unique.
        lesion_id: (n,) text.
        group_id: (n,) text; images of one group are never resampled apart.
        label: (n,) int8, 1 = malignant.
        logit: (n,) float64, the model's raw malignant logit.
        probability: (n,) float64 in [0, 1]; uncalibrated in `val_probs.npz`, calibrated in `test_probs.npz`.
        distance: (n,) float64 from the training images; None where it was not measured.
        refused: (n,) bool, refused as not a dermoscopic image, which goes to a person whatever its probability; None
            where nothing is refused.
    """

    image_id: npt.NDArray[np.str_]
    lesion_id: npt.NDArray[np.str_]
    group_id: npt.NDArray[np.str_]
    label: npt.NDArray[np.int8]
    logit: npt.NDArray[np.float64]
    probability: npt.NDArray[np.float64]
    distance: npt.NDArray[np.float64] | None = None
    refused: npt.NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        """Checks shapes and values.

        Raises:
            ArtifactError: names the column and the first bad image.
        """
        n = self.image_id.size
        for name in (*_COLUMNS, *self._measured):
            column = getattr(self, name)
            if column.shape != (n,):
                raise ArtifactError(f"scores: column {name} has shape {column.shape}, expected ({n},)")
        if n == 0:
            raise ArtifactError("scores: no rows, expected one per image; make them again")
        self._refuse(~np.isin(self.label, (0, 1)), "label", "0 or 1")
        self._refuse(~np.isfinite(self.logit), "logit", "a finite number")
        p = self.probability
        self._refuse(~((p >= 0) & (p <= 1)), "probability", "a number in [0, 1]")
        ids, counts = np.unique(self.image_id, return_counts=True)
        if len(ids) != n:
            raise ArtifactError(
                f"scores: image_id {str(ids[counts > 1][0])!r} appears {counts.max()} times, expected once"
            )

    def _refuse(self, bad: npt.NDArray[np.bool_], name: str, expected: str) -> None:
        if bad.any():
            i = int(np.argmax(bad))
            received = getattr(self, name)[i]
            raise ArtifactError(
                f"scores: {name} of image {self.image_id[i]} is {received}, expected {expected} ({bad.sum()} such rows)"
            )

    def __len__(self) -> int:
        return len(self.image_id)

    @property
    def _measured(self) -> list[str]:
        return [name for name in _REFUSAL if getattr(self, name) is not None]

    @property
    def not_dermoscopy(self) -> npt.NDArray[np.bool_]:
        """(n,) whether an image was refused; False where nothing is."""
        return np.zeros(len(self), bool) if self.refused is None else self.refused

    def decided_by(self, score: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """(n,) a score to compare with thresholds: a refused image is above all, since it goes to a person.

        Args:
            score: (n,) the logit or the probability.
        """
        return np.where(self.not_dermoscopy, np.inf, score)

    def take(self, rows: npt.NDArray[np.intp]) -> Scores:
        """The scores at some positions, in their order."""
        return Scores(**{name: getattr(self, name)[rows] for name in (*_COLUMNS, *self._measured)})

    def numbered(self) -> Scores:
        """These scores with numbers that stand for nothing in place of ids, for a bundle to carry."""
        width = len(str(len(self)))  # zeros in front keep the order of the ids, and with it every resample of groups
        lesion, group = (
            np.char.zfill(np.unique(ids, return_inverse=True)[1].astype(np.str_), width)
            for ids in (self.lesion_id, self.group_id)
        )
        return replace(self, image_id=np.arange(len(self)).astype(np.str_), lesion_id=lesion, group_id=group)

    def first_row_per_group(self) -> npt.NDArray[np.intp]:
        """Row of the first image of each label in each group, in split order.

        Images of one group are not independent evidence. A group that is a patient may hold both labels; each is
        then evidence about its own class.
        """
        _, group = np.unique(self.group_id, return_inverse=True)
        return np.sort(np.unique(2 * group + self.label, return_index=True)[1])

    def first_image_per_group(self) -> Scores:
        """The scores of `first_row_per_group`: one image per group and label."""
        return self.take(self.first_row_per_group())

    def rows_of(self, image_id: npt.NDArray[np.str_]) -> npt.NDArray[np.intp]:
        """(k,) row of each of the given images; -1 for an image that these scores lack."""
        order = np.argsort(self.image_id, kind="stable")
        place = np.minimum(np.searchsorted(self.image_id[order], image_id), len(self) - 1)
        rows = order[place]
        return np.where(self.image_id[rows] == image_id, rows, -1)

    def aligned_to(self, reference: Scores) -> Scores:
        """These scores in the order of `reference`, which must hold the same images with the same labels.

        Raises:
            ArtifactError: counts the images in common and names one that is not, or whose label differs.
        """
        rows = self.rows_of(reference.image_id)
        if len(self) != len(reference) or (rows < 0).any():
            odd = np.setxor1d(self.image_id, reference.image_id)
            raise ArtifactError(
                f"{len(self)} images against {len(reference)}, {int((rows >= 0).sum())} in common (for example "
                f"{str(odd[0])!r} is in one only)"
            )
        found = self.take(rows)
        other = found.label != reference.label
        if other.any():
            i = int(np.argmax(other))
            raise ArtifactError(
                f"label {found.label[i]} for image {str(found.image_id[i])!r} against {reference.label[i]} "
                f"({int(other.sum())} such images)"
            )
        return found


def save_scores(path: Path, scores: Scores, extra: Mapping[str, npt.NDArray[Any]] | None = None) -> None:
    """Writes an .npz that numpy.load reads without pickle; equal scores give equal bytes.

    Args:
        path: the file.
        scores: the columns every reader knows.
        extra: further (n,) columns of text or numbers, such as what slices are cut by; other readers ignore them.
    """
    columns = {name: getattr(scores, name) for name in (*_COLUMNS, *scores._measured)}
    for name, column in sorted((extra or {}).items()):
        if name in columns or column.shape != (len(scores),):
            raise ArtifactError(f"scores: extra column {name} has shape {column.shape}, expected ({len(scores)},)")
        columns[name] = column
    write_npz(path, columns)


def load_extra(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Reads the columns beyond those of `Scores`, each as long as they are.

    Raises:
        ArtifactError: missing or damaged file, pickled objects, or a column of another length.
    """
    columns = _read(path)
    rows = columns["image_id"].size if "image_id" in columns else None
    extra = {name: column for name, column in columns.items() if name not in (*_COLUMNS, *_REFUSAL)}
    for name, column in extra.items():
        if column.shape != (rows,):
            raise ArtifactError(f"{path}: scores: column {name} has shape {column.shape}, expected ({rows},)")
    return extra


def _read(path: Path) -> dict[str, npt.NDArray[Any]]:
    """All columns of an .npz, in its order."""
    try:
        return read_npz(path)
    except FileNotFoundError as error:
        raise ArtifactError(f"{path}: no such file; expected scores (.npz)") from error
    except ValueError as error:
        raise ArtifactError(f"{path}: not readable as scores ({error}); make them again") from error


def load_scores(path: Path) -> Scores:
    """Reads and checks scores.

    Raises:
        ArtifactError: missing file or column, pickled objects, or values that are not scores.
    """
    columns = _read(path)
    missing = [name for name in _COLUMNS if name not in columns]
    if missing:
        raise ArtifactError(f"{path}: columns {missing} are missing; expected {list(_COLUMNS)}: make them again")
    text = {name: columns[name].astype(np.str_) for name in _TEXT}
    try:
        number = {name: columns[name].astype(np.float64) for name in ("label", "logit", "probability")}
        # a plain cast would turn 256 and 0.5 into 0: both must stay wrong, so that they are refused
        whole = np.where(number["label"] == np.rint(number["label"]), number["label"], -1)
        label = np.clip(whole, -128, 127).astype(np.int8)
        return Scores(
            **text,
            label=label,
            logit=number["logit"],
            probability=number["probability"],
            distance=columns["distance"].astype(np.float64) if "distance" in columns else None,
            refused=columns["refused"].astype(np.bool_) if "refused" in columns else None,
        )
    except ValueError as error:
        raise ArtifactError(f"{path}: a column of numbers holds something else ({error}); make them again") from error
    except ArtifactError as error:
        raise ArtifactError(f"{path}: {error}") from error


def fetch_scores(uri: str) -> Scores:
    """Reads scores from a path or URI: the file, or an evaluation's folder on this machine.

    Raises:
        DataError: it cannot be fetched.
        ArtifactError: see `load_scores`.
    """
    if store.is_local(uri):
        path = store.local_path(uri)
        return load_scores(path / TEST_SCORES if path.is_dir() else path)
    with tempfile.TemporaryDirectory() as folder:
        try:
            return load_scores(store.fetch(uri, Path(folder)))
        except OSError as error:
            raise DataError(f"scores {uri}: cannot be read ({error}); give a readable {TEST_SCORES}") from error
