"""Parameters are refused in one line that names them, before TensorFlow is even imported."""

import subprocess
import sys

import pytest

from components.common.runtime.errors import ConfigError
from components.train.config import TrainConfig
from components.train.registry import BACKBONES


def test_config_and_registry_import_without_tensorflow():
    code = (
        "import sys, components.train.config, components.train.registry, components.train.__main__, "
        "components.train.component; print([m for m in ('tensorflow', 'keras', 'cv2') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("values", "parts"),
    [
        ({"architecture": "resnet"}, ["architecture", "'resnet'", "resnet50", "efficientnet_lite0"]),
        ({"image_size": "224,224"}, ["image_size", "'224,224'", "144x192"]),
        ({"image_size": "8x8"}, ["image_size", "'8x8'"]),
        ({"plateau_factor": 0.5}, ["plateau_factor", "0.5", "cosine", "plateau"]),
        ({"schedule": "plateau", "warmup_epochs": 1.0}, ["warmup_epochs", "plateau", "cosine"]),
        ({"epochs": 2, "warmup_epochs": 3}, ["warmup_epochs", "3", "epochs 2"]),
        (
            {"weights": "imagenet", "architecture": "efficientnet_lite0"},
            ["weights", "'imagenet'", "efficientnet_lite0", "path or URI of a file"],
        ),
        ({"architecture": "efficientnet_lite0"}, ["weights", "'auto'", "lesionflow weights efficientnet_lite0"]),
        ({"freeze_until": "block5", "weights": "none"}, ["freeze_until", "weights none"]),
        ({"freeze_depthwise": True, "weights": "none"}, ["freeze_depthwise", "weights none"]),
        ({"precision": "float64"}, ["precision", "'float64'", "mixed_bfloat16"]),
        ({"class_balance": "both"}, ["class_balance", "'both'", "class_weight, sample_weight, none"]),
        ({"learning_rte": 1e-3}, ["learning_rte", "did you mean 'learning_rate'"]),
        ({"epochs": 2.5}, ["epochs", "2.5", "an integer"]),
        ({"learning_rate": float("nan")}, ["learning_rate", "nan"]),
    ],
)
def test_a_bad_value_is_named_with_what_is_allowed(values, parts):
    with pytest.raises(ConfigError) as caught:
        TrainConfig.parse(values)
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message


def test_numbers_may_come_as_kfp_sends_them():
    config = TrainConfig.parse({"epochs": 3.0, "batch_size": "16", "deterministic": "true"})
    assert (config.epochs, config.batch_size, config.deterministic) == (3, 16, True)


def test_size_is_height_then_width():
    assert TrainConfig.parse({"image_size": "144x192"}).height_width == (144, 192)


def test_empty_weights_are_none():
    assert TrainConfig.parse({"weights": ""}).weights == "none"


@pytest.mark.parametrize(("architecture", "weights"), [("resnet50", "imagenet"), ("small_cnn", "none")])
def test_the_weights_that_suit_the_architecture_are_taken(architecture, weights):
    assert TrainConfig.parse({"architecture": architecture}).weights == weights
    assert TrainConfig.parse({"architecture": architecture, "weights": "auto"}).weights == weights


@pytest.mark.parametrize("size", [224, "224"])
def test_one_number_is_both_sides(size):
    assert TrainConfig.parse({"image_size": size}).height_width == (224, 224)


@pytest.mark.parametrize("word", ["ResNet-50", "resnet_50", "RESNET50"])
def test_a_backbone_written_another_way_is_recognised_in_the_error(word):
    with pytest.raises(ConfigError, match=f"architecture: received '{word}'; did you mean 'resnet50'"):
        TrainConfig.parse({"architecture": word})


def test_the_registry_holds_what_the_documentation_promises():
    for name in (
        "resnet50",
        "efficientnet_b0",
        "efficientnet_b3",
        "efficientnetv2_b0",
        "efficientnetv2_s",
        "convnext_tiny",
        "mobilenet_v2",
        "mobilenet_v3_small",
        "efficientnet_lite0",
        "small_cnn",
    ):
        assert name in BACKBONES
