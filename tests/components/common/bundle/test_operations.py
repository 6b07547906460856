"""What may run is listed: every other operation is refused before anything is loaded, wherever it stands."""

import json
import shutil
import subprocess
import sys

import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from components.common.artifacts.folder import new_artifact
from components.common.bundle.load import load_bundle
from components.common.bundle.operations import allowed_operations, check_operations, record_operations
from components.common.bundle.verify import verify_bundle
from components.common.runtime.errors import ArtifactError
from components.export.saver import strip_saver


def read(folder):
    model = saved_model_pb2.SavedModel()
    model.ParseFromString((folder / "saved_model.pb").read_bytes())
    return model


def written_anew(source, out):
    """A bundle in which everything is right again after an edit: what somebody with intent would make."""
    record_operations(source)
    with new_artifact(out, "bundle", {}) as folder:
        shutil.copytree(source, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("artifact.json"))
    return out


def save(function, out):
    """A SavedModel from image bytes, as a maker with intent writes it: without the saver that gives others away."""
    traced = tf.function(function, [tf.TensorSpec([None], tf.string, "image_bytes")])
    tf.saved_model.save(tf.Module(), str(out), traced.get_concrete_function())
    strip_saver(out)
    return out


def save_v2(image_bytes):
    names = {"tensor_names": ["images"], "shape_and_slices": [""]}
    return tf.raw_ops.SaveV2(prefix="/tmp/stolen", tensors=[image_bytes], **names)


def debug_identity(image_bytes):
    return tf.raw_ops.DebugIdentityV3(input=image_bytes, debug_urls=["file:///tmp/stolen"], tensor_name="images")


def csv_dataset(image_bytes):
    del image_bytes
    rows = tf.data.experimental.CsvDataset("/etc/passwd", [""], field_delim=":", select_cols=[0])
    return rows.get_single_element()[0]


def abort(image_bytes):
    del image_bytes
    return tf.raw_ops.Abort(error_msg="", exit_without_error=True)


def py_func(image_bytes):
    return tf.py_function(lambda x: x, [image_bytes], tf.string)


def numpy_function(image_bytes):
    return tf.numpy_function(lambda x: x, [image_bytes], tf.string)


def read_file(image_bytes):
    return tf.io.read_file(image_bytes[0])


def dataset_from_graph(image_bytes):
    return tf.raw_ops.DatasetFromGraph(graph_def=image_bytes[0])


ATTACKS = {
    "SaveV2": save_v2,
    "DebugIdentityV3": debug_identity,
    "CSVDatasetV2": csv_dataset,
    "Abort": abort,
    "EagerPyFunc": py_func,
    "PyFunc": numpy_function,
    "ReadFile": read_file,
    "DatasetFromGraph": dataset_from_graph,
}


def plainly(image_bytes, attack):
    with tf.control_dependencies([attack(image_bytes)]):
        return {"status": tf.identity(image_bytes)}


def inside_a_branch(image_bytes, attack):
    return tf.cond(tf.size(image_bytes) > 0, lambda: plainly(image_bytes, attack), lambda: {"status": image_bytes})


def inside_a_dataset(image_bytes, attack):
    found = tf.data.Dataset.from_tensors(image_bytes).map(lambda data: plainly(data, attack)["status"])
    return {"status": found.get_single_element()}


@pytest.mark.parametrize("place", [plainly, inside_a_branch, inside_a_dataset], ids=lambda place: place.__name__)
@pytest.mark.parametrize("operation", ATTACKS)
def test_a_graph_that_leaves_itself_is_never_loaded(operation, place, exported, tmp_path, monkeypatch):
    copy = shutil.copytree(exported.path, tmp_path / "copy")
    shutil.rmtree(copy / "saved_model")
    save(lambda image_bytes: place(image_bytes, ATTACKS[operation]), copy / "saved_model")
    path = written_anew(copy, tmp_path / "bundle")
    monkeypatch.setattr(tf.saved_model, "load", lambda *_: pytest.fail("it was loaded"))
    for opened in (load_bundle, verify_bundle):
        with pytest.raises(ArtifactError, match=rf"the graph holds .*{operation}\b.*it was not loaded"):
            opened(path)


def test_what_is_allowed_is_what_a_bundle_needs_and_none_of_it_reaches_outside():
    allowed = allowed_operations()
    assert {"Conv2D", "DecodeJpeg", "IgnoreErrorsDataset", "PartitionedCall"} <= allowed
    assert not allowed & {*ATTACKS, "RestoreV2", "MergeV2Checkpoints", "WriteFile", "XlaHostCompute", "PrintV2"}
    parts = (
        "File",
        "Py",
        "Debug",
        "Print",
        "Summary",
        "Table",
        "Iterator",
        "Cache",
        "Snapshot",
        "Socket",
        "Send",
        "Recv",
        "Rpc",
        "Remote",
        "Sql",
        "Record",
        "Csv",
        "Text",
        "Fingerprint",
        "Abort",
        "Save",
        "Restore",
        "Checkpoint",
        "Reader",
        "Queue",
        "Tpu",
        "Xla",
        "Shard",
    )
    assert [name for name in allowed if any(part.lower() in name.lower() for part in parts)] == []


def test_operations_are_those_tensorflow_finds(exported):
    graph = read(exported.path / "saved_model").meta_graphs[0].graph_def
    theirs = {node.op for node in graph.node} | {n.op for f in graph.library.function for n in f.node_def}
    assert set(check_operations(exported.path / "saved_model")) == theirs <= allowed_operations()
    assert json.loads((exported.path / "operations.json").read_text())["operations"] == sorted(theirs)


def test_a_graph_that_differs_from_what_was_written_down_is_not_loaded(exported, tmp_path):
    record = json.loads((exported.path / "operations.json").read_text())
    record["operations"].remove("Conv2D")
    with new_artifact(tmp_path / "bundle", "bundle", {}) as folder:
        shutil.copytree(exported.path, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("artifact.json"))
        (folder / "operations.json").write_text(json.dumps(record))
    with pytest.raises(ArtifactError, match=r"the graph and operations\.json differ in Conv2D; it was not loaded"):
        load_bundle(tmp_path / "bundle")


@pytest.mark.parametrize(
    "name",
    [
        "saved_model.cpb",
        "saved_model.pbtxt",
        "assets/passwords",
        "assets.extra/tf_serving_warmup_requests",
        "variables/variables.data-00000-of-00001.py",
        "fingerprint.pb",
        "empty/",
    ],
)
def test_a_file_from_which_a_server_would_take_more_is_refused(name, exported, tmp_path):
    copy = shutil.copytree(exported.path / "saved_model", tmp_path / "copy")
    (copy / name).parent.mkdir(exist_ok=True)
    (copy / name).mkdir() if name.endswith("/") else (copy / name).write_bytes(b"")
    with pytest.raises(ArtifactError, match="not part of a bundle's model"):
        check_operations(copy)


def test_an_operation_with_a_name_of_any_kind_is_shown_as_text(exported, tmp_path):
    model = read(exported.path / "saved_model")
    model.meta_graphs[0].graph_def.node.add(name="x", op="Evil\n\x1b[2Jbundle OK")
    (tmp_path / "saved_model.pb").write_bytes(model.SerializeToString())
    with pytest.raises(ArtifactError, match=r"holds Evil\\n\\x1b\[2Jbundle OK, which"):
        check_operations(tmp_path)


def test_looking_needs_no_tensorflow():
    code = "import sys, components.common.bundle.operations; assert 'tensorflow' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
