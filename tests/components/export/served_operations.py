"""Which operations our own serving graphs are made of: every backbone, precision, calibrator and augmentation.

`make operations` writes them into components/common/bundle/operations.txt, from which a bundle is judged. Run it after
adding a backbone or changing the graph, and read what is new: nothing in the list may reach outside of the graph.
"""

import os
import sys
import tempfile
from itertools import chain
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import keras
import numpy as np
import tensorflow as tf

from components.common.artifacts.policy import Calibrator, DecisionPolicy
from components.common.bundle.operations import ALLOWED
from components.common.bundle.preprocessing import Preparation
from components.common.bundle.saved_model import read_saved_model
from components.common.statistics.outliers import Gaussian
from components.export import graph
from components.export.familiar import Familiar, with_pooled_features
from components.train.config import TrainConfig
from components.train.network import build_network
from components.train.registry import BACKBONES

SIZE = (64, 64)
PRECISIONS = ("float32", "mixed_float16", "mixed_bfloat16")
CALIBRATORS = [
    Calibrator("none"),
    Calibrator("offset", 1.4),
    Calibrator("temperature", 1.4, {"t": 1.3}),
    Calibrator("platt", 1.4, {"a": 0.9, "b": 0.1}),
    Calibrator("beta", 1.4, {"a": 0.9, "b": 0.8, "c": 0.1}),
    Calibrator("isotonic", 1.4, {"x": [-2.0, 0.0, 0.5, 2.0], "y": [0.01, 0.3, 0.4, 0.9]}),
    Calibrator("isotonic", 1.4, {"x": [0.0], "y": [0.3]}),
]


def network_of(architecture, target="binary", precision="float32"):
    """The network that training saves, with random weights."""
    size = "x".join(map(str, SIZE))
    config = TrainConfig(architecture=architecture, image_size=size, target=target, weights="none")
    keras.config.set_dtype_policy(precision)
    try:
        return build_network(config, {"mel": 1, "nv": 0, "bcc": 1}).scorer
    finally:
        keras.config.set_dtype_policy("float32")


def average_of(networks):
    """What `lesionflow ensemble` makes of several."""
    for i, network in enumerate(networks):
        network.name = f"member_{i}"
    image = keras.Input((*SIZE, 3))
    return keras.Model(image, keras.layers.Average(dtype="float32")([network(image) for network in networks]))


def traced(network):
    """Operations of a network inside the serving graph, with its weights as constants."""
    served = graph.with_constants(with_pooled_features(network))
    spec = tf.TensorSpec([None, *SIZE, 3], tf.uint8)

    def answer(pixels):
        return served(tf.cast(pixels, tf.float32), training=False)

    concrete = tf.function(answer, [spec]).get_concrete_function()
    found = concrete.graph.as_graph_def()
    nodes = [*found.node, *(node for function in found.library.function for node in function.node_def)]
    return {node.op for node in nodes}


def saved(network, calibrator, augmentation="none", abstain=None, refusing=False, **options):
    """Operations of a whole SavedModel, as export writes it."""
    policy = DecisionPolicy(calibrator, 0.0, 0.3, {}, {}, 0.2, "m", "v", abstain)
    if refusing:
        widths = [output.shape[1] for output in with_pooled_features(network).outputs[1:]]
        gaussians = [Gaussian(np.zeros(n, np.float32), np.eye(n, dtype=np.float32)) for n in widths]
        options["familiar"] = Familiar(gaussians, 1.5)
    with tempfile.TemporaryDirectory() as scratch:
        how = Preparation(SIZE, min(SIZE), augmentation=augmentation)
        graph.write_saved_model(network, policy, how, Path(scratch) / "model", **options)
        return set(read_saved_model(Path(scratch) / "model").operations())


def rules():
    """Yields a name and the operations for every calibrator, augmentation and target, and for variables."""
    small = network_of("small_cnn")
    for calibrator in CALIBRATORS:
        yield f"{calibrator.name} calibrator", saved(small, calibrator, abstain={"low": 0.3, "high": 0.5})
    yield "refusal", saved(small, CALIBRATORS[0], "flips", refusing=True)
    yield "flips", saved(small, CALIBRATORS[0], "flips")
    yield "ensemble", saved(average_of([small, network_of("small_cnn", "diagnosis")]), CALIBRATORS[0])
    yield "variables", saved(small, CALIBRATORS[0], most_bytes=0) - {"RestoreV2"}  # allowed in one place only


def backbones():
    """Yields a name and the operations for every backbone in every precision."""
    for architecture in BACKBONES:
        for precision in PRECISIONS:
            yield f"{architecture} in {precision}", traced(network_of(architecture, precision=precision))
            keras.backend.clear_session()


if __name__ == "__main__":
    everything = set()
    for name, found in chain(rules(), backbones()):
        sys.stdout.write(f"{name}: {len(found)} operations, {len(found - everything)} of them new\n")
        everything |= found
    ALLOWED.write_text("\n".join(sorted(everything)) + "\n")
