"""Reads a SavedModel without running or importing TensorFlow: a bundle is judged before anything loads it.

`saved_model.pb` is read at the level of protobuf's wire format (protobuf.dev/programming-guides/encoding). Where
protobuf leaves a reader freedom (a field that is there twice, numbers longer than they need be) two readers may see
two graphs, so such files are refused: TensorFlow never writes them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from components.common.runtime.errors import ArtifactError

# Field numbers, from TensorFlow's saved_model.proto, meta_graph.proto, saver.proto, graph.proto, function.proto,
# op_def.proto, node_def.proto and attr_value.proto.
_META_GRAPH, _GRAPH, _SAVER, _SIGNATURES = 2, 2, 3, 5
_FILENAME, _RESTORE = 1, 3
_NODE, _LIBRARY, _FUNCTION, _FUNCTION_SIGNATURE, _FUNCTION_NODE = 1, 2, 1, 1, 3
_OPERATION_NAME, _ARGUMENT, _ARGUMENT_NAME = 1, 2, 1
_NODE_NAME, _NODE_OPERATION, _NODE_INPUT, _NODE_ATTRIBUTE = 1, 2, 3, 5
_ENTRY_VALUE, _LIST, _LIST_FUNCTION, _VALUE_FUNCTION, _CALL_NAME, _CALL_ATTRIBUTE = 2, 1, 9, 10, 1, 2


@dataclass(frozen=True)
class Node:
    """One operation in a graph.

    Attributes:
        name: unique in its graph.
        operation: its type, such as Conv2D.
        inputs: `node`, `node:output` or `^node` for each tensor or control dependency it takes.
        functions: functions that it names, such as those it calls.
    """

    name: str
    operation: str
    inputs: tuple[str, ...]
    functions: tuple[str, ...]


@dataclass(frozen=True)
class Function:
    """A graph with arguments, which nodes call by its name."""

    name: str
    arguments: tuple[str, ...]
    nodes: tuple[Node, ...]


@dataclass(frozen=True)
class SavedModel:
    """What a SavedModel would run.

    Attributes:
        nodes: the graph itself.
        functions: its library; everything nested is here, since TensorFlow nests graphs by name only.
        filename: tensor that takes the path of the variables when a server loads the model; empty: none.
        restore: node that a server runs with it.
        signatures: the table of entry points, as it is encoded.
        data: the whole file.
    """

    nodes: tuple[Node, ...]
    functions: tuple[Function, ...]
    filename: str
    restore: str
    signatures: bytes
    data: memoryview

    def operations(self) -> list[str]:
        """Names of all operations, sorted, each once."""
        everywhere = (self.nodes, *(function.nodes for function in self.functions))
        return sorted({node.operation for nodes in everywhere for node in nodes})


def read_saved_model(folder: Path) -> SavedModel:
    """Reads `saved_model.pb` in a SavedModel's folder.

    Raises:
        ArtifactError: there is none, it is not a SavedModel, or it holds more than one graph.
    """
    path = folder / "saved_model.pb"
    try:
        return _saved_model(memoryview(path.read_bytes()))
    except FileNotFoundError as error:
        raise ArtifactError(f"{path}: no such file; expected a SavedModel") from error
    except (IndexError, ValueError) as error:
        raise ArtifactError(f"{path}: not a SavedModel ({error}); export the bundle again") from error


def _saved_model(data: memoryview) -> SavedModel:
    graphs = _every(data, _META_GRAPH)
    if len(graphs) != 1:
        raise ValueError(f"it holds {len(graphs)} graphs, expected 1")
    graph, saver = _one(graphs[0], _GRAPH), _one(graphs[0], _SAVER)
    nodes = tuple(_node(body) for body in _every(graph, _NODE))
    if not nodes:
        raise ValueError("it holds no operations")
    return SavedModel(
        nodes=nodes,
        functions=tuple(_function(body) for body in _every(_one(graph, _LIBRARY), _FUNCTION)),
        filename=_text(saver, _FILENAME),
        restore=_text(saver, _RESTORE),
        signatures=b"".join(_every(graphs[0], _SIGNATURES)),
        data=data,
    )


def _function(body: memoryview) -> Function:
    signature = _one(body, _FUNCTION_SIGNATURE)
    return Function(
        name=_text(signature, _OPERATION_NAME),
        arguments=tuple(_text(argument, _ARGUMENT_NAME) for argument in _every(signature, _ARGUMENT)),
        nodes=tuple(_node(node) for node in _every(body, _FUNCTION_NODE)),
    )


def _node(body: memoryview) -> Node:
    return Node(
        name=_text(body, _NODE_NAME),
        operation=_text(body, _NODE_OPERATION),
        inputs=tuple(bytes(name).decode() for name in _every(body, _NODE_INPUT)),
        functions=tuple(_called(_every(body, _NODE_ATTRIBUTE))),
    )


def _called(entries: list[memoryview]) -> Iterator[str]:
    """Names of functions in the attributes of a node, and in the attributes of those."""
    for entry in entries:
        value = _one(entry, _ENTRY_VALUE)
        calls = _every(value, _VALUE_FUNCTION)
        for some in _every(value, _LIST):
            calls += _every(some, _LIST_FUNCTION)
        for call in calls:
            yield _text(call, _CALL_NAME)
            yield from _called(_every(call, _CALL_ATTRIBUTE))


def _text(data: memoryview, number: int) -> str:
    return bytes(_one(data, number)).decode()


def _one(data: memoryview, number: int) -> memoryview:
    """A field that may be there once; empty where it is not there."""
    found = _every(data, number)
    if len(found) > 1:
        raise ValueError(f"field {number} is there {len(found)} times, expected once")
    return found[0] if found else memoryview(b"")


def _every(data: memoryview, number: int) -> list[memoryview]:
    return [value for found, value in _fields(data) if found == number]


def _fields(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Length-delimited fields of one message."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        if key >= 1 << 32:  # some readers would drop the upper bits and see another field
            raise ValueError(f"field key {key} is longer than 32 bits")
        kind = key & 7
        if kind == 2:
            size, at = _varint(data, at)
            if at + size > len(data):
                raise ValueError("a field is longer than the file")
            yield key >> 3, data[at : at + size]
            at += size
        elif kind == 0:
            _, at = _varint(data, at)
        elif kind in (1, 5):
            at += 8 if kind == 1 else 4
        else:
            raise ValueError(f"wire type {kind}")
    if at > len(data):
        raise ValueError("a number is longer than the file")


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
        if shift > 63:
            raise ValueError("a number is longer than 64 bits")
