"""The published split of HAM10000: how it is made, and how its images and the split itself are recognised."""

from __future__ import annotations

import hashlib

import pandas as pd

from components.common.runtime.errors import DataError

SEED = 42
SHA256 = "4382b8227db36acf393866e070b0458536eef45dd377003fbfdb5b9ddc1be53f"  # of `image_id,split`
_IMAGES = "4c4086051a1a36f6a355b740d129c5057574d0ca8ed8b817b0550da30fda3b70"  # of the 10,015 sorted image ids


def is_ham10000(image_id: pd.Series) -> bool:
    """Whether these are the ids of HAM10000's images, all of them and no others."""
    return hashlib.sha256("".join(f"{one}\n" for one in sorted(image_id)).encode()).hexdigest() == _IMAGES


def reference_split(rows: pd.DataFrame) -> pd.Series:
    """70 / 15 / 15 by lesion, stratified by the label of the lesion's first image, seed 42.

    Returns:
        train, val or test, labelled as `rows`.

    Raises:
        DataError: too few lesions of a label.
    """
    from sklearn.model_selection import train_test_split

    label = rows.groupby("group_id")["label"].first()
    how = {"random_state": SEED}
    try:
        _, rest = train_test_split(label, test_size=0.30, stratify=label, **how)
        val, test = train_test_split(rest, test_size=0.5, stratify=rest, **how)
    except ValueError as error:
        raise DataError(f"recipe reference: {len(label)} lesions cannot be divided ({error})") from error
    split = pd.Series("train", label.index)
    split[val.index], split[test.index] = "val", "test"
    return rows["group_id"].map(split)
