"""What predictions in use are compared with: scores of labelled images nothing was fitted to, or of validation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt

from components.common.artifacts.folder import Artifact
from components.common.artifacts.policy import DecisionPolicy
from components.common.artifacts.scores import TEST_SCORES, Scores, load_extra, load_scores
from components.common.artifacts.validation import EXTERNAL_SCORES
from components.common.bundle import layout
from components.common.bundle.refusal import read_refusal
from components.common.runtime.errors import ConfigError
from components.common.statistics.numeric import Floats
from components.common.storage import store

# of a bundle, read by the monitor: the policy, the scores it may carry, and what these are worth
FILES = (layout.POLICY, layout.INTERNAL_SCORES, layout.REFERENCE_SCORES, layout.RECALIBRATION, layout.REFUSAL)
_SOURCE = "dataset"  # column of scores that slices are cut by
_NAMES = (EXTERNAL_SCORES, TEST_SCORES, "val_probs.npz")


@dataclass(frozen=True)
class Reference:
    """Scores under the policy, one image per group and label; without images refused as not dermoscopic.

    Attributes:
        name: where they come from, for people.
        probability: (m,) of the policy.
        label: (m,) 1 malignant.
        source: (m,) acquisition source; empty where it is not known.
        distance: quantiles of the distance to the training images; empty where the bundle has none.
        refused: share of dermoscopic images that the check of the bundle refuses by design; None without a check.
    """

    name: str
    probability: Floats
    label: npt.NDArray[np.int8]
    source: npt.NDArray[np.str_]
    distance: Floats
    refused: float | None

    def of_source(self, source: str) -> npt.NDArray[np.bool_]:
        """(m,) rows of one source; all for the empty name."""
        return self.source == source if source else np.ones(len(self.label), bool)


def read_reference(bundle: Artifact, policy: DecisionPolicy, given: Path | None) -> Reference:
    """The reference that is given, or the one inside the bundle.

    Args:
        bundle: the bundle, with those of `FILES` that it has.
        policy: gives the probabilities.
        given: a file of scores from `fetch_reference`; None: what the bundle carries.

    Raises:
        ConfigError: neither is there.
        ArtifactError: the file is not one of scores.
    """
    path = given or _carried(bundle)
    scores, columns = load_scores(path), load_extra(path)
    # a log has no probability of a refused image either
    kept = np.flatnonzero(~scores.not_dermoscopy)
    rows = kept[scores.take(kept).first_row_per_group()]
    source = columns.get(_SOURCE, np.full(len(scores), "")).astype(np.str_)[rows]
    one: Scores = scores.take(rows)
    distance, refused = _distances(bundle)
    return Reference(_named(path, bundle.path), policy.probability(one.logit), one.label, source, distance, refused)


def fetch_reference(uri: str, scratch: Path) -> Path:
    """The scores to compare with: the file where it is local, else a copy in `scratch`.

    Args:
        uri: a validation, an evaluation or a model artifact, or a file of scores.
        scratch: folder for the copy.

    Raises:
        ConfigError: there is no file of scores.
        StorageError: storage refused or kept failing.
    """
    for one in (uri, *(store.join(uri, name) for name in _NAMES)):
        if one.endswith(".npz") and store.exists(one):
            return store.fetch(one, scratch / PurePosixPath(one).parent.name)
    raise ConfigError(f"reference: {uri} holds none of {', '.join(_NAMES)}; give a validation or an evaluation")


def _carried(bundle: Artifact) -> Path:
    names = [layout.INTERNAL_SCORES, layout.REFERENCE_SCORES]
    if layout.RECALIBRATION in bundle.files:  # its internal test was at another site
        names.reverse()
    inside = next((name for name in names if name in bundle.files), None)
    if inside is None:
        raise ConfigError(
            f"{bundle.path}: carries no scores to compare with; give --reference: a validation or an evaluation of it, "
            "or hand it over with `lesionflow bundle handover`"
        )
    return bundle.path / inside


def _named(path: Path, bundle: Path) -> str:
    if path.parent == bundle:
        kind = {layout.INTERNAL_SCORES: "the internal test"}.get(path.name, "the images its threshold was chosen on")
        return f"{kind}, carried by the bundle"
    return f"{path.parent.name}/{path.name}"


def _distances(bundle: Artifact) -> tuple[Floats, float | None]:
    record = read_refusal(bundle.path)
    quantiles = record.validation.quantiles if record.validation else []
    return np.asarray(quantiles, np.float64), record.alpha if record.checked else None
