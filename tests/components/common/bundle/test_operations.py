"""Looking into a SavedModel without TensorFlow, and refusing what reaches outside of the graph."""

import subprocess
import sys

import pytest
import tensorflow as tf

from components.common.bundle.operations import check_operations, operations
from components.common.runtime.errors import ArtifactError


def test_operations_are_those_tensorflow_finds(exported):
    from tensorflow.core.protobuf import saved_model_pb2

    proto = saved_model_pb2.SavedModel()
    proto.ParseFromString((exported.path / "saved_model" / "saved_model.pb").read_bytes())
    graph = proto.meta_graphs[0].graph_def
    theirs = {node.op for node in graph.node} | {n.op for f in graph.library.function for n in f.node_def}
    assert set(operations(exported.path / "saved_model")) == theirs
    assert {"DecodeJpeg", "IgnoreErrorsDataset", "Conv2D"} <= theirs


def test_a_graph_that_reads_files_or_calls_python_is_refused(tmp_path):
    def reads(name):
        return {"content": tf.io.read_file(name)}

    module = tf.Module()
    function = tf.function(reads, [tf.TensorSpec([], tf.string, "name")])
    tf.saved_model.save(module, str(tmp_path / "reads"), function.get_concrete_function())
    with pytest.raises(ArtifactError, match="ReadFile, which reaches outside of the model; it was not loaded"):
        check_operations(tmp_path / "reads")


@pytest.mark.parametrize("content", [b"", b"\xff" * 40, b"\x12\xff\x7f", b"\x12\x02\x12\x00", b"no protobuf"])
def test_what_is_no_saved_model_is_refused(content, tmp_path):
    (tmp_path / "saved_model.pb").write_bytes(content)
    with pytest.raises(ArtifactError, match=r"saved_model\.pb: "):
        operations(tmp_path)


def test_looking_needs_no_tensorflow():
    code = "import sys, components.common.bundle.operations; assert 'tensorflow' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
