"""The serving graph's own parts: weights as constants, outputs of one kind whatever went in."""

import numpy as np
import pytest
import tensorflow as tf

from components.common.artifacts.policy import Calibrator, DecisionPolicy
from components.common.bundle.operations import check_operations
from components.common.bundle.preprocessing import Preparation
from components.export.graph import with_constants, write_saved_model

POLICY = DecisionPolicy(Calibrator("platt", 1.4, {"a": 0.9, "b": 0.1}), 0.0, 0.3, {}, {}, 0.2, "m", "v")


def traced(network, kit):
    spec = [tf.TensorSpec([None, *kit.size, 3], tf.float32)]
    return tf.function(lambda pixels: network(pixels, training=False), spec).get_concrete_function()


def test_weights_become_constants_that_compute_the_same(kit):
    network = kit.build_network("float32")
    constant = traced(with_constants(network), kit)
    assert not constant.variables
    image = np.random.default_rng(0).uniform(0, 255, (3, *kit.size, 3)).astype(np.float32)
    expected = traced(network, kit)(tf.constant(image))
    np.testing.assert_allclose(constant(tf.constant(image)), expected, rtol=1e-5, atol=1e-6)


def test_a_network_too_large_for_a_graph_file_keeps_its_variables(kit):
    network = kit.build_network("float32")
    assert with_constants(network, most_bytes=100) is network
    assert with_constants(network) is not network


def test_a_saved_graph_has_no_variables_left(kit, tmp_path):
    write_saved_model(kit.build_network("float32"), POLICY, Preparation(kit.size, min(kit.size)), tmp_path / "m")
    assert "ReadVariableOp" not in check_operations(tmp_path / "m")


@pytest.mark.parametrize("precision", ["float32", "mixed_float16", "mixed_bfloat16"])
def test_outputs_are_float32_for_a_network_served_as_it_was_trained(precision, kit, tmp_path):
    network = kit.build_network(precision)
    write_saved_model(network, POLICY, Preparation(kit.size, min(kit.size)), tmp_path / "m")
    model = tf.saved_model.load(str(tmp_path / "m"))
    pixels = np.random.default_rng(1).integers(0, 256, (2, *kit.size, 3), dtype=np.uint8)
    reply = model.signatures["predict_pixels"](pixels=tf.constant(pixels))
    assert {reply["probability"].dtype, reply["logit"].dtype} == {tf.float32}
    expected = network(pixels.astype(np.float32), training=False)[:, 0]
    np.testing.assert_allclose(reply["logit"], expected, atol=1e-5 if precision == "float32" else 0.05)
