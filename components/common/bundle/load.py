"""The one bundle loader: all checks come before TensorFlow loads anything; then predictions as a server gives them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.common.artifacts.folder import Artifact, open_artifact
from components.common.artifacts.json_file import shown
from components.common.artifacts.policy import DecisionPolicy, load_policy
from components.common.bundle import layout
from components.common.bundle.operations import check_recorded_operations
from components.common.bundle.preprocessing import Preprocessing, read_preprocessing
from components.common.bundle.refusal import Refusal, read_refusal
from components.common.bundle.signing import check_signature
from components.common.runtime.errors import ArtifactError
from components.common.runtime.plain_path import plain_path
from components.common.runtime.session import native_stderr_hidden


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


@dataclass(frozen=True)
class Bundle:
    """A loaded bundle.

    Attributes:
        artifact: the folder it came from, with its digest.
        policy: the decision policy inside.
        preprocessing: content of `preprocessing.json`.
        signatures: the SavedModel's callable signatures by name.
        owner: keeps the SavedModel's variables alive.
        refusal: which images it refuses as not dermoscopic.
    """

    artifact: Artifact
    policy: DecisionPolicy
    preprocessing: Preprocessing
    signatures: Any
    owner: Any
    refusal: Refusal

    def predict(self, images: Sequence[bytes]) -> Predictions:
        """Predictions for image files given as bytes, as one batch, in their order."""
        import tensorflow as tf

        return _columns(self.signatures["serving_default"](image_bytes=tf.constant(list(images), tf.string)))

    def predict_pixels(self, pixels: npt.NDArray[np.uint8]) -> Predictions:
        """Predictions for decoded RGB images of one size, uint8 [n, h, w, 3]."""
        import tensorflow as tf

        return _columns(self.signatures["predict_pixels"](pixels=tf.constant(pixels, tf.uint8)))

    def member_logits(self, images: Sequence[bytes]) -> npt.NDArray[np.float32] | None:
        """(n, members) raw logit of each member of an ensemble for image files given as bytes; None for one network.

        Out of the graph that serves: `predict` gives the mean of each row. What stands in the row of an image that
        cannot be read means nothing.
        """
        import tensorflow as tf

        if layout.MEMBER_LOGITS not in self.signatures:
            return None
        outputs = self.signatures[layout.MEMBER_LOGITS](image_bytes=tf.constant(list(images), tf.string))
        return np.asarray(outputs["logit"].numpy(), np.float32)


def _columns(outputs: Any) -> Predictions:
    """The tensors of a signature as NumPy columns."""
    columns = {name: outputs[name].numpy() for name in layout.OUTPUTS}
    nowhere = np.full(len(columns["logit"]), layout.NO_DISTANCE, np.float32)
    columns[layout.DISTANCE] = outputs[layout.DISTANCE].numpy() if layout.DISTANCE in outputs else nowhere
    for name in ("policy_id", "status"):
        columns[name] = np.array([text.decode() for text in columns[name]], dtype=np.str_)
    return Predictions(**columns)


def load_bundle(path: Path, key: Path | None = None) -> Bundle:
    """Hashes a bundle, checks it and loads its SavedModel.

    Args:
        path: the bundle.
        key: public key or certificate by which it must be signed; None: it need not be.

    Raises:
        ArtifactError: files are missing, added or changed; the graph was built with another policy; the graph holds
            operations that are not allowed or that this TensorFlow does not have.
    """
    artifact = open_artifact(path, "bundle")
    if key is not None:
        check_signature(artifact, key)
    return load_parts(artifact)


def load_parts(artifact: Artifact) -> Bundle:
    """Loads a bundle whose files are hashed already, or that is just being made; every other check is made."""
    path = artifact.path
    policy, preprocessing = check_parts(path)
    check_recorded_operations(path)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with native_stderr_hidden():
        import tensorflow as tf

    try:
        with plain_path(path / layout.SAVED_MODEL) as folder:
            model = tf.saved_model.load(str(folder))
    except (OSError, ValueError, RuntimeError, tf.errors.OpError) as error:  # RuntimeError: unknown operation
        reason = str(error).strip().split("\n")[0]
        raise ArtifactError(
            f"{path / layout.SAVED_MODEL}: TensorFlow {tf.__version__} cannot load it ({reason})"
        ) from error
    refusal = read_refusal(path)
    _check_signatures(path / layout.SAVED_MODEL, model.signatures, refusal)
    return Bundle(artifact, policy, preprocessing, model.signatures, model, refusal)


def _check_signatures(path: Path, signatures: Any, refusal: Refusal) -> None:
    outputs = (*layout.OUTPUTS, layout.DISTANCE) if refusal.checked else layout.OUTPUTS
    for name in layout.SIGNATURES:
        if name not in signatures:
            raise ArtifactError(f"{path}: signature {name} is missing; expected {', '.join(layout.SIGNATURES)}")
        missing = sorted(set(outputs) - set(signatures[name].structured_outputs))
        if missing:
            raise ArtifactError(f"{path}: signature {name} lacks outputs {missing}; expected {list(outputs)}")


def check_parts(path: Path) -> tuple[DecisionPolicy, Preprocessing]:
    """Checks that the documents in a bundle belong together; needs no TensorFlow.

    Raises:
        ArtifactError: a part is missing or belongs to another model or policy.
    """
    policy = load_policy(path / layout.POLICY)
    preprocessing = read_preprocessing(path)
    for name, expected in (("policy_id", policy.policy_id), ("model_sha256", policy.model_sha256)):
        received = getattr(preprocessing, name)
        if received != expected:
            raise ArtifactError(
                f"{path}: {layout.POLICY} has {name} {expected}, the graph was built with {shown(received)}; export "
                "the bundle again"
            )
    return policy, preprocessing
