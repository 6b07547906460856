"""A division: rows of an index and the split of each."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from components.common.arrow import column, from_numpy, to_numpy
from components.common.artifacts.split import SPLITS
from components.split.texts import Encoded, encode

_NAMES = column(SPLITS, pa.string()).chunk(0)

Codes = npt.NDArray[np.int8]


@dataclass(frozen=True)
class Division:
    """Rows divided into splits.

    Attributes:
        rows: image_id, lesion_id, group_id, label, and where known dx, sex, localization, age, dataset.
        code: position in `SPLITS` of each row.
    """

    rows: pa.Table
    code: Codes

    @cached_property
    def label(self) -> npt.NDArray[np.int8]:
        """0 (benign) or 1 (malignant) of each row."""
        return labels(self.rows)

    @cached_property
    def group(self) -> Encoded:
        """The groups, numbered."""
        return encode(self.rows["group_id"])

    @cached_property
    def lesion(self) -> Encoded:
        """The lesions, numbered."""
        lesion = self.rows["lesion_id"]
        return self.group if lesion.equals(self.rows["group_id"]) else encode(lesion)

    def distinct(self, column: Encoded) -> npt.NDArray[np.int64]:
        """How many values of a column are in each split."""
        met = np.zeros((len(SPLITS), len(column.names)), bool)
        met[self.code, column.codes] = True
        return np.asarray(met.sum(axis=1), np.int64)

    def per_split(self, chosen: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
        """How many of the chosen rows are in each split."""
        return np.bincount(self.code[chosen], minlength=len(SPLITS))

    def split_names(self, at: npt.NDArray[Any] | slice = slice(None)) -> pa.Array:
        """The names of the splits of rows `at`, as texts."""
        return pa.DictionaryArray.from_arrays(from_numpy(self.code[at]), _NAMES).cast(pa.string())


def labels(rows: pa.Table) -> npt.NDArray[np.int8]:
    """The labels of rows that all have one."""
    return to_numpy(rows["label"]).astype(np.int8)
