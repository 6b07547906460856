"""A bundle's graph with another decision policy behind it: the parent's graph is called whole, its logit decided anew.

A bundle holds no Keras model, and it needs none: calibrator and threshold act on the raw logit, which every graph of
ours puts out. Every other output of the parent, and whatever it refuses to read, stays as it is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from components.common.artifacts.policy import DecisionPolicy
from components.common.bundle import layout
from components.common.bundle.load import Bundle
from components.common.runtime.errors import ArtifactError
from components.common.runtime.plain_path import plain_path
from components.export import rule
from components.export.saver import strip_saver

DECIDED = ("probability", "decision", "status")
_INPUTS = {
    "serving_default": tf.TensorSpec([None], tf.string, "image_bytes"),
    "predict_pixels": tf.TensorSpec([None, None, None, 3], tf.uint8, "pixels"),
}


def decide_again(policy: DecisionPolicy, parent: Mapping[str, Any], kind: Any = tf.float64) -> dict[str, Any]:
    """The outputs of a graph under another policy.

    Args:
        policy: the new policy.
        parent: outputs of the parent's graph: `logit`, `probability`, `decision` and any others.
        kind: arithmetic of the calibrator, as in `rule.decide`.

    Returns:
        The same outputs. Rows for which the parent gave no probability keep its outputs.
    """
    answered = parent["probability"] >= 0
    outputs = rule.decide(policy, parent["logit"], tf.fill(tf.shape(parent["decision"]), layout.OK), kind)
    if "status" in parent and parent["status"].dtype != tf.string:  # a code, in files for runtimes without text
        outputs["status"] = tf.where(tf.equal(outputs["decision"], layout.REFER), layout.REFERRED, layout.OK)
    changed = {name: tf.where(answered, outputs[name], parent[name]) for name in DECIDED if name in parent}
    return {**parent, **changed, **({"policy_id": outputs["policy_id"]} if "policy_id" in parent else {})}


def write_again(parent: Bundle, policy: DecisionPolicy, out: Path) -> None:
    """Writes the SavedModel folder `out`: the parent's graph with another policy behind it."""

    def traced(signature: Any, entry: Any) -> Any:
        function = tf.function(lambda value: decide_again(policy, signature(**{entry.name: value})), [entry])
        return function.get_concrete_function()

    module = tf.Module()
    module.parent = parent.owner  # keeps the variables of a network too large for constants
    concrete = {name: traced(parent.signatures[name], entry) for name, entry in _INPUTS.items()}
    if layout.MEMBER_LOGITS in parent.signatures:  # of an ensemble; no policy has a part in it
        each, files = parent.signatures[layout.MEMBER_LOGITS], _INPUTS["serving_default"]
        passed = tf.function(lambda value: each(image_bytes=value), [files])
        concrete[layout.MEMBER_LOGITS] = passed.get_concrete_function()
    out.mkdir()
    with plain_path(out) as folder:
        tf.saved_model.save(module, str(folder), signatures=concrete)
    strip_saver(out)


def check_same_graph(parent: Path, child: Path) -> dict[str, str]:
    """Finds the graph behind each of the parent's entry points again, whole and unchanged, inside the child.

    Returns:
        sha256 of each entry point's graph, with all functions it calls and all constants, by signature.

    Raises:
        ArtifactError: the child holds another graph.
    """
    before, after = _read(parent), _read(child)
    known = set(_digests(after.graph_def.library.function).values())
    digests = _digests(before.graph_def.library.function)
    own = (name for name in (*layout.SIGNATURES, layout.MEMBER_LOGITS) if name in before.signature_def)
    found = {name: digests[_entry(before, name)] for name in own}
    for name, digest in found.items():
        if digest not in known:
            raise ArtifactError(
                f"{child}: the graph behind {name} is not that of {parent} (sha256 {digest[:12]}); the bundle was not "
                "adjusted; make it with the version of TensorFlow that made its parent"
            )
    return found


def _read(folder: Path) -> Any:
    from tensorflow.core.protobuf import saved_model_pb2

    model = saved_model_pb2.SavedModel()
    model.ParseFromString((folder / "saved_model.pb").read_bytes())
    return model.meta_graphs[0]


def _entry(graph: Any, signature: str) -> str:
    """Name of the function that a signature calls."""
    (output, *_) = graph.signature_def[signature].outputs.values()
    (node,) = (node for node in graph.graph_def.node if node.name == output.name.partition(":")[0])
    return str(node.attr["f"].func.name)


def _digests(functions: Any) -> dict[str, str]:
    """sha256 of each function by its name: of its nodes and constants, with called functions in place of their names.

    TensorFlow numbers functions anew whenever it saves, so a name says nothing.
    """
    by_name = {function.signature.name: function for function in functions}
    done: dict[str, str] = {}

    def digest(name: str) -> str:
        if name not in done:
            body = type(by_name[name])()
            body.CopyFrom(by_name[name])
            body.signature.name = ""
            body.attr.clear()
            for node in body.node_def:
                for key in [key for key in node.attr if key.startswith("_")]:  # hints for the runtime, numbered too
                    del node.attr[key]
                for value in node.attr.values():
                    for call in (value.func, *value.list.func) if value.WhichOneof("value") in ("func", "list") else ():
                        if call.name in by_name:
                            call.name = digest(call.name)
            nodes = sorted(body.node_def, key=lambda node: str(node.name))  # their order means nothing
            del body.node_def[:]
            body.node_def.extend(nodes)
            done[name] = hashlib.sha256(body.SerializeToString(deterministic=True)).hexdigest()
        return done[name]

    for name in by_name:
        digest(name)
    return done
