"""A served graph writes no file, and reads one only where a server restores the variables of a very large network."""

import ctypes
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from components.common.artifacts.policy import Calibrator, DecisionPolicy
from components.common.bundle.operations import check_operations
from components.common.bundle.preprocessing import Preparation
from components.common.runtime.errors import ArtifactError
from components.export.graph import write_saved_model

POLICY = DecisionPolicy(Calibrator("platt", 1.4, {"a": 0.9, "b": 0.1}), 0.0, 0.3, {}, {}, 0.2, "m", "v")


@pytest.fixture(scope="module")
def network(kit):
    return kit.build_network("float32")


@pytest.fixture(scope="module")
def constants(network, kit, tmp_path_factory):
    out = tmp_path_factory.mktemp("constants") / "saved_model"
    write_saved_model(network, POLICY, Preparation(kit.size, min(kit.size)), out)
    return out


@pytest.fixture(scope="module")
def variables(network, kit, tmp_path_factory):
    out = tmp_path_factory.mktemp("variables") / "saved_model"
    write_saved_model(network, POLICY, Preparation(kit.size, min(kit.size)), out, most_bytes=0)
    return out


@pytest.fixture(params=["constants", "variables"])
def saved(request):
    return request.getfixturevalue(request.param)


def test_nothing_saves_and_only_variables_are_restored(constants, variables):
    assert not {"SaveV2", "RestoreV2", "MergeV2Checkpoints"} & set(check_operations(constants))
    found = set(check_operations(variables))
    assert not {"SaveV2", "MergeV2Checkpoints"} & found
    assert {"RestoreV2", "VarHandleOp", "AssignVariableOp"} <= found


def load_as_servers_do(folder):
    """TensorFlow's own C++ loader, which TensorFlow Serving uses: it runs the restoring node. Returns its message."""
    library = ctypes.CDLL(str(Path(tf.sysconfig.get_lib()) / "libtensorflow_cc.so.2"))
    for name in ("TF_NewSessionOptions", "TF_NewGraph", "TF_NewStatus", "TF_LoadSessionFromSavedModel"):
        getattr(library, name).restype = ctypes.c_void_p
    library.TF_Message.restype = ctypes.c_char_p
    handles = [ctypes.c_void_p(getattr(library, f"TF_New{name}")()) for name in ("SessionOptions", "Graph", "Status")]
    options, graph, status = handles
    tags = (ctypes.c_char_p * 1)(b"serve")
    library.TF_LoadSessionFromSavedModel(options, None, str(folder).encode(), tags, 1, graph, None, status)
    return library.TF_Message(status).decode()


def test_every_loader_of_tensorflow_takes_it_and_computes_the_same(saved, network, kit):
    pixels = np.random.default_rng(1).integers(0, 256, (2, *kit.size, 3), dtype=np.uint8)
    expected = network(pixels.astype(np.float32), training=False)[:, 0]
    assert load_as_servers_do(saved) == ""
    model = tf.saved_model.load(str(saved))
    np.testing.assert_allclose(model.signatures["predict_pixels"](pixels=tf.constant(pixels))["logit"], expected, 1e-5)
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        meta = tf.compat.v1.saved_model.load(session, ["serve"], str(saved))
        path = str(saved / "variables" / "variables")  # the C++ loader runs this node; this one does not
        session.run(meta.saver_def.restore_op_name, {meta.saver_def.filename_tensor_name: path})
        signature = meta.signature_def["predict_pixels"]
        logit = session.run(signature.outputs["logit"].name, {signature.inputs["pixels"].name: pixels})
    np.testing.assert_allclose(logit, expected, 1e-5)


def test_nothing_but_the_graph_and_its_variables_is_left(constants):
    assert sorted(path.name for path in constants.iterdir()) == ["saved_model.pb", "variables"]


@pytest.mark.parametrize("name", ["out [1]", "back\\slash"])
def test_a_model_with_variables_is_written_to_a_path_of_any_kind(name, network, kit, tmp_path):
    out = tmp_path / name / "saved_model"
    out.parent.mkdir()
    write_saved_model(network, POLICY, Preparation(kit.size, min(kit.size)), out, most_bytes=0)
    assert sorted(path.name for path in out.rglob("variables.*")) == [
        "variables.data-00000-of-00001",
        "variables.index",
    ]
    assert (out / "variables" / "variables.data-00000-of-00001").stat().st_size > 1000


def edited(source, out, edit):
    model = saved_model_pb2.SavedModel()
    model.ParseFromString((source / "saved_model.pb").read_bytes())
    edit(model.meta_graphs[0])
    out.mkdir()
    (out / "saved_model.pb").write_bytes(model.SerializeToString())
    return out


def restorer(meta):
    return next(f for f in meta.graph_def.library.function if any(n.op == "RestoreV2" for n in f.node_def))


def restored_by(meta):
    return next(node for node in meta.graph_def.node if node.name == meta.saver_def.restore_op_name)


def served_as_an_entry_point(meta):
    signature = meta.signature_def["serving_default"]
    signature.inputs["path"].name = meta.saver_def.filename_tensor_name
    signature.outputs["done"].name = f"{meta.saver_def.restore_op_name}:0"


def called_from_another_node(meta):
    node = meta.graph_def.node.add(name="again", op="StatefulPartitionedCall", input=["serving_default_image_bytes"])
    node.attr["f"].func.name = restorer(meta).signature.name


def called_from_a_function(meta):
    other = next(f for f in meta.graph_def.library.function if f is not restorer(meta))
    node = other.node_def.add(name="again", op="StatefulPartitionedCall", input=[other.signature.input_arg[0].name])
    node.attr["f"].func.name = restorer(meta).signature.name


def loaded_by_python(meta):
    name = restorer(meta).signature.name
    meta.object_graph_def.concrete_functions[name].SetInParent()


def from_a_path_of_its_own(meta):
    function = restorer(meta)
    function.node_def.add(name="path", op="Const").attr["value"].tensor.string_val.append(b"/etc/weights")
    next(node for node in function.node_def if node.op == "RestoreV2").input[0] = "path:output:0"


def fed_by_another_node(meta):
    meta.graph_def.node.add(name="path", op="Const").attr["value"].tensor.string_val.append(b"/etc/weights")
    restored_by(meta).input[0] = "path"


def with_a_constant_for_the_path(meta):
    name = meta.saver_def.filename_tensor_name.partition(":")[0]
    next(node for node in meta.graph_def.node if node.name == name).op = "Const"


def outside_of_a_function(meta):
    meta.graph_def.node.add(name="read", op="RestoreV2", input=["saver_filename"])


def read_by_others(meta):
    meta.graph_def.node.add(name="after", op="Identity", input=[f"{meta.saver_def.restore_op_name}:0"])


def not_the_savers_node(meta):
    meta.saver_def.restore_op_name = "NoOp"


EDITS = [
    served_as_an_entry_point, called_from_another_node, called_from_a_function, loaded_by_python,
    from_a_path_of_its_own, fed_by_another_node, with_a_constant_for_the_path, outside_of_a_function, read_by_others,
    not_the_savers_node,
]  # fmt: skip


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: edit.__name__)
def test_files_are_read_by_nothing_but_the_savers_node(edit, variables, tmp_path):
    check_operations(edited(variables, tmp_path / "unchanged", lambda meta: None))
    with pytest.raises(ArtifactError, match="the graph holds RestoreV2, which bundles are not made of"):
        check_operations(edited(variables, tmp_path / "model", edit))
