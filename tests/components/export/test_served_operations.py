"""Every graph that we can make holds allowed operations only; `make operations` lists them anew."""

import importlib.util
from pathlib import Path

import pytest

from components.common.artifacts.policy import CALIBRATORS
from components.common.bundle.operations import allowed_operations
from components.train.registry import BACKBONES


@pytest.fixture(scope="module")
def makers():
    spec = importlib.util.spec_from_file_location("served_operations", Path(__file__).with_name("served_operations.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("architecture", BACKBONES)
def test_every_backbone_is_made_of_allowed_operations(architecture, makers):
    # mixed precision has the operations of float32, and casts
    assert makers.traced(makers.network_of(architecture, precision="mixed_bfloat16")) - allowed_operations() == set()


def test_every_calibrator_augmentation_and_target_is_made_of_allowed_operations(makers):
    found = dict(makers.rules())
    assert {*(f"{name} calibrator" for name in CALIBRATORS), "flips", "ensemble", "refusal", "variables"} == set(found)
    assert {name: found[name] - allowed_operations() for name in found if found[name] - allowed_operations()} == {}


def test_the_list_is_sorted_and_holds_each_operation_once(makers):
    listed = makers.ALLOWED.read_text().splitlines()
    assert listed == sorted(set(listed))
