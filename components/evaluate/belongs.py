"""Whether the inputs of evaluate belong together: bundle, split, model and records of one run, by their digests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from components.common.artifacts.folder import Artifact
from components.common.artifacts.index import PICTURE_KEY
from components.common.artifacts.model import Model
from components.common.artifacts.policy import DecisionPolicy
from components.common.artifacts.scores import Scores
from components.common.artifacts.split import Split
from components.common.bundle import layout
from components.common.bundle.fingerprints import BYTES, NEAR, keys_of, read_fingerprints
from components.common.runtime.errors import ArtifactError, DataError
from components.common.runtime.words import counted
from components.evaluate.scoring import refuse_overlap

_SHOWN = 5


def check_together(
    bundle: Artifact, split: Artifact, model: Model | None, records: Artifact | None, policy: DecisionPolicy
) -> None:
    """Refuses artifacts that were not made from each other.

    A bundle that was exported without a split records none; the report then says that it is not known what the bundle
    has seen. The split may be another than the bundle's where `refuse_seen` can tell what the bundle has seen.

    Raises:
        ArtifactError: names two that do not belong together, and what to give instead.
    """
    if layout.FINGERPRINTS not in bundle.files:
        seen = "its test images may have been trained on: give --split the split that this bundle was made with"
        _same(bundle, "split", split, seen)
    if records is not None:
        _same(records, "split", split, "give --records the records that were made of this split")
    if model is not None:
        model.check_policy(policy)
        _same(bundle, "model", model.artifact, "give --model the model that this bundle was exported from")
    if model is not None and records is not None:
        _same(model.artifact, "records", records, "give --records the records that this model was trained on")


def _same(made: Artifact, name: str, given: Artifact, remedy: str) -> None:
    expected = made.made_from.get(name)
    if expected is not None and expected != given.digest:
        raise ArtifactError(
            f"{made.path}: was made from the {name} with digest {expected[:12]}, received {given.path} with "
            f"{given.digest[:12]}; {remedy}"
        )


def refuse_seen(bundle: Artifact, split: Artifact, divided: Split) -> None:
    """Refuses test images that the bundle was trained or chosen on, in its own split as in any other.

    In the bundle's own split only equal bytes are refused: near-duplicates and patients across it were looked for by
    the split itself, and the report counts them.

    Raises:
        DataError: counts test images with equal bytes, near-duplicates, and ids of lesions, groups or patients.
    """
    known = read_fingerprints(bundle.path)
    if known is None:
        return
    test = divided.usable("test")
    keys = keys_of(test[PICTURE_KEY]) if PICTURE_KEY in test else keys_of([])
    how = known.seen(test["sha256"], keys)["how"]
    own = bundle.made_from.get("split") == split.digest
    how = how.where(how != NEAR, "") if own else how
    shared = {} if own else known.shared_ids(test)
    equal, near = int((how == BYTES).sum()), int((how == NEAR).sum())
    found = [f"{counted(equal, 'image')} with equal bytes"] if equal else []
    found += [counted(near, "near-duplicate image")] if near else []
    found += [counted(len(ids), column) for column, ids in shared.items()]
    if found:
        examples = test.loc[how != "", "image_id"].tolist() or [one for ids in shared.values() for one in ids]
        named = ", ".join(examples[:_SHOWN])
        raise DataError(
            f"the bundle was trained or chosen on images of this test set: {', '.join(found)} ({named}); figures on "
            "them would be too good: give --split the split that this bundle was made with, or measure it on other "
            "images with lesionflow validate, which leaves these out"
        )


def same_split(provenance: Mapping[str, Mapping[str, Any]]) -> bool | None:
    """Whether the bundle was made with the split it was evaluated on; None where that is not recorded.

    Args:
        provenance: digest and made_from of each artifact, as `context.json` holds them.
    """
    bundle, split = provenance.get("bundle"), provenance.get("split")
    if bundle is None or split is None or "split" not in bundle["made_from"]:
        return None
    return bool(bundle["made_from"]["split"] == split["digest"])


def refuse_val_overlap(test: Scores, val: Scores) -> None:
    """Refuses test scores that share lesions with the scores the threshold was chosen on.

    Raises:
        DataError: names an example.
    """
    frames = [
        pd.DataFrame({n: getattr(s, n) for n in ("image_id", "lesion_id", "group_id")}).assign(split=name)
        for s, name in ((test, "test"), (val, "val"))
    ]
    refuse_overlap(pd.concat(frames))
