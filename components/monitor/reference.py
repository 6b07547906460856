"""What predictions in use are held against: scores of labelled images that nothing was fitted to, or of validation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.common.artifacts.json_file import read_object
from components.common.artifacts.policy import DecisionPolicy
from components.common.artifacts.scores import TEST_SCORES, Scores, load_extra, load_scores
from components.common.artifacts.validation import EXTERNAL_SCORES
from components.common.bundle import layout
from components.common.runtime.errors import ConfigError
from components.common.statistics.numeric import Floats

_SOURCE = "dataset"  # column of scores that slices are cut by
_NAMES = (EXTERNAL_SCORES, TEST_SCORES, "val_probs.npz")


@dataclass(frozen=True)
class Reference:
    """Scores under the policy, one image per group and label.

    Attributes:
        name: where they come from, for people.
        probability: (m,) of the policy.
        label: (m,) 1 malignant.
        source: (m,) acquisition source; empty where it is not known.
        distance: quantiles of the distance to the training images; empty where the bundle has none.
        refused: share of dermoscopic images that the bundle's own check refuses by design; None without a check.
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


def read_reference(bundle: Path, policy: DecisionPolicy, given: Path | None) -> Reference:
    """The reference that is given, or the one inside the bundle.

    Args:
        bundle: the bundle's folder.
        policy: gives the probabilities.
        given: a validation, an evaluation or a model artifact, or a file of scores; None: what the bundle carries.

    Raises:
        ConfigError: neither is there.
        ArtifactError: the file is not one of scores.
    """
    path = _found(bundle, given)
    scores, columns = load_scores(path), load_extra(path)
    rows = scores.first_row_per_group()
    source = columns.get(_SOURCE, np.full(len(scores), "")).astype(np.str_)[rows]
    one: Scores = scores.take(rows)
    distance, refused = _distances(bundle)
    return Reference(_named(path, bundle), policy.probability(one.logit), one.label, source, distance, refused)


def _found(bundle: Path, given: Path | None) -> Path:
    if given is None:
        names = [layout.INTERNAL_SCORES, layout.REFERENCE_SCORES]
        if (bundle / layout.RECALIBRATION).is_file():  # its internal test was at another site
            names.reverse()
        inside = [bundle / name for name in names if (bundle / name).is_file()]
        if not inside:
            raise ConfigError(
                f"{bundle}: carries no scores to compare with; give --reference: a validation or an evaluation of it, "
                "or hand it over with `lesionflow bundle handover`"
            )
        return inside[0]
    candidates = [given, *(given / name for name in _NAMES)]
    files = [path for path in candidates if path.is_file()]
    if not files:
        raise ConfigError(f"--reference: {given} holds none of {', '.join(_NAMES)}; give a validation or an evaluation")
    return files[0]


def _named(path: Path, bundle: Path) -> str:
    if path.parent == bundle:
        kind = {layout.INTERNAL_SCORES: "the internal test"}.get(path.name, "the images its threshold was chosen on")
        return f"{kind}, carried by the bundle"
    return f"{path.parent.name}/{path.name}"


def _distances(bundle: Path) -> tuple[Floats, float | None]:
    path = bundle / layout.REFUSAL
    record: dict[str, Any] = read_object(path) if path.is_file() else {}
    quantiles = (record.get("validation") or {}).get("quantiles", [])
    refused = record.get("alpha") if record.get("status") == "checked" else None
    return np.asarray(quantiles, np.float64), refused
