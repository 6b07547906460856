"""The pipeline for a bundle in use: its form, its placement, its check, and a run of it on this machine."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from components.common.artifacts.folder import open_artifact, sha256_file
from components.common.artifacts.json_file import read_json
from components.common.artifacts.policy import load_policy
from components.common.artifacts.scores import load_scores
from components.common.runtime.config import READS
from components.common.runtime.errors import ConfigError
from components.monitor.__main__ import main as step
from components.monitor.alarm import FILE, PAGE, SCHEMA
from pipelines.check import check_monitor
from pipelines.cli.main import main
from pipelines.cluster_file import EXIT_TASK, Cluster
from pipelines.form_dag import MONITORING
from pipelines.ir import executors, load_documents, placement, step_tasks
from pipelines.local.run import this_machine
from pipelines.monitoring import FORM

IMAGES = {name: f"registry.example/lesionflow-{name}@sha256:{'a' * 64}" for name in ("data", "cpu", "gpu")}
CLUSTER = {
    "images": IMAGES,
    "gpu": {"count": 1, "node_selector": {"cloud.google.com/gke-accelerator": "nvidia-tesla-t4"}},
    "data": [{"pvc": "logs", "mount_path": "/logs"}],
}


@pytest.fixture(scope="module")
def text():
    return MONITORING.compile(Cluster.parse(CLUSTER))


def test_its_form_has_what_it_reads_first_and_every_parameter_with_a_description(text):
    spec = load_documents(text)[0]
    head = [line for line in text.splitlines() if line.startswith("#")]
    assert head[1:5] == [
        "#   bundle: required",
        "#   predictions: required",
        '#   labels: ""',
        '#   reference: ""',
    ]
    inputs = spec["root"]["inputDefinitions"]["parameters"]
    assert set(inputs) == set(FORM.fields())
    assert all(one["description"].startswith("Monitor") for one in inputs.values())
    assert spec["pipelineInfo"]["name"] == "lesionflow-monitor"


def test_its_steps_run_in_the_small_image_and_those_that_read_see_the_claims(text):
    spec, platform = load_documents(text)
    images = {name: container["image"] for name, container in executors(spec).items()}
    assert images == dict.fromkeys(("check", "monitor", "alarm", EXIT_TASK), IMAGES["data"])
    tasks = step_tasks(spec)
    assert tasks["alarm"]["dependentTasks"] == ["monitor"]
    assert "accelerator" not in text and "nodeSelector" not in text
    assert {step for step, where in placement(platform).items() if where.get("pvcMount")} == {"check", "monitor"}


@pytest.fixture(scope="module")
def in_use(tmp_path_factory, exported):
    """Logs of the exported bundle: malignant images score as at its validation, then far lower; and their labels."""
    root = tmp_path_factory.mktemp("in_use")
    policy, scores = (
        load_policy(exported.path / "decision_policy.json"),
        load_scores(exported.path / "reference_probs.npz"),
    )
    rng = np.random.default_rng(3)
    for name, lower in (("quiet", 0.0), ("fallen", 30.0)):
        (root / name).mkdir()
        label = (rng.random(120) < 0.5).astype(int)
        pools = {k: scores.logit[scores.label == k] for k in (0, 1)}
        logit = np.array([rng.choice(pools[k]) for k in label]) - np.where(
            (label == 1) & (np.arange(120) >= 20), lower, 0
        )
        rows = [
            {
                "image": f"I{i}",
                "status": "ok",
                "probability": float(policy.probability(logit[i : i + 1])[0]),
                "policy_id": policy.policy_id,
            }
            for i in range(120)
        ]
        (root / name / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        labels = "".join(f"I{i},{one}\n" for i, one in enumerate(label))
        (root / f"{name}.csv").write_text("image,label\n" + labels)
    return root


def values(in_use, bundle, name):
    return {"bundle": str(bundle), "predictions": [str(in_use / name)], "labels": str(in_use / f"{name}.csv")}


def test_the_check_knows_a_longer_log_from_a_shorter_one_and_names_what_is_missing(in_use, exported, tmp_path):
    given = values(in_use, exported.path, "quiet")
    (config,) = check_monitor(given)
    assert set(config[READS]) == {"bundle", "predictions", "labels"}
    assert config[READS]["labels"] == sha256_file(in_use / "quiet.csv")
    longer = tmp_path / "more.csv"
    longer.write_text("image,status,probability,policy_id\n")
    (again,) = check_monitor({**given, "predictions": [*given["predictions"], str(longer)]})
    assert again[READS]["predictions"] != config[READS]["predictions"]
    with pytest.raises(ConfigError) as said:
        check_monitor({**given, "predictions": ["/nowhere"], "labels": "/nothing.csv", "reference": str(tmp_path)})
    assert "/nowhere: no such file or folder" in str(said.value)
    assert "labels: received '/nothing.csv'; there is no such file" in str(said.value)
    assert "holds none of external_probs.npz" in str(said.value)


def run_here(tmp_path, given):
    """The compiled pipeline through KFP's local runner; its exit code and output."""
    (tmp_path / "pipeline.yaml").write_text(MONITORING.compile(this_machine()))
    (tmp_path / "values.json").write_text(json.dumps(given))
    places = [str(tmp_path / name) for name in ("pipeline.yaml", "values.json", "kfp", "cache")]
    here, held = os.pipe()  # the worker ends with whoever holds the other end
    command = [sys.executable, "-m", "pipelines.local.worker", *places]
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=here)
    os.close(held)
    os.close(here)
    return done


def test_a_run_in_which_a_change_was_found_fails_with_one_line_and_keeps_its_page(in_use, exported, tmp_path):
    done = run_here(tmp_path, values(in_use, exported.path, "fallen"))
    assert done.returncode == 1
    (line,) = {one.partition("failed: ")[2] for one in done.stdout.splitlines() if "alarm failed: " in one}
    (findings,) = [path.parent for path in (tmp_path / "kfp").rglob(FILE)]
    record = read_json(open_artifact(findings, "monitor").path / FILE, SCHEMA)
    assert any(one.startswith("malignant images score lower than before (labels): ") for one in record["alarms"])
    more = f" (and {len(record['alarms']) - 1} more)" if len(record["alarms"]) > 1 else ""
    assert line == f"change found: {record['alarms'][0]}{more}; see the page of the task monitor"
    assert record["labelled"] == 120
    pages = [path for path in (tmp_path / "kfp").rglob("page") if path.is_file()]
    assert [path.read_bytes() for path in pages] == [(findings / PAGE).read_bytes()]
    assert "run failed" in done.stdout  # the exit task, which comes last whatever happened


def test_a_quiet_run_succeeds(in_use, exported, tmp_path):
    done = run_here(tmp_path, values(in_use, exported.path, "quiet"))
    assert done.returncode == 0, [line for line in done.stdout.splitlines() if "rror" in line]
    assert "no change was found" in done.stdout


def test_the_step_as_a_command_leaves_with_3_where_a_change_was_found(in_use, exported, tmp_path, capsys):
    flags = ["--bundle", str(exported.path), "--out", str(tmp_path / "out")]
    quiet = ["--predictions", str(in_use / "quiet"), "--labels", str(in_use / "quiet.csv")]
    assert step([*flags, *quiet]) == 0
    assert "no change was found" in capsys.readouterr().out
    fallen = ["--predictions", str(in_use / "fallen"), "--labels", str(in_use / "fallen.csv")]
    assert step([*flags, *fallen]) == 3
    assert f"see {tmp_path / 'out' / PAGE}" in capsys.readouterr().err
    assert step([*flags, *quiet, "--bundle_digest", "0" * 64]) == 1
    assert "expected 000000000000" in capsys.readouterr().err


def test_the_pipeline_is_written_for_the_ui_and_one_kind_is_asked_for_at_a_time(tmp_path, capsys):
    out = tmp_path / "monitor.yaml"
    command = ["compile", "--monitor", "--image-refs", "placeholder", "--set", "alpha=0.01"]
    assert main([*command, "--out", str(out)]) == 0
    assert "#   alpha: 0.01" in out.read_text()
    assert main([*command, "--out", str(out), "--preset", "sample"]) == 2
    assert "--preset: received 'sample' with --monitor, which has none" in capsys.readouterr().err
    assert main([*command, "--out", str(out), "--validation"]) == 2
    assert "not allowed with argument --monitor" in capsys.readouterr().err
    assert Path(out).is_file()
