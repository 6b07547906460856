"""What is imported when: a pipeline is compiled, and every step answers --help, without TensorFlow."""

import subprocess
import sys

import pytest

from pipelines.cluster_file import STEPS

LIGHT = "import {module}, sys; heavy = {{'tensorflow', 'keras', 'jax'}} & set(sys.modules); assert not heavy, heavy"
COMMANDS = [
    step for step in STEPS if step not in ("check", "feasibility", "gate")
]  # tasks without a command of their own


@pytest.mark.parametrize("module", ["pipelines.dag", "pipelines.cli.main", "pipelines.parameters", "pipelines.compile"])
def test_the_pipeline_imports_no_tensorflow(module):
    subprocess.run([sys.executable, "-c", LIGHT.format(module=module)], check=True)


@pytest.mark.parametrize("step", ["ingest", "split", "records", "calibrate"])
def test_the_logic_of_a_data_step_imports_no_tensorflow(step):
    subprocess.run([sys.executable, "-c", LIGHT.format(module=f"components.{step}.run")], check=True)


@pytest.mark.parametrize("step", COMMANDS)
def test_every_step_is_a_command_with_help(step):
    command = [sys.executable, "-X", "importtime", "-m", f"components.{step}", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "--out DIR" in done.stdout
    assert "parameters:" in done.stdout
    assert " tensorflow\n" not in done.stderr
