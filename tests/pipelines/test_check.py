"""The first task: a mistake ends the run there with one line, before ingest, and each step gets its own part only."""

import http.server
import json
import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from components.common.runtime.errors import ConfigError
from components.common.runtime.events import EVENTS_VARIABLE
from components.common.statistics.feasibility import Demands
from components.train.weight_sources import SOURCES, KerasFile
from pipelines.check import check_inputs, check_run
from pipelines.check_task import DEMANDS, check_component
from pipelines.cluster_file import STEPS, Cluster
from pipelines.compile import compile_pipeline
from pipelines.ir import load_documents, step_tasks
from pipelines.parameters import STEP_CONFIGS, merge, validate

OUTPUTS = (*STEP_CONFIGS, DEMANDS)


def by_name(outputs):
    return dict(zip(OUTPUTS, outputs, strict=True))


@pytest.fixture
def data(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.jpg").write_bytes(b"no image, but one by its name")
    (tmp_path / "table.csv").write_text("image_id,label\na,benign\n")
    return {"metadata": str(tmp_path / "table.csv"), "images": [str(tmp_path / "images")], "weights": "none"}


def change_and_set_the_time_back(path):
    before = path.stat()
    path.write_bytes(path.read_bytes()[::-1])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_every_step_gets_its_configuration(data):
    made = by_name(check_run(merge(data, {"calibrate.delta": 0.1}), {}))
    assert made["ingest"]["metadata"] == data["metadata"]
    assert made["calibrate"]["delta"] == 0.1
    json.dumps(made, allow_nan=False)


def test_what_is_asked_of_the_split_is_gathered_from_all_steps(data):
    values = merge(data, {"gate_conditions": ["lesion_sensitivity.lower >= 0.9", "ece <= 0.1"], "train.folds": 4})
    asked = by_name(check_run(values, {}))[DEMANDS]
    assert asked.pop("champion") == ""
    demands = Demands.of(asked)
    assert (demands.folds, demands.train_folds, demands.target_sensitivity) == (5, 4, 0.9)
    assert [(one.figure, one.part, one.least) for one in demands.gate] == [
        ("lesion_level.sensitivity", "lower", 0.9),
        ("calibration.ece", "value", None),
    ]


def test_a_changed_parameter_changes_the_configuration_of_its_own_step_only(data):
    before, after = (check_run(merge(data, {"calibrate.delta": delta}), {}) for delta in (0.05, 0.1))
    changed = [name for name, old, new in zip(OUTPUTS, before, after, strict=True) if old != new]
    assert changed == ["calibrate", DEMANDS]


def test_other_data_under_the_same_name_is_another_input_of_the_step_that_reads_it(data, tmp_path):
    weights = tmp_path / "w.npz"
    np.savez(weights, kernel=np.zeros(1))
    values = {**data, "weights": str(weights)}
    made = [by_name(check_run(values, {}))]
    made.append(by_name(check_run(values, {})))
    assert made[0] == made[1]
    assert set(made[0]["ingest"]["reads"]) == {"metadata", "images"}
    for change, step in (
        (lambda: (tmp_path / "table.csv").write_text("image_id,label\na,malignant\n"), "ingest"),
        (lambda: (tmp_path / "images" / "b.jpg").write_bytes(b"another"), "ingest"),
        (lambda: (tmp_path / "images" / "a.jpg").write_bytes(b"the same name"), "ingest"),
        (lambda: change_and_set_the_time_back(tmp_path / "images" / "a.jpg"), "ingest"),
        (lambda: np.savez(weights, kernel=np.ones(1)), "train"),
    ):
        before = by_name(check_run(values, {}))
        change()
        after = by_name(check_run(values, {}))
        assert [name for name in STEP_CONFIGS if before[name] != after[name]] == [step]
        assert parsed(step, before[step]) == parsed(step, after[step])


def parsed(step, given):
    return STEP_CONFIGS[step].parse(json.loads(given) if isinstance(given, str) else given)


def test_numbers_may_come_as_kfp_sends_them(data):
    assert check_run(merge(data, {"epochs": 3, "records.record_size": 96}), {}) == check_run(
        merge(data, {"epochs": 3.0, "records.record_size": 96.0}), {}
    )


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"metadata": "/nowhere/t.csv"}, "metadata: received '/nowhere/t.csv'; there is no such file"),
        ({"images": ["/nowhere/images"]}, "images: /nowhere/images does not exist"),
        ({"label_policy": "ham"}, "label_policy: received 'ham'"),
        ({"weights": "/nowhere/w.npz"}, "weights: received '/nowhere/w.npz'; there is no such file"),
        ({"champion": "/nowhere/p.npz"}, "champion: received '/nowhere/p.npz'; there is no such file"),
    ],
)
def test_what_cannot_be_read_is_said_before_anything_runs(data, values, message):
    with pytest.raises(ConfigError) as caught:
        check_inputs(validate({**data, **values}))
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(("name", "said"), [("w.npz", "not readable as arrays"), ("w.h5", "not a file in HDF5")])
def test_a_file_that_holds_no_weights_is_not_found_after_the_data_steps(data, tmp_path, name, said):
    (tmp_path / name).write_text("root:secret:0:0")
    with pytest.raises(ConfigError) as caught:
        check_inputs(validate({**data, "weights": str(tmp_path / name)}))
    assert str(caught.value).startswith(f"weights: received '{tmp_path / name}'; {said}")
    assert "secret" not in str(caught.value)


@pytest.fixture
def weights_server():
    """Answers for /there.h5 and for nothing else."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.send_response(200 if self.path == "/there.h5" else 404)
            self.end_headers()

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_weights_that_keras_cannot_download_are_said_before_anything_runs(data, tmp_path, monkeypatch, weights_server):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    run = validate({**data, "weights": "auto", "architecture": "resnet50"})
    for name in ("there", "gone"):
        monkeypatch.setitem(SOURCES, "resnet50", KerasFile(f"{weights_server}/{name}.h5", ""))
        if name == "there":
            assert set(check_inputs(run)["train"]) == {"weights"}
    with pytest.raises(
        ConfigError, match=r"weights: Keras would download http://.*/gone\.h5 in training, .*404"
    ) as caught:
        check_inputs(run)
    assert "allowed: the path or URI of that file, downloaded elsewhere, or none" in str(caught.value)
    kept = tmp_path / "keras" / "models"
    kept.mkdir(parents=True)
    (kept / "gone.h5").write_bytes(b"downloaded before")
    assert set(check_inputs(run)["train"]) == {"weights"}


def test_all_that_cannot_be_read_is_said_at_once(data, tmp_path):
    (tmp_path / "images" / "a.jpg").unlink()
    with pytest.raises(ConfigError) as caught:
        check_inputs(validate({**data, "metadata": "/nowhere", "weights": "/nowhere"}))
    assert [line.partition(":")[0] for line in str(caught.value).splitlines()] == ["metadata", "images", "weights"]


def test_steps_read_artifacts_and_their_own_output_of_the_check():
    tasks = step_tasks(load_documents(compile_pipeline(Cluster()))[0])
    for step in STEP_CONFIGS:
        assert tasks[step]["inputs"]["parameters"] == {
            "config": {"taskOutputParameter": {"outputParameterKey": step, "producerTask": "check"}}
        }
    assert not tasks["check"].get("cachingOptions")
    assert list(tasks["check"]["inputs"].get("artifacts", {})) == []


def test_the_component_is_made_again_and_again_with_the_same_text():
    first, second = check_component(), check_component()
    assert str(first.component_spec) == str(second.component_spec)


def test_a_typo_ends_a_run_in_the_first_task_with_one_line(data, tmp_path):
    """Through KFP's local runner, as a form that nobody checked would reach a cluster."""
    pipeline, values, events = (tmp_path / name for name in ("p.yaml", "values.json", "events.jsonl"))
    pipeline.write_text(compile_pipeline(Cluster()))
    values.write_text(json.dumps({**validate(data).values, "calibration": "plat"}))
    places = [pipeline, values, tmp_path / "kfp", tmp_path / "cache"]
    command = [sys.executable, "-m", "pipelines.local.worker", *map(str, places)]
    ours, theirs = os.pipe()  # the worker lives as long as its parent holds an end
    environment = {**os.environ, EVENTS_VARIABLE: str(events)}
    done = subprocess.run(
        command, capture_output=True, check=False, env=environment, stdin=ours, start_new_session=True
    )
    os.close(ours)
    os.close(theirs)
    assert done.returncode == 1
    told = [json.loads(line) for line in events.read_text().splitlines()]
    assert [event["step"] for event in told] == [STEPS[0]] * 2
    assert told[-1]["error"].startswith("calibration: received 'plat'; did you mean 'platt'? allowed: one of auto, ")
    assert "\n" not in told[-1]["error"]
