"""The pipeline for another clinic: its form, its placement, its check, and a run of it on this machine."""

import json
import os
import subprocess
import sys

import cv2
import numpy as np
import pytest

from components.common.artifacts.validation import open_validation
from components.common.runtime.config import READS
from components.common.runtime.errors import ConfigError
from pipelines.check import check_validation
from pipelines.cli.main import main
from pipelines.cluster_file import EXIT_TASK, Cluster
from pipelines.form_dag import VALIDATION
from pipelines.ir import executors, load_documents, placement, step_tasks
from pipelines.local.run import this_machine
from pipelines.validation import FORM, parse

IMAGES = {name: f"registry.example/lesionflow-{name}@sha256:{'a' * 64}" for name in ("data", "cpu", "gpu")}
CLUSTER = {
    "images": IMAGES,
    "gpu": {"count": 1, "node_selector": {"cloud.google.com/gke-accelerator": "nvidia-tesla-t4"}},
    "data": [{"pvc": "images", "mount_path": "/data"}],
    "ingest_cache": "gs://bucket/verdicts",
}


@pytest.fixture(scope="module")
def text():
    return VALIDATION.compile(Cluster.parse(CLUSTER))


@pytest.fixture(scope="module")
def spec(text):
    return load_documents(text)[0]


def test_its_form_has_every_parameter_with_a_description_required_ones_first(text, spec):
    head = [line for line in text.splitlines() if line.startswith("#")]
    assert head[1:4] == [f"#   {name}: required" for name in ("bundle", "metadata", "images")]
    inputs = spec["root"]["inputDefinitions"]["parameters"]
    assert set(inputs) == set(FORM.fields())
    said = {name: one["description"].partition(": ")[0] for name, one in inputs.items()}
    required = {name for name, group in said.items() if group.endswith(", required")}
    assert required == {"bundle", "metadata", "images"}
    assert {group.removesuffix(", required") for group in said.values()} == {"Data", "Validation"}
    assert spec["pipelineInfo"]["name"] == "lesionflow-validate"
    assert inputs["cache"]["defaultValue"] == "gs://bucket/verdicts"
    assert inputs["cache"]["description"].endswith("default gs://bucket/verdicts)")


def test_its_steps_are_placed_as_those_of_a_training_run_and_none_asks_for_a_gpu(text, spec):
    images = {name: container["image"] for name, container in executors(spec).items()}
    assert images == {
        "check": IMAGES["data"],
        "ingest": IMAGES["data"],
        "validate": IMAGES["cpu"],
        EXIT_TASK: IMAGES["data"],
    }
    assert set(step_tasks(spec)) >= {"check", "ingest", "validate"}
    assert "accelerator" not in text and "nodeSelector" not in text
    placed = placement(load_documents(text)[1])
    assert {step for step, where in placed.items() if where.get("pvcMount")} == {"check", "ingest", "validate"}


def test_a_large_collection_is_checked_in_parts_here_as_well():
    spec, platform = load_documents(VALIDATION.compile(Cluster.parse({**CLUSTER, "data_shards": 3})))
    tasks = step_tasks(spec)
    assert set(tasks) == {"check", "ingest-part", "ingest", "validate", EXIT_TASK}
    assert tasks["ingest"]["inputs"]["artifacts"]["parts"]["taskOutputArtifact"]["producerTask"].startswith("for-loop")
    assert placement(platform)["ingest-part"]["pvcMount"] == placement(platform)["ingest"]["pvcMount"]


def test_equal_inputs_give_equal_bytes_in_any_process(text):
    code = (
        "import json, sys; from pipelines.cluster_file import Cluster; "
        "from pipelines.form_dag import VALIDATION; "
        "sys.stdout.write(VALIDATION.compile(Cluster.parse(json.loads(sys.argv[1]))))"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "5"}
    command = [sys.executable, "-c", code, json.dumps(CLUSTER)]
    assert subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout == text


def test_only_what_is_given_is_sent_and_a_wrong_value_is_named():
    assert FORM.values_of({"max_overlap_pct": 2}) == {"max_overlap_pct": 2.0}
    with pytest.raises(ConfigError, match="max_overlap_pct: received -1"):
        FORM.values_of({"max_overlap_pct": -1})
    with pytest.raises(ConfigError, match="max_overlap"):
        FORM.values_of({"max_overlap": 3})


def test_rows_without_a_label_never_stop_a_validation():
    asked = parse({"bundle": "b", "metadata": "t.csv", "images": ["i"]})
    assert asked.ingest.unlabelled == "keep"
    assert "unlabelled" not in FORM.fields()


def values(clinic, bundle, **more):
    return {"bundle": str(bundle), "metadata": str(clinic / "table.csv"), "images": [str(clinic / "images")], **more}


def test_the_check_knows_changed_inputs_by_their_digests_and_names_what_is_missing(clinic, exported):
    ingest, validate = check_validation(values(clinic, exported.path))
    assert set(ingest[READS]) == {"metadata", "images"}
    assert set(validate[READS]) == {"bundle"}
    cv2.imwrite(str(clinic / "images" / "more.jpg"), np.zeros((64, 64, 3), np.uint8))
    again, _ = check_validation(values(clinic, exported.path))
    (clinic / "images" / "more.jpg").unlink()
    assert again[READS]["images"] != ingest[READS]["images"]
    with pytest.raises(ConfigError, match=r"bundle: received .*nowhere.*; there is no such file"):
        check_validation(values(clinic, "/nowhere"))


def test_the_compiled_pipeline_runs_here_to_its_report(clinic, exported, tmp_path):
    (tmp_path / "pipeline.yaml").write_text(VALIDATION.compile(this_machine()))
    given = values(clinic, exported.path, resamples=200, cases=0, site="Clinic B")
    (tmp_path / "values.json").write_text(json.dumps(given))
    places = [str(tmp_path / name) for name in ("pipeline.yaml", "values.json", "kfp", "cache")]
    command = [sys.executable, "-m", "pipelines.local.worker", *places]
    here, held = os.pipe()  # the worker ends with whoever holds the other end
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=here)
    os.close(held)
    os.close(here)
    assert done.returncode == 0, [line for line in done.stdout.splitlines() if "rror" in line]
    (folder,) = [path.parent for path in (tmp_path / "kfp").rglob("external_probs.npz")]
    _, record, scores = open_validation(folder)
    assert (record.site, len(scores)) == ("Clinic B", 12)


def test_the_command_refuses_what_is_not_there_before_it_reads_anything(clinic, exported, tmp_path, capsys):
    flags = ["--metadata", str(clinic / "table.csv"), "--out", str(tmp_path / "out"), "--images", "/nowhere"]
    assert main(["validate", "/nothing", *flags]) == 2
    said = capsys.readouterr().err
    assert "images: received '/nowhere'" in said and "bundle: received '/nothing', no such folder" in said
    assert main(["validate", str(exported.path), *flags, "--set", "max_overlap=3"]) == 2
    assert not (tmp_path / "out").exists()


def test_the_pipeline_is_written_for_the_ui(tmp_path, capsys):
    out = tmp_path / "validate.yaml"
    command = ["compile", "--validation", "--image-refs", "placeholder", "--set", "max_overlap_pct=1"]
    assert main([*command, "--out", str(out)]) == 0
    assert "#   max_overlap_pct: 1.0" in out.read_text()
