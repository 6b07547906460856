"""Looks into a SavedModel without running or importing TensorFlow.

`saved_model.pb` is read at the level of protobuf's wire format (protobuf.dev/programming-guides/encoding),
just far enough to list the operations in it: a bundle is judged before anything loads it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from components.common.runtime.errors import ArtifactError

# Operations that leave the graph: foreign code, files, sockets, the host's environment.
_REFUSED = ("PyFunc", "EagerPyFunc", "PyFuncStateless", "ReadFile", "WriteFile", "MatchingFiles", "LoadDataset",
            "SaveDataset", "SaveDatasetV2", "DistributedSave", "TFRecordDataset", "TFRecordDatasetV2",
            "TextLineDataset", "FixedLengthRecordDataset", "FixedLengthRecordDatasetV2", "GeneratorDataset",
            "PrintV2", "Print", "XlaHostCompute", "Send", "Recv", "RemoteCall", "Rpc", "TryRpc", "SqlDataset",
            "WholeFileReaderV2", "ReaderReadV2", "InitializeTableFromTextFileV2", "DebugIdentityV2")  # fmt: skip

# Field numbers from root to the name of an operation: SavedModel.meta_graphs, MetaGraphDef.graph_def,
# then GraphDef.node.op or GraphDef.library.function.node_def.op.
_PATHS = ((2, 2, 1, 2), (2, 2, 2, 1, 3, 2))


def operations(folder: Path) -> list[str]:
    """Names of all operations in a SavedModel, sorted, each once.

    Raises:
        ArtifactError: there is no `saved_model.pb`, or it is not one.
    """
    path = folder / "saved_model.pb"
    try:
        data = memoryview(path.read_bytes())
        names = {bytes(name).decode() for fields in _PATHS for name in _descend(data, fields)}
    except FileNotFoundError:
        raise ArtifactError(f"{path}: no such file; expected a SavedModel") from None
    except (IndexError, ValueError) as error:
        raise ArtifactError(f"{path}: not a SavedModel ({error})") from None
    if not names:
        raise ArtifactError(f"{path}: holds no operations; expected a SavedModel")
    return sorted(names)


def check_operations(folder: Path) -> list[str]:
    """Refuses a SavedModel with operations that reach outside of the graph.

    Returns:
        The operations found.

    Raises:
        ArtifactError: names the operation.
    """
    found = operations(folder)
    refused = sorted(set(found) & set(_REFUSED))
    if refused:
        raise ArtifactError(
            f"{folder}: the graph holds {', '.join(refused)}, which reaches outside of the model; it was not loaded: "
            "export the bundle again from its model and policy"
        )
    return found


def _descend(data: memoryview, path: tuple[int, ...]) -> Iterator[memoryview]:
    for number, value in _fields(data):
        if number == path[0]:
            if len(path) == 1:
                yield value
            else:
                yield from _descend(value, path[1:])


def _fields(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Length-delimited fields of one message."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
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
