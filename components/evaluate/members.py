"""The members of an ensemble on the test images: scored by the shipped graph, in the same pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from components.common.artifacts.metrics import EnsembleGain, PairedGain
from components.common.artifacts.policy import DecisionPolicy
from components.common.artifacts.scores import Scores
from components.common.bundle.load import Bundle
from components.common.runtime.errors import ArtifactError
from components.common.statistics.paired_gain import paired_gain

PREFIX = "member_"  # of their columns in test_probs.npz
_TOLERANCE = 1e-3  # of float32 sums in another order


class MemberRecorder:
    """A bundle that keeps the logits of each member of an ensemble while it predicts."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self._logits: list[npt.NDArray[np.float32]] = []

    @property
    def policy(self) -> DecisionPolicy:
        """The bundle's."""
        return self._bundle.policy

    def predict(self, images: Sequence[bytes]) -> Any:
        """The bundle's predictions."""
        if (logits := self._bundle.member_logits(images)) is not None:
            self._logits.append(logits)
        return self._bundle.predict(images)

    def columns(self, asked: pd.DataFrame, scores: Scores) -> dict[str, npt.NDArray[np.float64]]:
        """(n,) logits of each member for the images of `scores`, by the names of their columns; none for one network.

        Raises:
            ArtifactError: the members' mean is not the ensemble's logit.
        """
        if not self._logits:
            return {}
        read = asked["image_id"].isin(scores.image_id.tolist()).to_numpy()
        logits = np.concatenate(self._logits)[read].astype(np.float64)
        found = {f"{PREFIX}{k}": column for k, column in enumerate(logits.T)}
        check_members(found, scores)
        return found


def check_members(columns: Mapping[str, npt.NDArray[Any]], scores: Scores) -> None:
    """Refuses columns of members whose mean is not the ensemble's logit; other columns are left alone.

    Raises:
        ArtifactError: by how much they differ.
    """
    members = members_in(columns)
    if not members:
        return
    apart = np.abs(np.mean(members, axis=0) - scores.logit).max()
    if not apart <= _TOLERANCE:
        raise ArtifactError(
            f"the mean of the {len(members)} members' logits differs from the ensemble's by {apart:.2g}, expected at "
            f"most {_TOLERANCE:g}: export and evaluate again"
        )


def members_in(columns: Mapping[str, npt.NDArray[Any]]) -> list[npt.NDArray[np.float64]]:
    """The logits of each member among the columns of saved scores."""
    return [column for name, column in sorted(columns.items()) if name.startswith(PREFIX)]


def gain_over_members(
    columns: Mapping[str, npt.NDArray[Any]], test: Scores, resamples: int, seed: int
) -> EnsembleGain | None:
    """What an ensemble gains over its mean member, with paired intervals; None for one network."""
    members = members_in(columns)
    if not members:
        return None
    found = paired_gain(members, test.logit, test.label, test.group_id, resamples=resamples, seed=seed)
    gains = {name: PairedGain.model_validate(one) for name, one in found.items()}
    return EnsembleGain(members=len(members), **gains)
