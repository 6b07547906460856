"""What a fresh interpreter loads for a data step: a pod waits for it before the first image is looked at."""

import subprocess
import sys

import pytest

HEAVY = {"tensorflow", "keras", "pandas", "sklearn", "kfp", "matplotlib", "google.cloud.storage", "s3fs"}
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
    assert heavy_modules("import pandas") == ["pandas"]


def test_ingest_needs_no_heavy_library_to_its_end_and_pyarrow_only_then(tmp_path):
    from pipelines.sample.generate import make_sample

    sample = make_sample(tmp_path / "sample", 12, 7)
    code = (
        "import sys; from pathlib import Path; from components.ingest.run import run, IngestConfig; "
        "assert 'pyarrow' not in sys.modules; "
        "[run(IngestConfig(cache=sys.argv[4]), sys.argv[1], [sys.argv[2]], Path(sys.argv[3])) for _ in range(2)]"
    )
    paths = (str(sample.metadata), str(sample.folder), str(tmp_path / "out"), str(tmp_path / "cache"))
    assert heavy_modules(code, *paths) == []
    assert (tmp_path / "out" / "index.parquet").stat().st_size > 0
