"""Predictions of a bundle for a batch of images; export checks them, evaluate scores them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Predictions:
    """Predictions for n images, in the order they were given.

    Attributes:
        probability: (n,) calibrated P(malignant); -1 where the image was not readable or not dermoscopy.
        logit: (n,) raw logit, 0 where the image was not readable.
        decision: (n,) 1 malignant, 0 benign, 2 referred to a person (not dermoscopy included), -1 not readable.
        policy_id: (n,) id of the decision policy inside the graph.
        status: (n,) `ok`, `refer`, `not_dermoscopy`, or why an image was not readable.
        distance: (n,) from the training images, about 1 for one like them; -1 where the image was not readable or the
            bundle does not measure it.
    """

    probability: npt.NDArray[np.float32]
    logit: npt.NDArray[np.float32]
    decision: npt.NDArray[np.int32]
    policy_id: npt.NDArray[np.str_]
    status: npt.NDArray[np.str_]
    distance: npt.NDArray[np.float32]
