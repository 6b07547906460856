"""ONNX and LiteRT files with another decision policy behind them: the rule is appended to the file as it is.

Weights and operations of the parent's file are taken over untouched. Only its outputs probability and decision
become inner values, which the appended rule reads together with the logit.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from components.common.artifacts.policy import DecisionPolicy
from components.common.runtime.errors import ArtifactError
from components.export.formats import OPSET

_NEEDED = ("probability", "logit", "decision")
_BEFORE = "before_"  # names of the rule's inputs, which must differ from those of its outputs


def splice(name: str, parent: Path, policy: DecisionPolicy, out: Path) -> None:
    """Writes the file `out`: that of the parent with another policy behind it.

    Raises:
        ArtifactError: the parent's file does not have the outputs that a rule needs.
    """
    if name == "onnx":
        _splice_onnx(parent, policy, out)
    else:
        _splice_litert(parent, policy, out)


def _rule(policy: DecisionPolicy, outputs: Sequence[str], kind: Any) -> tuple[Any, list[Any]]:
    """The rule as a traced function of a parent's outputs, and its inputs."""
    import tensorflow as tf

    from components.export.redecide import DECIDED, decide_again

    kinds = {"probability": tf.float32, "logit": tf.float32, "decision": tf.int32, "status": tf.int32}
    names = [name for name in kinds if name in outputs]

    def decide(*values: Any) -> dict[str, Any]:
        found = decide_again(policy, dict(zip(names, values, strict=True)), kind)
        return {name: found[name] for name in DECIDED if name in names}

    inputs = [tf.TensorSpec([None], kinds[name], _BEFORE + name) for name in names]
    return tf.function(decide, inputs), inputs


def _splice_onnx(parent: Path, policy: DecisionPolicy, out: Path) -> None:
    import onnx
    import tensorflow as tf
    import tf2onnx

    model = onnx.load(str(parent))
    outputs = _checked(parent, [output.name for output in model.graph.output])
    function, inputs = _rule(policy, outputs, tf.float64)
    rule, _ = tf2onnx.convert.from_function(function, inputs, opset=OPSET)
    mark = f"{policy.policy_id}/"  # unlike any name in the parent, which may have been adjusted itself
    decided = [output.name for output in rule.graph.output]
    _rename(model.graph, {name: mark + _BEFORE + name for name in decided})
    inner = {value for node in rule.graph.node for value in (*node.input, *node.output) if value}
    inner |= {one.name for one in rule.graph.initializer}
    names = {name: mark + name for name in inner - set(decided)} | {_BEFORE + "logit": "logit"}
    _rename(rule.graph, names)
    for node in rule.graph.node:
        node.name = mark + node.name
    model.graph.node.extend(rule.graph.node)
    model.graph.initializer.extend(rule.graph.initializer)
    for output in model.graph.output:
        output.name = output.name.removeprefix(mark + _BEFORE)
    onnx.checker.check_model(model)
    out.write_bytes(model.SerializeToString(deterministic=True))


def _rename(graph: Any, names: dict[str, str]) -> None:
    """Renames values of an ONNX graph."""
    for node in graph.node:
        for values in (node.input, node.output):
            values[:] = [names.get(value, value) for value in values]
    for one in (*graph.initializer, *graph.output):
        one.name = names.get(one.name, one.name)


def _splice_litert(parent: Path, policy: DecisionPolicy, out: Path) -> None:
    import flatbuffers
    import tensorflow as tf
    from ai_edge_litert import schema_py_generated as schema

    def read(data: bytes) -> Any:
        return schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(data, 0))

    model = read(parent.read_bytes())
    answers = {item.name.decode(): item for item in model.signatureDefs[0].outputs}
    function, _ = _rule(policy, _checked(parent, list(answers)), tf.float32)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()], tf.Module())
    rule = read(converter.convert())
    before = {_BEFORE + name: item.tensorIndex for name, item in answers.items()}
    asked = {item.tensorIndex: before[item.name.decode()] for item in rule.signatureDefs[0].inputs}
    place = _append(model, rule, asked, f"{policy.policy_id}/".encode())
    for item in rule.signatureDefs[0].outputs:
        answers[item.name.decode()].tensorIndex = place[item.tensorIndex]
    model.subgraphs[0].outputs = [item.tensorIndex for item in answers.values()]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    out.write_bytes(builder.Output())


def _append(model: Any, rule: Any, asked: dict[int, int], mark: bytes) -> dict[int, int]:
    """Appends the rule's tensors and operators to a LiteRT model; returns where each of the rule's tensors is now."""
    graph, added = model.subgraphs[0], rule.subgraphs[0]
    buffers, codes = len(model.buffers), len(model.operatorCodes)
    model.buffers.extend(rule.buffers)
    model.operatorCodes.extend(rule.operatorCodes)
    place = dict(asked)
    for index, tensor in enumerate(added.tensors):
        if index in asked:
            continue
        place[index] = len(graph.tensors)
        tensor.buffer += buffers
        tensor.name = mark + tensor.name
        graph.tensors.append(tensor)
    for operator in added.operators:
        operator.opcodeIndex += codes
        for side in ("inputs", "outputs"):
            setattr(operator, side, [place[i] if i >= 0 else i for i in getattr(operator, side)])
        graph.operators.append(operator)
    return place


def _checked(parent: Path, names: list[str]) -> list[str]:
    missing = sorted(set(_NEEDED) - set(names))
    if missing:
        raise ArtifactError(f"{parent}: lacks outputs {missing}, expected {list(_NEEDED)}; export the bundle again")
    return names
