import subprocess
import sys

import pytest
from kfp import dsl

from components.common.runtime.errors import ConfigError
from components.records.component import records
from components.records.config import RecordsConfig


def test_the_component_writes_records_and_counts(data, tmp_path):
    source = dsl.Dataset(uri=str(data().artifact()))
    out, metrics = dsl.Dataset(uri=str(tmp_path / "out")), dsl.Metrics(uri=str(tmp_path / "metrics"))
    records.python_func(split_data=source, records=out, metrics=metrics, config={"record_size": 30.0})
    assert (tmp_path / "out" / "manifest.json").is_file()
    assert metrics.metadata["train_expected"] == metrics.metadata["train_found"] == 36
    assert metrics.metadata["lost_pct"] == 0.0
    assert all(type(value) in (int, float) for value in metrics.metadata.values())


def test_the_command_runs_and_imports_nothing_heavy(data, tmp_path):
    code = "import sys; from components.records.__main__ import main; r = main(sys.argv[1:]); \
assert not {'tensorflow', 'kfp'} & set(sys.modules); sys.exit(r)"
    arguments = ["--split", str(data().artifact()), "--record_size", "30", "--out", str(tmp_path / "out")]
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "integrity" in done.stderr


@pytest.mark.parametrize("word", ["", "original", None])
def test_original_bytes_by_any_name(word):
    assert RecordsConfig.parse({"record_size": word}).record_size is None


@pytest.mark.parametrize(("name", "value"), [("record_size", "big"), ("jpeg_quality", 101), ("max_lost_pct", -1)])
def test_bad_parameters_are_one_line(name, value):
    with pytest.raises(ConfigError, match=rf"^{name}: received .*allowed: "):
        RecordsConfig.parse({name: value})
