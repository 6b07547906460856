"""Checks a bundle from the outside in: hashes, documents, operations, and then its self-test."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from components.common.artifacts.folder import open_artifact
from components.common.artifacts.remote import refuse_other
from components.common.bundle import layout
from components.common.bundle.fingerprints import read_fingerprints
from components.common.bundle.load import check_parts, load_parts
from components.common.bundle.operations import check_recorded_operations
from components.common.bundle.refusal import BEFORE, Refusal, read_refusal
from components.common.bundle.selftest import run_selftest
from components.common.bundle.signing import check_signature
from components.common.runtime.errors import ArtifactError

BUNDLE_OK = "bundle OK: complete, unmodified, self-test passed"  # the last line of `lesionflow bundle verify`


@dataclass(frozen=True)
class Verified:
    """What is known about a bundle that passed.

    Attributes:
        digest: sha256 that stands for everything in it; compare it with the one you were told.
        policy_id: the decision policy inside.
        model_sha256: the `model.keras` it was made from.
        files: how many files were hashed.
        operations: distinct operations in the graph, all of them allowed.
        logit_difference: of the test image, between here and where the bundle was made; None when not loaded.
        rule_compared: whether the self-test could compare the graph's rule with the policy; None when not loaded.
        refusal: what it refuses as not dermoscopic, and how well.
    """

    digest: str
    policy_id: str
    model_sha256: str
    files: int
    operations: int
    logit_difference: float | None
    rule_compared: bool | None
    refusal: Refusal = BEFORE


def verify_bundle(path: Path, *, digest: str | None = None, key: Path | None = None, load: bool = True) -> Verified:
    """Verifies a bundle.

    Args:
        path: the bundle's folder.
        digest: what the bundle's digest must be, from the evaluation or from whoever sent it. The hashes
            inside find damage and edits; only a digest that came another way finds a replaced bundle.
        key: public key or certificate by which the bundle must be signed.
        load: also load it and run its self-test, which needs TensorFlow.

    Raises:
        ArtifactError: the first thing that is wrong.
    """
    artifact = open_artifact(path, "bundle")
    refuse_other(path, "bundle", digest or "")
    if key is not None:
        check_signature(artifact, key)
    policy, _ = check_parts(path)
    for part in (layout.LABELS, layout.CARD, layout.SELFTEST, layout.SELFTEST_IMAGE):
        if part not in artifact.files:
            raise ArtifactError(f"{path / part}: missing; export the bundle again")
    read_fingerprints(path)
    refusal = read_refusal(path)
    operations = check_recorded_operations(path)
    difference = compared = None
    if load:
        passed = run_selftest(load_parts(artifact))
        difference, compared = abs(passed.received_logit - passed.recorded_logit), passed.rule_compared
    files, kinds = len(artifact.files), len(operations)
    return Verified(artifact.digest, policy.policy_id, policy.model_sha256, files, kinds, difference, compared, refusal)
