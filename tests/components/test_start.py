"""What a fresh interpreter loads for a data step: a pod waits for it before the first image is looked at."""

import subprocess
import sys

import pytest

HEAVY = {"tensorflow", "keras", "sklearn", "kfp", "matplotlib", "google.cloud.storage", "s3fs"}
LIGHT_STEPS = ["ingest", "split", "records"]


def heavy_modules(code, *arguments):
    """Which of the heavy modules `code` has loaded in an interpreter of its own."""
    shown = f"{code}; import sys; print(*sorted({HEAVY!r} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", shown, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize("step", LIGHT_STEPS)
@pytest.mark.parametrize("module", ["run", "__main__", "config"])
def test_a_data_step_starts_without_a_heavy_library(step, module):
    assert heavy_modules(f"import components.{step}.{module}") == []


def test_a_heavy_library_would_be_seen():
    assert heavy_modules("import matplotlib") == ["matplotlib"]
