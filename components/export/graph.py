"""The serving graph: image bytes in, probability and decision out, as a SavedModel."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from components.common.artifacts.policy import DecisionPolicy
from components.common.bundle import layout
from components.common.bundle.preprocessing import Preparation
from components.common.runtime.errors import ArtifactError
from components.common.runtime.plain_path import plain_path
from components.export import rule
from components.export.decoding import decode
from components.export.familiar import Familiar, with_pooled_features
from components.export.resizing import resize
from components.export.saver import strip_saver

_DECODERS = 8
_CONSTANTS = 2**30  # bytes of weights


def prepare_bytes(image_bytes: Any, how: Preparation) -> tuple[Any, Any]:
    """Files to network input: string [N] to uint8 [max(N, 1), H, W, 3] and as many status codes, int32.

    TensorFlow's decoders raise on damaged data, which would fail the whole batch. Inside a tf.data
    pipeline such an element can be dropped instead; the rows that are missing afterwards are the
    damaged ones. One more element stands at the end so that the result is never empty.
    """
    count = tf.shape(image_bytes, out_type=tf.int64)[0]
    at_least_one = tf.maximum(count, 1)  # networks fail on batches of zero once TensorFlow has optimised them

    def one(row: Any, data: Any) -> tuple[Any, Any, Any]:
        rgb, status = decode(data, how.min_side, how.max_pixels)
        return row, resize(rgb[None], how.record_size, how.image_size)[0], status

    blank = tf.zeros([*how.image_size, 3], tf.uint8)
    rows = tf.data.Dataset.from_tensor_slices((tf.range(count), image_bytes))
    rows = rows.map(one, num_parallel_calls=_DECODERS, deterministic=True).ignore_errors()
    rows = rows.concatenate(tf.data.Dataset.from_tensors((count, blank, layout.OK)))
    row, pixels, status = rows.batch(count + 1).get_single_element()
    shape = tf.concat([[at_least_one], tf.constant([*how.image_size, 3], tf.int64)], 0)
    all_pixels = tf.scatter_nd(row[:-1, None], pixels[:-1], shape)
    all_status = tf.tensor_scatter_nd_update(tf.fill([at_least_one], layout.CORRUPT), row[:-1, None], status[:-1])
    return tf.ensure_shape(all_pixels, [None, *how.image_size, 3]), all_status


def prepare_pixels(pixels: Any, how: Preparation) -> tuple[Any, Any]:
    """Decoded images to network input: uint8 [N, h, w, 3] to uint8 [max(N, 1), H, W, 3] and status codes."""
    missing = tf.maximum(1 - tf.shape(pixels)[0], 0)
    pixels = tf.pad(pixels, [[0, missing], [0, 0], [0, 0], [0, 0]])
    shape = tf.shape(pixels, out_type=tf.int64)
    status = tf.where(tf.minimum(shape[1], shape[2]) < how.min_side, layout.TOO_SMALL, layout.OK)
    status = tf.where(shape[1] * shape[2] > how.max_pixels, layout.TOO_LARGE, status)

    def skip() -> Any:
        return tf.zeros(tf.concat([shape[:1], tf.constant([*how.image_size, 3], tf.int64)], 0), tf.uint8)

    ready = tf.cond(tf.equal(status, layout.OK), lambda: resize(pixels, how.record_size, how.image_size), skip)
    return tf.ensure_shape(ready, [None, *how.image_size, 3]), tf.fill(shape[:1], status)


def scored(network: Callable[..., Any], pixels: Any, augmentation: str, familiar: Familiar | None) -> tuple[Any, Any]:
    """Raw malignant logits, the mean over mirrored views with flips, and distances from the training images.

    Args:
        network: pixels to logits [N, 1]; where there is `familiar`, to a list with pooled features behind the logits.
        pixels: [N, H, W, 3].
        augmentation: none or flips; the distance is that of the image as it is.
        familiar: what is like the training images.

    Returns:
        Logits and distances, float32 [N] each; None for the distances without `familiar`.
    """
    outputs = [network(view, training=False) for view in _views(pixels, augmentation)]
    distance = None
    if familiar is not None:
        distance = familiar.distance(outputs[0][1:])
        outputs = [output[0] for output in outputs]
    logits = [tf.cast(output, tf.float32)[:, 0] for output in outputs]
    return tf.add_n(logits) / float(len(logits)), distance


def member_logits(members: Callable[..., Any], pixels: Any, augmentation: str) -> Any:
    """Raw malignant logits of each member of an ensemble, float32 [N, members], the mean over the same views."""
    views = [members(view, training=False) for view in _views(pixels, augmentation)]
    logits = [tf.stack([tf.cast(one, tf.float32)[:, 0] for one in outputs], axis=1) for outputs in views]
    return tf.add_n(logits) / float(len(logits))


def _views(pixels: Any, augmentation: str) -> list[Any]:
    plain = tf.cast(pixels, tf.float32)
    if augmentation != "flips":
        return [plain]
    return [tf.reverse(plain, axes) for axes in ([], [1], [2], [1, 2])]


def with_members(network: Any) -> Any:
    """An ensemble as a network with several outputs: its own, then each member's."""
    import keras

    mean = network.layers[-1]
    if not isinstance(mean, keras.layers.Average):
        raise ArtifactError(f"an ensemble's last layer is {type(mean).__name__}, expected Average; make it again")
    return keras.Model(network.input, [network.output, *mean.input])


def with_constants(network: Any, most_bytes: int = _CONSTANTS) -> Any:
    """The network with its weights as constants of the graph instead of variables.

    TensorFlow then folds each batch normalisation into the convolution in front of it, which saves a
    quarter of the time on a CPU core. A graph file ends at 2 GB, so a very large network keeps variables.
    """
    kinds = (network.trainable_variables, network.non_trainable_variables)
    trainable, fixed = ([np.asarray(value) for value in known] for known in kinds)
    if sum(value.nbytes for value in (*trainable, *fixed)) > most_bytes:
        return network

    def logits(pixels: Any) -> Any:
        values = ([tf.constant(value) for value in known] for known in (trainable, fixed))
        return network.stateless_call(*values, pixels, training=False)[0]  # of outputs and state

    function = tf.function(logits, [tf.TensorSpec(network.input_shape, tf.float32)])
    return lambda pixels, training: function(pixels)


def signatures(
    network: Callable[..., Any],
    policy: DecisionPolicy,
    how: Preparation,
    members: Callable[..., Any] | None = None,
    familiar: Familiar | None = None,
) -> Mapping[str, Any]:
    """The bundle's entry points, as traced functions by signature name: two, and a third for an ensemble.

    Args:
        network: pixels to logits [N, 1]; where there is `familiar`, to a list with pooled features behind the logits.
        policy: the decision policy.
        how: what happens to an image before.
        members: pixels to the logits of each member, for an ensemble.
        familiar: what is like the training images; images beyond its limit are refused.
    """
    shape = tf.TensorSpec([None, *how.image_size, 3], tf.uint8)
    # one function, or its constants would stand in the graph once for each entry point
    score = tf.function(lambda pixels: scored(network, pixels, how.augmentation, familiar), [shape])
    limit = familiar.limit if familiar is not None else None

    def serving_default(image_bytes: Any) -> dict[str, Any]:
        pixels, status = prepare_bytes(image_bytes, how)
        logit, distance = score(pixels)
        outputs = rule.decide(policy, logit, status, distance=distance, limit=limit)
        return {name: value[: tf.shape(image_bytes)[0]] for name, value in outputs.items()}

    def predict_pixels(pixels: Any) -> dict[str, Any]:
        ready, status = prepare_pixels(pixels, how)
        logit, distance = score(ready)
        outputs = rule.decide(policy, logit, status, distance=distance, limit=limit)
        return {name: value[: tf.shape(pixels)[0]] for name, value in outputs.items()}

    def each_member(image_bytes: Any) -> dict[str, Any]:
        pixels, _ = prepare_bytes(image_bytes, how)
        return {"logit": member_logits(members, pixels, how.augmentation)[: tf.shape(image_bytes)[0]]}  # type: ignore[arg-type]

    files = [tf.TensorSpec([None], tf.string, "image_bytes")]
    found = {
        "serving_default": tf.function(serving_default, files),
        "predict_pixels": tf.function(predict_pixels, [tf.TensorSpec([None, None, None, 3], tf.uint8, "pixels")]),
    }
    return {**found, layout.MEMBER_LOGITS: tf.function(each_member, files)} if members else found


def write_saved_model(
    network: Any,
    policy: DecisionPolicy,
    how: Preparation,
    out: Path,
    most_bytes: int = _CONSTANTS,
    *,
    members: bool = False,
    familiar: Familiar | None = None,
) -> None:
    """Writes the SavedModel folder `out`; weights of more than `most_bytes` stay variables.

    Args:
        network: the Keras model.
        policy: the decision policy.
        how: what happens to an image before.
        out: the folder.
        most_bytes: the most that becomes constants.
        members: whether it is an ensemble, whose members' own logits become a third signature.
        familiar: what is like the training images; images beyond its limit are refused.
    """
    module = tf.Module()
    network = with_members(network) if members else network
    network = network if familiar is None else with_pooled_features(network)
    served = with_constants(network, most_bytes)
    if served is network:
        module.network_variables = [variable.value for variable in network.variables]  # else TensorFlow saves copies
    if members:
        end = len(network.outputs) - (len(familiar.gaussians) if familiar is not None else 0)

        def whole(pixels: Any, training: bool) -> Any:
            outputs = served(pixels, training=training)
            return outputs[0] if familiar is None else [outputs[0], *outputs[end:]]

        functions = signatures(
            whole, policy, how, lambda pixels, training: served(pixels, training=training)[1:end], familiar
        )
    else:
        functions = signatures(served, policy, how, familiar=familiar)
    concrete = {name: function.get_concrete_function() for name, function in functions.items()}
    out.mkdir()
    with plain_path(out) as folder:
        tf.saved_model.save(module, str(folder), signatures=concrete)
    strip_saver(out)
