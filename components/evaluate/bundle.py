"""The shipped bundle, asked as a server would ask it. The only module of this step that needs TensorFlow."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.common.artifacts.folder import Artifact, open_artifact
from components.common.artifacts.policy import DecisionPolicy, load_policy
from components.common.bundle.predictions import Answers
from components.common.runtime.errors import ArtifactError
from components.common.runtime.session import native_stderr_hidden

_OUTPUTS = ("probability", "logit", "decision", "policy_id")


@dataclass(frozen=True)
class Bundle:
    """A loaded bundle.

    Attributes:
        artifact: its folder and digest.
        policy: the decision policy beside the graph.
        signature: the SavedModel's `serving_default`.
        owner: keeps the SavedModel's variables alive.
    """

    artifact: Artifact
    policy: DecisionPolicy
    signature: Any
    owner: Any

    def ask(self, images: Sequence[bytes]) -> Answers:
        """Answers for image files given as bytes, as one batch, in their order."""
        import tensorflow as tf

        raw = self.signature(image_bytes=tf.constant(list(images), tf.string))
        column = {name: np.asarray(raw[name].numpy()).reshape(len(images)) for name in _OUTPUTS}
        status = raw["status"].numpy().reshape(len(images)) if "status" in raw else [b""] * len(images)
        return Answers(
            column["probability"], column["logit"], column["decision"], _text(column["policy_id"]), _text(status)
        )


def load_bundle(path: Path) -> Bundle:
    """Hashes and loads a bundle.

    Raises:
        ArtifactError: a file is missing or changed, or the SavedModel has no such signature.
    """
    artifact = open_artifact(path, "bundle")
    policy = load_policy(path / "decision_policy.json")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with native_stderr_hidden():
        import tensorflow as tf

    try:
        owner = tf.saved_model.load(str(path / "saved_model"))
        signature = owner.signatures["serving_default"]
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise ArtifactError(
            f"{path / 'saved_model'}: does not load with a serving_default signature ({error}); export the model again"
        ) from None
    missing = sorted(set(_OUTPUTS) - set(signature.structured_outputs))
    if missing:
        raise ArtifactError(f"{path / 'saved_model'}: outputs {missing} are missing; expected {list(_OUTPUTS)}")
    return Bundle(artifact, policy, signature, owner)


def _text(values: Any) -> npt.NDArray[np.str_]:
    return np.array([value.decode() for value in values], dtype=np.str_)
