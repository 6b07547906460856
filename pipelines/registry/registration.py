"""What Kubeflow's Model Registry is told about a bundle, from its artifacts.

Imports neither kfp nor TensorFlow, and lives above the steps because it reads what export and evaluate made.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from components.common.artifacts.estimate import Estimate
from components.common.artifacts.folder import open_artifact
from components.common.artifacts.metrics import FILE as METRICS
from components.common.artifacts.metrics import HEADLINE, Metrics, load_metrics
from components.common.artifacts.policy import load_policy
from components.common.artifacts.presentation import estimate_text, named
from components.common.artifacts.scores import TEST_SCORES
from components.common.bundle import layout
from components.common.bundle.card import open_evaluation
from components.common.bundle.card_facts import CardFacts
from components.common.runtime.errors import ArtifactError

FORMAT, FORMAT_VERSION = "tensorflow", "2"  # what KServe calls a SavedModel
DIGEST = "bundle_digest"
EVALUATION = "evaluation_digest"
BUNDLE_URI = "bundle_uri"  # where the bundle itself is, for whoever validates or adjusts it
EVALUATION_URI = "evaluation_uri"  # where its internal test is
_PARENT = {"bundle": "parent_bundle", "evaluation": "parent_evaluation"}  # of one handed over or adjusted

Properties = dict[str, str | float | int | bool]


@dataclass(frozen=True)
class Registration:
    """One version of a registered model.

    Attributes:
        name: the registered model.
        version: the version's name.
        uri: where the model's files are.
        card_uri: where its card with the test metrics is; empty when nowhere.
        description: one sentence with the figures a reader wants first.
        properties: custom properties: metrics with intervals, policy, hashes.
    """

    name: str
    version: str
    uri: str
    card_uri: str
    description: str
    properties: Properties


def registration_of(
    bundle: Path,
    evaluation: Path,
    *,
    uri: str,
    name: str = "lesionflow",
    version: str = "",
    card_uri: str = "",
    bundle_uri: str = "",
    evaluation_uri: str = "",
) -> Registration:
    """Collects what is registered of a bundle and its evaluation.

    Args:
        bundle: the bundle.
        evaluation: its evaluation.
        uri: where the bundle, or the staged model, is for those who serve it.
        name: the registered model.
        version: the version; empty: commit and digest, as in `70535922ed58-acfaeff6`.
        card_uri: where the card with the test metrics is.
        bundle_uri: where the bundle itself is, for whoever validates it; empty: `uri` is the bundle, or it is nowhere.
        evaluation_uri: where the evaluation is, for its internal test.

    Raises:
        ArtifactError: an input is damaged, or the evaluation is of another bundle.
    """
    made = open_artifact(bundle, "bundle")
    judged = open_evaluation(evaluation, made)
    policy = load_policy(bundle / layout.POLICY)
    if judged.files.get(layout.POLICY) != made.files[layout.POLICY]:
        raise ArtifactError(
            f"{evaluation / layout.POLICY}: another policy than the bundle's; evaluate the bundle again"
        )
    facts = CardFacts.read(bundle)
    metrics = load_metrics(evaluation / METRICS)
    git = facts.environment.get("git") or {}
    commit = str(git.get("commit") or "")
    properties: Properties = {
        DIGEST: made.digest,
        EVALUATION: judged.digest,
        "model_sha256": policy.model_sha256,
        "val_probs_sha256": policy.val_probs_sha256,
        "test_probs_sha256": judged.files[TEST_SCORES],
        **{f"{_PARENT.get(key, key)}_digest": value for key, value in sorted(made.made_from.items())},
        **{name: place for name, place in ((BUNDLE_URI, bundle_uri), (EVALUATION_URI, evaluation_uri)) if place},
        **({"split_sha256": facts.split["sha256"]} if facts.split else {}),
        "policy_id": policy.policy_id,
        "operating_point": str(policy.operating_point.get("policy", "")),
        "calibrator": policy.calibrator.name,
        "threshold_probability": float(policy.threshold_probability),
        "architecture": facts.model.architecture,
        "image_size": "x".join(str(side) for side in facts.model.image_size),
        "test_images": metrics.n,
        "test_malignant": metrics.malignant,
        "test_lesion_groups": metrics.groups,
        **({"commit": commit, "uncommitted_changes": bool(git.get("dirty"))} if commit else {}),
        **_figures(metrics),
    }
    version = version or "-".join(part for part in (commit[:12], made.digest[:8]) if part)
    return Registration(name, version, uri, card_uri, _description(metrics, properties), properties)


def _figures(metrics: Metrics) -> dict[str, float]:
    calibration = metrics.calibration
    estimates: dict[str, Estimate | None] = {name: metrics.figure(name) for name in HEADLINE}
    estimates |= {"calibration_slope": calibration.slope, "calibration_intercept": calibration.intercept}
    found: dict[str, float | None] = {
        "calibration_ece": calibration.ece,
        "calibration_brier": calibration.brier,
        "calibration_log_loss": calibration.log_loss,
    }
    for name, one in estimates.items():
        if one is not None:
            found |= {name: one.value, f"{name}_lower": one.lower, f"{name}_upper": one.upper}
    return {name: value for name, value in found.items() if value is not None}


def _description(metrics: Metrics, properties: Properties) -> str:
    figures = ", ".join(
        f"{named(name)} {estimate_text(metrics.figure(name), missing='unknown')}" for name in HEADLINE[:4]
    )
    return (
        f"{properties['architecture']} at {properties['image_size']}; on {metrics.n} test images of "
        f"{metrics.groups} lesion groups: {figures}; policy {properties['policy_id']}. Research software, not a "
        "medical device."
    )
