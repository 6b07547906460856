"""The examples in the docstrings of components.common.statistics."""

import doctest
import importlib
import pkgutil

import pytest

from components.common import statistics

MODULES = [module.name for module in pkgutil.iter_modules(statistics.__path__)]


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_print_what_they_say(name):
    module = importlib.import_module(f"{statistics.__name__}.{name}")
    assert doctest.testmod(module).failed == 0
