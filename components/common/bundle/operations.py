"""Holds a bundle's graph against the operations that bundles are made of, before anything is loaded.

TensorFlow has some 1,400 operations, and dozens of them leave the graph: they read and write files, open sockets, call
foreign code, end the process. So what may run is listed, not what may not: `operations.txt` names what our own graphs
use, with every backbone, calibrator, augmentation and precision (`make operations` writes it; a test holds every graph
against it). A graph's functions are part of its library, so one look at graph and library sees everything nested.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import ClassVar

from components.common.artifacts.json_file import FileDocument, shown
from components.common.bundle import layout
from components.common.bundle.saved_model import Function, SavedModel, read_saved_model
from components.common.runtime.errors import ArtifactError

ALLOWED = Path(__file__).with_name("operations.txt")
# TensorFlow also takes the graph from saved_model.cpb or .pbtxt, and servers read warm-up requests from assets.extra.
_FILES = re.compile(r"saved_model\.pb|variables|variables/variables\.(index|data-\d{5}-of-\d{5})")
_RESTORE = "RestoreV2"  # reads files: where a server loads the variables, and nowhere else
_SHOWN = 5


class Operations(FileDocument):
    """Content of `operations.json`: the operations in a bundle's graph when it was made, sorted."""

    FILE: ClassVar[str] = layout.OPERATIONS
    SCHEMA: ClassVar[str] = "lesionflow.operations/1"

    operations: list[str]


@cache
def allowed_operations() -> frozenset[str]:
    """Operations that may stand anywhere in a bundle's graph."""
    return frozenset(ALLOWED.read_text(encoding="utf-8").split())


def check_operations(folder: Path) -> list[str]:
    """Refuses a SavedModel with operations that our own graphs do not use, or with files beside the graph's own.

    Returns:
        The operations found, sorted.

    Raises:
        ArtifactError: names the operation or file.
    """
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if not _FILES.fullmatch(name):
            raise ArtifactError(f"{path}: not part of a bundle's model, which was not loaded; export the bundle again")
    model = read_saved_model(folder)
    found = model.operations()
    refused = sorted(set(found) - allowed_operations() - {_RESTORE})
    if not refused and not _only_restores_variables(model):
        refused = [_RESTORE]
    if refused:
        more = f" and {len(refused) - _SHOWN} more" if len(refused) > _SHOWN else ""
        shown = ", ".join(ascii(name)[1:-1] for name in refused[:_SHOWN])
        raise ArtifactError(
            f"{folder}: the graph holds {shown}{more}, which bundles are not made of and may reach outside of the "
            "model; it was not loaded: export the bundle again from its model and policy"
        )
    return found


def record_operations(bundle: Path) -> None:
    """Writes down which operations are in the graph of a bundle in the making."""
    Operations(operations=read_saved_model(bundle / layout.SAVED_MODEL).operations()).save(bundle)


def check_recorded_operations(bundle: Path) -> list[str]:
    """`check_operations`, and the graph must hold what was written down when it was made.

    Returns:
        The operations found, sorted.

    Raises:
        ArtifactError: an operation is not allowed, or the graph is not the one that the bundle was made with.
    """
    found = check_operations(bundle / layout.SAVED_MODEL)
    recorded = Operations.read(bundle).operations
    if recorded != found:
        known = {shown(name).strip("'") for name in recorded}
        odd = ", ".join(sorted(known ^ set(found))[:_SHOWN]) or "their order"
        raise ArtifactError(
            f"{bundle}: the graph and {layout.OPERATIONS} differ in {ascii(odd)[1:-1]}; it was not loaded: export the "
            "bundle again from its model and policy"
        )
    return found


def _only_restores_variables(model: SavedModel) -> bool:
    """Whether files are read only by the node that a server runs once, with the path of the variables."""
    reading = [f for f in model.functions if any(node.operation == _RESTORE for node in f.nodes)]
    if any(node.operation == _RESTORE for node in model.nodes):
        return False
    return all(_is_restorer(model, function) for function in reading)


def _is_restorer(model: SavedModel, function: Function) -> bool:
    """Whether only the saver's node calls a function, with the saver's placeholder, from which alone it reads."""
    filename = model.filename.partition(":")[0]
    nodes = {node.name: node for node in model.nodes}
    caller = nodes.get(model.restore)
    if caller is None or caller.functions != (function.name,) or caller.inputs[:1] != (filename,):
        return False
    if len(nodes) != len(model.nodes) or filename not in nodes or nodes[filename].operation != "Placeholder":
        return False
    if any(n.operation == _RESTORE and n.inputs[:1] != function.arguments[:1] for n in function.nodes):
        return False
    # once where it is defined and once where it is called: no entry point, no other node, nothing Python would load
    if model.data.tobytes().count(function.name.encode()) != 2:
        return False
    private = {filename, model.restore}
    sources = {name.lstrip("^").partition(":")[0] for n in model.nodes if n is not caller for name in n.inputs}
    return not sources & private and not any(name.encode() in model.signatures for name in private)
