"""One real run of the compiled DAG on generated images, shared by the tests that look at its results."""

import importlib.util
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

# `point` needs no minimum of malignant lesions, so a small sample will do
SMALL = ("--set", "operating_point=point", "--set", "epochs=2", "--preset", "sample")


@dataclass(frozen=True)
class FinishedRun:
    """What a person has after `lesionflow run`: folder, what was printed, exit code."""

    out: Path
    stdout: str
    stderr: str
    code: int


def run_command(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Runs the installed command as a person would."""
    command = Path(sys.executable).with_name("lesionflow")
    environment = {**os.environ, "COLUMNS": "120"}
    return subprocess.run([command, *arguments], cwd=cwd, capture_output=True, text=True, check=False, env=environment)


@pytest.fixture(scope="session")
def lesionflow():
    """The command, as a function of its arguments."""
    return run_command


@pytest.fixture(scope="session")
def small() -> tuple[str, ...]:
    """Flags of a run that ends soon."""
    return SMALL


@pytest.fixture(scope="session")
def sample(tmp_path_factory) -> Path:
    """Generated images of 300 lesions with their table."""
    folder = tmp_path_factory.mktemp("sample")
    from pipelines.sample.generate import make_sample

    make_sample(folder, 300, 11, faults=False)
    return folder


@pytest.fixture(scope="session")
def finished(sample, tmp_path_factory) -> FinishedRun:
    """The whole pipeline, run once through KFP's local runner."""
    out = tmp_path_factory.mktemp("run") / "results"
    done = run_command("run", "--metadata", "metadata.csv", "--images", "images", "--out", str(out), *SMALL, cwd=sample)
    return FinishedRun(out, done.stdout, done.stderr, done.returncode)


@pytest.fixture(scope="session")
def serve_registry():
    """`serve` of registry_server.py, which lies beside and is no test: a context manager."""
    spec = importlib.util.spec_from_file_location("registry_server", Path(__file__).with_name("registry_server.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.serve


@pytest.fixture(scope="module")
def clinic(tmp_path_factory, kit) -> Path:
    """Twelve images of twelve lesions with their table, none of which any bundle of the tests was trained on."""
    root = tmp_path_factory.mktemp("clinic")
    (root / "images").mkdir()
    lines = ["image_id,lesion_id,dx"]
    for number in range(12):
        (root / "images" / f"c{number}.jpg").write_bytes(kit.jpeg(700 + number))
        lines.append(f"c{number},L{number},{'mel' if number % 3 == 0 else 'nv'}")
    (root / "table.csv").write_text("\n".join(lines) + "\n")
    return root
