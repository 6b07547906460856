"""Export: from a Keras model and a decision policy to a bundle that serves image bytes."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.common.artifacts.folder import Artifact, new_artifact, open_artifact
from components.common.artifacts.model import Model, ModelFacts, open_model
from components.common.artifacts.policy import DecisionPolicy, load_policy
from components.common.artifacts.scores import Scores, save_scores
from components.common.artifacts.split import read_split
from components.common.bundle import layout
from components.common.bundle.card import write_card
from components.common.bundle.card_facts import collect_facts
from components.common.bundle.fingerprints import fingerprints_of
from components.common.bundle.labels import Labels
from components.common.bundle.load import Bundle, load_parts
from components.common.bundle.operations import record_operations
from components.common.bundle.parity_record import Augmentation, Parity
from components.common.bundle.preprocessing import Preprocessing
from components.common.bundle.selftest import generated_image, write_selftest
from components.common.imaging import pixels
from components.common.runtime.errors import ArtifactError
from components.export.augmentation import gain
from components.export.config import ExportConfig
from components.export.familiar import Familiar, with_pooled_features
from components.export.formats import check_available, write_formats
from components.export.model_file import load_network
from components.export.parity import (
    Compared,
    KerasOutputs,
    Source,
    compare,
    parity_report,
    preparation_report,
    validation_sources,
)
from components.export.refuse import learn_refusal

log = logging.getLogger(__name__)
_GENERATED = 8


@dataclass(frozen=True)
class ExportResult:
    """A finished bundle."""

    path: Path
    policy_id: str
    parity: Parity
    bytes: int

    @property
    def figures(self) -> dict[str, float]:
        """The numbers shown beside the step: largest differences, changed decisions, size in MB."""
        shown = {
            "parity_images": float(self.parity.parity.images),
            "parity_max_probability_difference": self.parity.parity.max_probability_difference,
            "bundle_megabytes": self.bytes / 1e6,
        }
        if (preparation := self.parity.preparation) is not None:
            shown["preparation_mean_absolute_logit_shift"] = preparation.mean_absolute_logit_shift
            shown["preparation_max_absolute_logit_shift"] = preparation.max_absolute_logit_shift
            shown["preparation_changed_decisions"] = float(preparation.changed_decisions)
        return shown


def run(config: ExportConfig, model: Path, policy: Path, split: Path | None, out: Path) -> ExportResult:
    """Builds the bundle, reloads it and checks it against the Keras model before it is put in place.

    Args:
        config: the step's parameters.
        model: model artifact of train.
        policy: policy artifact of calibrate.
        split: split artifact; its validation images are what the bundle is compared on. Without it the
            comparison uses generated images and the card says so.
        out: the bundle.

    Raises:
        ArtifactError: an input is not what it should be, the policy belongs to another model, or bundle and
            model disagree.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from components.export.graph import write_saved_model

    check_available(config.formats)
    trained = open_model(model)
    made_of = {"model": trained.artifact, "policy": open_artifact(policy, "policy")}
    if split is not None:
        made_of["split"] = open_artifact(split, "split")
    rule = load_policy(policy / layout.POLICY)
    check_made_from(made_of["policy"], trained, rule)
    preparation = preparation_of(trained.facts, rule, config)
    network = load_network(trained.network, config.precision)
    check_input(network, preparation)
    watched = with_pooled_features(network)
    familiar, refusal = learn_refusal(watched, split, preparation, config.reference_images)
    served = network if familiar is None else watched
    log.info("writing the serving graph: %s", trained.network)
    with new_artifact(out, "bundle", {name: artifact.digest for name, artifact in made_of.items()}) as folder:
        members = bool(trained.facts.members)
        write_saved_model(network, rule, preparation, folder / layout.SAVED_MODEL, members=members, familiar=familiar)
        refusal.save(folder)
        record_operations(folder)
        preparation.save(folder)
        Labels.of(_diagnoses(split) if split is not None else {}).save(folder)
        rule.save(folder / layout.POLICY)
        if split is not None:
            fingerprints_of(read_split(split)).save(folder)
        if config.augmentation == "none":  # with it the bundle's logits are not those of training
            save_scores(folder / layout.REFERENCE_SCORES, trained.val_scores().numbered())
        loaded = load_parts(Artifact(folder, "bundle", "", {}, {}))
        parity, compared = _check(loaded, served, config, trained, split, familiar)
        parity.save(folder)
        write_selftest(loaded, folder)
        if config.formats:
            write_formats(loaded, served, config, compared, familiar)
        write_card(folder, collect_facts(folder, trained, policy, split))
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    log.info("bundle %s: policy %s, %.1f MB", out, rule.policy_id, size / 1e6)
    return ExportResult(out, rule.policy_id, parity, size)


def check_made_from(policy: Artifact, model: Model, rule: DecisionPolicy) -> None:
    """Refuses a policy that was chosen on another model, or on this one before it was edited.

    Raises:
        ArtifactError: network, validation scores, or another file of the model are not those it was made from.
    """
    model.check_policy(rule)
    expected = policy.made_from.get("model", model.artifact.digest)
    if expected != model.artifact.digest:
        raise ArtifactError(
            f"{policy.path}: was made from the model with digest {expected[:12]}, received {model.path} with "
            f"{model.artifact.digest[:12]}; calibrate this model"
        )


def preparation_of(facts: ModelFacts, policy: DecisionPolicy, config: ExportConfig) -> Preprocessing:
    """What happens to an image, from `model.json` and the parameters."""
    return Preprocessing(
        image_size=facts.image_size,
        record_size=facts.record_size or min(facts.image_size),
        min_side=config.min_side,
        max_pixels=int(config.max_megapixels * 1e6),
        augmentation=config.augmentation,
        precision=config.precision,
        policy_id=policy.policy_id,
        model_sha256=policy.model_sha256,
        formats=["JPEG", "PNG"],
        steps=[
            "decode to RGB, 8 bits per channel (JPEG: accurate integer transform)",
            "apply EXIF orientation of JPEG files",
            "shrink by area averaging until the short side is record_size, never enlarge; round to whole grey levels",
            "resize bilinearly to image_size (height, width) where that differs, whatever the aspect; round again",
            "values stay 0..255; scaling to what the backbone expects is inside the network",
        ],
    )


def check_input(network: Any, preparation: Preprocessing) -> None:
    """Refuses a network whose input is not the `image_size` of its `model.json`.

    Raises:
        ArtifactError: the shapes differ.
    """
    height, width = preparation.image_size
    received = tuple(network.input_shape)
    if any(have not in (None, want) for have, want in zip(received, (None, height, width, 3), strict=False)):
        raise ArtifactError(f"model.json says image_size {height}x{width}, the network takes {received}; train again")


def _diagnoses(split: Path) -> dict[str, int]:
    known = read_split(split, ["dx"]).rows[["dx", "label"]].drop_duplicates()
    return {str(dx): int(label) for dx, label in sorted(known.itertuples(index=False, name=None))}


def _check(
    loaded: Bundle,
    network: Any,
    config: ExportConfig,
    model: Model,
    split: Path | None,
    familiar: Familiar | None,
) -> tuple[Parity, Compared]:
    import tensorflow as tf

    from components.export.graph import scored

    # compiled, as Keras's own `predict` runs a model: executed layer by layer, float32 sums differ by more
    # than the tolerance for a network that amplifies them
    shape = [None, *loaded.preprocessing.image_size, 3]

    def compiled(augmentation: str) -> Any:
        spec = [tf.TensorSpec(shape, tf.float32)]
        return tf.function(lambda pixels: scored(network, pixels, augmentation, familiar), spec)

    plain_of, served_of = compiled("none"), compiled(config.augmentation)

    def predict(pixels: npt.NDArray[np.float32]) -> KerasOutputs:
        logit, measured = plain_of(pixels)
        plain = np.asarray(logit.numpy(), np.float64)
        distance = np.full(len(plain), layout.NO_DISTANCE, np.float32) if measured is None else measured.numpy()
        if config.augmentation == "none":
            return plain, plain, distance
        return np.asarray(served_of(pixels)[0].numpy(), np.float64), plain, distance

    if split is None:
        log.warning("no split given: parity is checked on %d generated images", _GENERATED)
        files = {f"generated-{i}": pixels.encode_jpeg(generated_image(i), 95) for i in range(_GENERATED)}
        compared = compare([Source(name, name) for name in files], predict, loaded, files.__getitem__)
        return Parity(images_from="generated", parity=parity_report(compared, loaded.policy, config)), compared
    compared = compare(validation_sources(split, config.parity_images), predict, loaded)
    recorded = model.val_scores()
    parity = parity_report(compared, loaded.policy, config, loaded.refusal.limit)
    preparation = preparation_report(compared, recorded, loaded.policy, config)
    log.info(
        "parity on %d images: max |dp| %.2g; preparation: mean |dlogit| %.3g, %d changed decisions",
        parity.images,
        parity.max_probability_difference,
        preparation.mean_absolute_logit_shift,
        preparation.changed_decisions,
    )
    gained = {"augmentation": _gain(compared, recorded, loaded.policy)} if config.augmentation != "none" else {}
    return Parity(images_from="validation", parity=parity, preparation=preparation, **gained), compared


def _gain(compared: Compared, recorded: Scores, policy: DecisionPolicy) -> Augmentation:
    rows = recorded.rows_of(compared.image_id)
    known, rows = rows >= 0, rows[rows >= 0]
    plain, augmented = compared.plain_logit[known], compared.keras_logit[known]
    return gain(recorded.label[rows], recorded.group_id[rows], plain, augmented, policy)
