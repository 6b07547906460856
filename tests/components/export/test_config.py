"""Parameters of the step: defaults that agree with ingest, and one clear line for each mistake."""

import subprocess
import sys

import pytest

from components.common.imaging import inspect
from components.common.runtime.errors import ConfigError
from components.export.config import ExportConfig


def test_limits_on_images_are_ingests():
    config = ExportConfig()
    assert config.min_side == inspect.MIN_SIDE
    assert config.max_megapixels * 1e6 == inspect.MAX_PIXELS


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"parity_tolerance": 0}, "parity_tolerance: received 0; allowed: a number > 0 and < 1"),
        ({"augmentation": "crops"}, "augmentation: received 'crops'; allowed: one of none, flips"),
        ({"precision": "int8"}, "precision: received 'int8'; allowed: one of float32, as_trained"),
        ({"parity_image": 5}, "unknown parameter 'parity_image': did you mean 'parity_images'?"),
        ({"max_logit_shift": float("nan")}, "max_logit_shift: received nan; allowed: a number > 0"),
    ],
)
def test_mistakes_are_one_line_that_names_the_parameter(values, line):
    with pytest.raises(ConfigError) as caught:
        ExportConfig.parse(values)
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


def test_config_needs_neither_tensorflow_nor_opencv():
    code = "import sys, components.export.config; assert not {'tensorflow', 'keras', 'cv2'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
