"""Takes out of a SavedModel what only training would need: a served graph writes no file.

`tf.saved_model.save` always adds a function that saves the variables, and one that restores them, although a bundle's
weights are constants. Both reach the file system, so a bundle is kept free of them and any graph that is not can be
refused. Variables remain only in a network too large for one graph file; then the function that restores them stays.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from components.common.artifacts.json_file import write_atomic


def strip_saver(folder: Path) -> None:
    """Rewrites `saved_model.pb` in a folder that `tf.saved_model.save` has just written.

    TensorFlow's loaders stay content: those that run the restoring node find one that does nothing, and the name of
    the node that would save is that of the path itself.
    """
    from tensorflow.core.protobuf import saved_model_pb2

    path = folder / "saved_model.pb"
    model = saved_model_pb2.SavedModel()
    model.ParseFromString(path.read_bytes())
    (graph,) = model.meta_graphs
    saver = graph.saver_def
    nodes = {node.name: node for node in graph.graph_def.node}
    save, restore = nodes[saver.save_tensor_name.partition(":")[0]], nodes[saver.restore_op_name]
    unused = {save.attr["f"].func.name}
    saver.save_tensor_name = saver.filename_tensor_name
    if not any(node.op == "VarHandleOp" for node in graph.graph_def.node):
        unused.add(restore.attr["f"].func.name)
        restore.Clear()
        restore.name, restore.op = saver.restore_op_name, "NoOp"
    _remove(graph.graph_def.node, lambda node: node.name == save.name)
    _remove(graph.graph_def.library.function, lambda function: function.signature.name in unused)
    write_atomic(path, model.SerializeToString(deterministic=True))
    # no longer true of the file, and nobody needs it: the artifact has a sha256 of its own
    (folder / "fingerprint.pb").unlink(missing_ok=True)
    if (folder / "assets").is_dir() and not any((folder / "assets").iterdir()):
        (folder / "assets").rmdir()


def _remove(repeated: Any, unwanted: Any) -> None:
    kept = [item for item in repeated if not unwanted(item)]
    del repeated[:]
    repeated.extend(kept)
