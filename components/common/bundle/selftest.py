"""The self-test: a generated image that travels with the bundle, and the bundle's prediction when it was made.

It tells whoever receives a bundle, without any patient's image, whether their runtime computes what ours did.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from components.common.artifacts.json_file import FileDocument, Number, write_atomic
from components.common.bundle import layout
from components.common.bundle.load import Bundle, Predictions
from components.common.imaging import pixels
from components.common.runtime.errors import ArtifactError

# Other processors add float32 numbers in another order.
_TOLERANCE = 1e-3


class Selftest(FileDocument):
    """Content of `selftest.json`: what a bundle said of its test image when it was made."""

    FILE: ClassVar[str] = layout.SELFTEST
    SCHEMA: ClassVar[str] = "lesionflow.selftest/1"

    logit: Number
    status: str
    probability: Number
    decision: int


@dataclass(frozen=True)
class Passed:
    """A self-test that a bundle passed.

    Attributes:
        recorded_logit: of the test image when the bundle was made.
        received_logit: here.
        rule_compared: whether the graph's rule could be compared with the policy: a bundle that refuses the generated
            image as not dermoscopic gives no probability for it.
    """

    recorded_logit: float
    received_logit: float
    rule_compared: bool


def generated_image(seed: int, height: int = 450, width: int = 600) -> npt.NDArray[np.uint8]:
    """A dark soft-edged spot on a skin-coloured ground with grain: uint8 [height, width, 3]."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    centre, radius = rng.uniform(0.35, 0.65, 2) * (height, width), rng.uniform(0.12, 0.3) * min(height, width)
    distance = np.hypot(y - centre[0], (x - centre[1]) * rng.uniform(0.7, 1.3))
    spot = 1 / (1 + np.exp((distance - radius) / (0.1 * radius)))
    skin, lesion = np.array([214.0, 168.0, 150.0]), np.array([104.0, 66.0, 52.0]) * rng.uniform(0.6, 1.4)
    rgb = skin + spot[..., None] * (lesion - skin) + rng.normal(0, 6, (height, width, 1))
    return np.asarray(np.clip(rgb, 0, 255), np.uint8)


def write_selftest(bundle: Bundle, folder: Path) -> None:
    """Predicts the test image and writes the prediction into `folder`; the image too, where none is there yet."""
    image = folder / layout.SELFTEST_IMAGE
    if not image.exists():
        write_atomic(image, pixels.encode_jpeg(generated_image(0), 90))
    found = bundle.predict([image.read_bytes()])
    Selftest(
        logit=float(found.logit[0]),
        status=str(found.status[0]),
        probability=float(found.probability[0]),
        decision=int(found.decision[0]),
    ).save(folder)


def run_selftest(bundle: Bundle) -> Passed:
    """Predicts the test image again with a loaded bundle.

    Raises:
        ArtifactError: this runtime computes something else, or the graph holds another policy than the one beside it.
    """
    folder = bundle.artifact.path
    record = Selftest.read(folder)
    found = bundle.predict([(folder / layout.SELFTEST_IMAGE).read_bytes()])
    received = float(found.logit[0])
    if str(found.status[0]) != record.status or not abs(received - record.logit) <= _TOLERANCE:
        raise ArtifactError(
            f"{folder}: the test image gives logit {received:.6g} ({found.status[0]}) here and gave "
            f"{record.logit:.6g} ({record.status}) when the bundle was made; this runtime is not fit to serve "
            "it: use the versions under Training in its model card, or other hardware"
        )
    _check_policy(bundle, found)
    answered = str(found.status[0]) != layout.STATUSES[layout.NOT_DERMOSCOPY]
    return Passed(record.logit, received, answered)


def _check_policy(bundle: Bundle, found: Predictions) -> None:
    """Refuses a graph that decides by another rule than the policy beside it.

    Raises:
        ArtifactError: id, probability or decision differ.
    """
    policy, logit = bundle.policy, found.logit[:1].astype(np.float64)
    answered, decision = str(found.policy_id[0]), int(found.decision[0])
    same = answered == policy.policy_id
    if same and str(found.status[0]) == layout.STATUSES[layout.NOT_DERMOSCOPY]:
        same = (float(found.probability[0]), decision) == (layout.NO_PROBABILITY, layout.REFER)
    elif same and decision != layout.UNREADABLE:
        same = abs(float(found.probability[0]) - float(policy.probability(logit)[0])) <= _TOLERANCE
        if decision in (layout.MALIGNANT, layout.BENIGN):
            same = same and (decision == layout.MALIGNANT) == bool(policy.decide(logit)[0])
    if not same:
        raise ArtifactError(
            f"{bundle.artifact.path}: the graph predicts with policy {answered}, probability "
            f"{found.probability[0]:.6g} and decision {decision}, which {layout.POLICY} "
            f"({policy.policy_id}) does not give; export it again"
        )
