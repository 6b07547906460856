"""Notes in the test ledger that a test set is about to be opened."""

from __future__ import annotations

import os

from components.common.artifacts.ledger import Opening, append, now
from components.common.runtime.session import CHECKPOINT_ROOT_VARIABLE
from components.common.runtime.source import commit_text


def note_opening(ledger: str, split: str, bundle: str) -> list[Opening]:
    """Notes one opening before the first test image is read: what fails afterwards has opened the test set, too.

    Args:
        ledger: folder or URI; empty: the checkpoint root, where the pod or the run was told one.
        split: sha256 of the split.
        bundle: digest of the bundle.

    Returns:
        Every opening of this test set, this one last; empty where no ledger is kept.

    Raises:
        ConfigError: nothing can be written there.
        StorageError: storage refused, or kept failing.
    """
    place = ledger or os.environ.get(CHECKPOINT_ROOT_VARIABLE, "")
    return append(place, Opening(split=split, bundle=bundle, commit=commit_text(), time=now())) if place else []
