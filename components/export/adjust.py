"""A bundle under an adjusted policy: a new bundle around the parent's own network, checked against the parent.

Nothing is exported again, since a bundle holds no Keras model. Graph and files are taken over with the new rule behind
them (`redecide`, `splice`); everything else that the parent carries is copied.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from components.common.artifacts.calibration import Recalibration
from components.common.artifacts.folder import MANIFEST, Artifact, new_artifact
from components.common.artifacts.json_file import read_object
from components.common.artifacts.policy import DecisionPolicy
from components.common.artifacts.scores import Scores, save_scores
from components.common.bundle import layout
from components.common.bundle.card import write_card
from components.common.bundle.card_facts import Adjusted, CardFacts, Chosen
from components.common.bundle.fingerprints import Fingerprints, read_fingerprints
from components.common.bundle.handover import refuse_itself
from components.common.bundle.load import Bundle, load_parts
from components.common.bundle.operations import record_operations
from components.common.bundle.parity_record import BundleAgreement, FormatFile, Formats, Parity, read_formats
from components.common.bundle.selftest import generated_image, write_selftest
from components.common.imaging import inspect, pixels
from components.common.runtime.errors import ArtifactError, ConfigError
from components.common.statistics.numeric import Floats
from components.export.config import ExportConfig
from components.export.formats import FILES, check_available, check_format, open_format, predict_all
from components.export.parity import expected_decisions
from components.export.resizing import resize_reference
from components.export.splice import splice

log = logging.getLogger(__name__)

_GENERATED = 8
_UNREADABLE = (b"", b"not an image")
# of the parent, made anew; everything else is copied
_ANEW = {
    MANIFEST,
    layout.FACTS,
    layout.SAVED_MODEL,
    layout.POLICY,
    layout.PREPROCESSING,
    layout.CARD,
    layout.PARITY,
    layout.FORMATS,
    layout.OPERATIONS,
    layout.SELFTEST,
    layout.RECALIBRATION,
    layout.REFERENCE_SCORES,
    *FILES.values(),
}


def adjust(
    parent: Bundle,
    policy: DecisionPolicy,
    record: Recalibration,
    validation: Artifact,
    scores: Scores,
    out: Path,
    *,
    images: Fingerprints | None = None,
    notice: str = "",
) -> Path:
    """Writes the parent's bundle under another policy.

    Args:
        parent: the bundle, loaded.
        policy: the new policy, of the same model.
        record: how it was chosen.
        validation: the validation that it was chosen on.
        scores: of the labelled images there.
        out: the new bundle.
        images: fingerprints of the images there, by which the new bundle knows them again.
        notice: what has to stand over everything said of those images.

    Raises:
        ArtifactError: the policy is another model's, or parent and child do not agree.
        ConfigError: `out` is the bundle itself.
    """
    source = parent.artifact
    refuse_itself(source.path, out)
    if policy.model_sha256 != parent.policy.model_sha256:
        raise ArtifactError(
            f"the policy belongs to model {policy.model_sha256[:12]}, {source.path} holds "
            f"{parent.policy.model_sha256[:12]}; adjust the bundle that was validated"
        )
    kept: dict[str, str] = {name: source.made_from[name] for name in ("model", "split") if name in source.made_from}
    made_from: dict[str, str] = {**kept, "bundle": source.digest, "validation": validation.digest}
    _check_rule(policy, scores.logit)
    with new_artifact(out, "bundle", made_from) as folder:
        log.info("adjusting %s: policy %s to %s", source.path, parent.policy.policy_id, policy.policy_id)
        _copy(source.path, folder)
        graphs = _write_graph(parent, policy, folder)
        policy.save(folder / layout.POLICY)
        _know_again(source.path, images, folder)
        save_scores(folder / layout.REFERENCE_SCORES, scores.numbered())
        replace(parent.preprocessing, policy_id=policy.policy_id).save(folder)
        record = record.of_bundle(source.digest, graphs)
        record.save(folder)
        child = load_parts(Artifact(folder, "bundle", "", {}, {}))
        _compare(parent, child).save(folder)
        write_selftest(child, folder)
        left_out = _write_formats(parent, policy, folder)
        told = Adjusted(**dict(record), notice=notice, left_out=left_out)
        write_card(folder, _facts(source.path, folder, told))
    log.info("bundle %s: policy %s of %s, network unchanged", out, policy.policy_id, parent.policy.policy_id)
    return out


def _copy(parent: Path, folder: Path) -> None:
    for path in sorted(parent.iterdir()):
        if path.name not in _ANEW:
            copy = shutil.copytree if path.is_dir() else shutil.copyfile
            copy(path, folder / path.name)


def _know_again(parent: Path, images: Fingerprints | None, folder: Path) -> None:
    """Adds the images of the site to what the parent has seen, so that no later validation counts them as new."""
    known = read_fingerprints(parent)
    if known is None:  # with those of the site alone, it would say that it has seen nothing else
        log.warning("%s carries no fingerprints, so the adjusted bundle cannot know any image again", parent)
    elif images is not None:
        known.joined(images).save(folder)


def _write_graph(parent: Bundle, policy: DecisionPolicy, folder: Path) -> dict[str, str]:
    from components.export.redecide import check_same_graph, write_again

    write_again(parent, policy, folder / layout.SAVED_MODEL)
    record_operations(folder)
    return check_same_graph(parent.artifact.path / layout.SAVED_MODEL, folder / layout.SAVED_MODEL)


def _check_rule(policy: DecisionPolicy, logit: Floats) -> None:
    """Holds the rule as graph operations against the policy in NumPy, on real logits, in both arithmetics.

    Raises:
        ArtifactError: a decision differs, or a probability by more than the tolerance of a bundle or a format.
    """
    import tensorflow as tf

    from components.export.redecide import decide_again

    config = ExportConfig()
    decision = np.zeros(len(logit), np.int32)
    before = {"logit": logit.astype(np.float32), "probability": np.zeros(len(logit), np.float32), "decision": decision}
    for kind, tolerance in ((tf.float64, config.parity_tolerance), (tf.float32, config.format_tolerance)):
        found = {
            k: v.numpy() for k, v in decide_again(policy, {k: tf.constant(v) for k, v in before.items()}, kind).items()
        }
        exact = before["logit"].astype(np.float64)
        apart = float(np.abs(found["probability"] - policy.probability(exact)).max())
        flips = int((found["decision"] != expected_decisions(policy, exact)).sum())
        if flips or not apart <= tolerance:
            raise ArtifactError(
                f"policy {policy.policy_id}: graph and policy disagree on {len(logit)} logits of the site: largest "
                f"difference in probability {apart:.3g} (allowed {tolerance:g}), {flips} changed decisions (allowed 0)"
            )


def _compare(parent: Bundle, child: Bundle) -> Parity:
    """Parity of both bundles on generated images, on files and on pixels.

    Raises:
        ArtifactError: a logit or a status differs, or the child does not decide by its policy.
    """
    images = [generated_image(i) for i in range(_GENERATED)]
    files = [(parent.artifact.path / layout.SELFTEST_IMAGE).read_bytes()]
    files += [pixels.encode_jpeg(image, 95) for image in images]
    predicted: tuple[tuple[Any, Any], ...] = (
        (parent.predict([*files, *_UNREADABLE]), child.predict([*files, *_UNREADABLE])),
        (parent.predict_pixels(np.stack(images)), child.predict_pixels(np.stack(images))),
    )
    policy, worst, apart, flips = child.policy, 0.0, 0.0, 0
    for before, after in predicted:
        read = before.probability >= 0
        apart = max(apart, float(np.abs(before.logit - after.logit).max()))
        same = all(
            np.array_equal(getattr(before, name)[~read], getattr(after, name)[~read])
            for name in ("probability", "decision", "status")
        ) and np.array_equal(before.distance, after.distance)
        if apart > 0 or not same or not np.array_equal(read, after.probability >= 0):
            raise ArtifactError(
                f"{parent.artifact.path}: the adjusted bundle reads generated images differently from its parent "
                f"(largest difference in logit {apart:.3g}); it was not written"
            )
        logit = after.logit[read].astype(np.float64)
        worst = max(worst, float(np.abs(policy.probability(logit) - after.probability[read]).max(initial=0.0)))
        flips += int((expected_decisions(policy, logit) != after.decision[read]).sum())
    tolerance = ExportConfig().parity_tolerance
    if flips or not worst <= tolerance:
        raise ArtifactError(
            f"{parent.artifact.path}: the adjusted bundle does not decide by its policy: largest difference in "
            f"probability {worst:.3g} (allowed {tolerance:g}), {flips} changed decisions; it was not written"
        )
    return Parity(
        images_from="generated",
        parity=BundleAgreement(
            images=len(files) + len(images),
            max_probability_difference=worst,
            max_logit_difference=apart,
            changed_decisions=flips,
            tolerance=tolerance,
        ),
        parent=Parity.read(parent.artifact.path),
    )


def _write_formats(parent: Bundle, policy: DecisionPolicy, folder: Path) -> list[str]:
    """Every further file of the parent under the new policy; returns a sentence for each that is left out."""
    path, how = parent.artifact.path, parent.preprocessing
    of_parent = read_formats(path)
    if not of_parent:
        return []
    files = [pixels.encode_jpeg(generated_image(i), 95) for i in range(_GENERATED)]
    prepared = np.stack([resize_reference(inspect.decode_rgb(data), how.record_size, how.image_size) for data in files])
    entries: dict[str, FormatFile] = {}
    left_out = []
    for name, entry in of_parent.items():
        try:
            check_available([name])
        except ConfigError as error:
            left_out.append(f"{entry.file} of the parent was left out: {error}")
            log.warning("%s", left_out[-1])
            continue
        of_file = predict_all(open_format(name, path / entry.file), prepared)
        before = of_file["logit"].astype(np.float64)
        splice(name, path / entry.file, policy, folder / entry.file)
        after = open_format(name, folder / entry.file)(prepared)["logit"]
        if not np.array_equal(before, after):
            raise ArtifactError(f"{path / entry.file}: the adjusted file gives other logits; it was not written")
        expected, limit = _expected(policy, of_file), parent.refusal.limit
        tolerance = entry.tolerance
        entries[name] = check_format(name, folder / entry.file, prepared, policy, expected, tolerance, limit)
    if entries:
        Formats(formats=entries).save(folder)
    return sorted(left_out)


def _expected(policy: DecisionPolicy, parent: Mapping[str, Any]) -> dict[str, Any]:
    """What a file must predict under a policy, from its parent's predictions: what that refused stays refused."""
    logit, refused = parent["logit"].astype(np.float64), parent["status"] == layout.NOT_DERMOSCOPY
    return {
        "probability": np.where(refused, layout.NO_PROBABILITY, policy.probability(logit)),
        "decision": np.where(refused, layout.REFER, expected_decisions(policy, logit)),
        "status": parent["status"],
        "distance": parent["distance"],
    }


def _facts(parent: Path, folder: Path, record: Adjusted) -> CardFacts:
    """The card's facts: the parent's, where the adjustment changed nothing."""
    before = CardFacts.read(parent)
    anew = {"policy", "calibration", "preprocessing", "parity", "formats", "recalibration"}
    return CardFacts(
        **{name: getattr(before, name) for name in before.model_fields_set - anew},
        policy=read_object(folder / layout.POLICY),
        calibration=Chosen(config=record.config),
        preprocessing=read_object(folder / layout.PREPROCESSING),
        parity=Parity.read(folder),
        formats=read_formats(folder),
        recalibration=record,
    )
