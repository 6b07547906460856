"""Loads a bundle and asks it, as a server would."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.common.artifacts.folder import Artifact, open_artifact, read_json
from components.common.artifacts.policy import DecisionPolicy, load_policy
from components.common.bundle import layout
from components.common.bundle.operations import check_operations
from components.common.bundle.predictions import Answers
from components.common.runtime.errors import ArtifactError
from components.common.runtime.session import native_stderr_hidden

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Bundle:
    """A loaded bundle.

    Attributes:
        artifact: the folder it came from, with its digest.
        policy: the decision policy inside.
        preprocessing: content of `preprocessing.json`.
        signatures: the SavedModel's callable signatures by name.
        owner: keeps the SavedModel's variables alive.
    """

    artifact: Artifact
    policy: DecisionPolicy
    preprocessing: dict[str, Any]
    signatures: Any
    owner: Any

    def ask(self, images: Sequence[bytes]) -> Answers:
        """Answers for image files given as bytes, as one batch."""
        import tensorflow as tf

        return answers(self.signatures["serving_default"](image_bytes=tf.constant(list(images), tf.string)))

    def ask_pixels(self, pixels: npt.NDArray[np.uint8]) -> Answers:
        """Answers for decoded RGB images of one size, uint8 [n, h, w, 3]."""
        import tensorflow as tf

        return answers(self.signatures["predict_pixels"](pixels=tf.constant(pixels, tf.uint8)))


def answers(outputs: Any) -> Answers:
    """The tensors of a signature as NumPy columns."""
    columns = {name: outputs[name].numpy() for name in layout.OUTPUTS}
    for name in ("policy_id", "status"):
        columns[name] = np.array([text.decode() for text in columns[name]], dtype=np.str_)
    return Answers(**columns)


def load_bundle(path: Path, *, verify: bool = True) -> Bundle:
    """Checks a bundle and loads its SavedModel.

    Raises:
        ArtifactError: files are missing, added or changed; the policy is another one than the graph's; the
            graph holds operations that reach outside of it or that this TensorFlow does not have.
    """
    artifact = open_artifact(path, "bundle", verify=verify)
    return load_parts(artifact)


def load_parts(artifact: Artifact) -> Bundle:
    """Loads a bundle whose files need no more checking, such as one that is just being made."""
    path = artifact.path
    policy, preprocessing = check_parts(path)
    check_operations(path / layout.SAVED_MODEL)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with native_stderr_hidden():
        import tensorflow as tf

    try:
        model = tf.saved_model.load(str(path / layout.SAVED_MODEL))
    except (OSError, ValueError, RuntimeError, tf.errors.OpError) as error:  # RuntimeError: unknown operation
        reason = str(error).strip().split("\n")[0]
        raise ArtifactError(
            f"{path / layout.SAVED_MODEL}: TensorFlow {tf.__version__} cannot load it ({reason})"
        ) from None
    return Bundle(artifact, policy, preprocessing, model.signatures, model)


def check_parts(path: Path) -> tuple[DecisionPolicy, dict[str, Any]]:
    """Checks that the documents in a bundle belong together; needs no TensorFlow.

    Raises:
        ArtifactError: a part is missing or belongs to another model or policy.
    """
    policy = load_policy(path / layout.POLICY)
    preprocessing = read_json(path / layout.PREPROCESSING, layout.PREPROCESSING_SCHEMA)
    for name, expected in (("policy_id", policy.policy_id), ("model_sha256", policy.model_sha256)):
        if preprocessing.get(name) != expected:
            raise ArtifactError(
                f"{path}: {layout.POLICY} has {name} {expected}, the graph was built with {preprocessing.get(name)}; "
                "export the bundle again"
            )
    return policy, preprocessing
