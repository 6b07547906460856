"""Uploading and starting runs: the right requests, each writing one sent once."""

import argparse
from pathlib import Path

import pytest
import yaml

from components.common.runtime.cli import CommandParser
from components.common.runtime.errors import ConfigError
from pipelines.cluster import submit as submit_module
from pipelines.cluster import upload as upload_module
from pipelines.cluster.compiled import check_signature, compiled_text, without_cache
from pipelines.cluster.connection import Connection
from pipelines.cluster.errors import ClusterError
from pipelines.cluster.submit import Submission, submit, wait
from pipelines.cluster.upload import upload, version_name

PIPELINES, VERSIONS, UPLOAD = (
    "/apis/v2beta1/pipelines",
    "/apis/v2beta1/pipelines/p1/versions",
    ("/apis/v2beta1/pipelines/upload_version"),
)
IMAGES = ["--image-refs", str(Path(__file__).with_name("image_refs.yaml"))]
RUNS = "/apis/v2beta1/runs"
EXPERIMENTS = "/apis/v2beta1/experiments"
TASK = {"componentRef": {"name": "comp-a"}, "cachingOptions": {"enableCache": True}, "taskInfo": {"name": "a"}}
SPEC = {
    "pipelineInfo": {"name": "lesionflow"},
    "schemaVersion": "2.1.0",
    "sdkVersion": "kfp-2.17.0",
    "deploymentSpec": {"executors": {"exec-a": {"container": {"image": "x"}}}},
    "components": {
        "comp-a": {"executorLabel": "exec-a"},
        "comp-inner": {"dag": {"tasks": {"a": TASK}}},
    },
    "root": {
        "dag": {"tasks": {"inner": {**TASK, "componentRef": {"name": "comp-inner"}}}},
        "inputDefinitions": {
            "parameters": {
                "metadata": {"parameterType": "STRING"},
                "epochs": {"parameterType": "NUMBER_INTEGER", "defaultValue": 20.0, "isOptional": True},
                "rate": {"parameterType": "NUMBER_DOUBLE", "defaultValue": 0.1, "isOptional": True},
            }
        },
    },
}
TEXT = yaml.safe_dump_all([SPEC, {"platforms": {"kubernetes": {"deploymentSpec": {"executors": {}}}}}])


@pytest.fixture
def kfp(cluster, run_id, make_run):
    cluster.on("GET", PIPELINES, (200, {"pipelines": [{"pipeline_id": "p1"}]}))
    cluster.on("GET", VERSIONS, (200, {}))
    cluster.on("POST", UPLOAD, (200, {"pipeline_id": "p1", "pipeline_version_id": "v1"}))
    cluster.on("GET", EXPERIMENTS, (200, {"experiments": [{"experiment_id": "e1", "display_name": "lesionflow"}]}))
    cluster.on("POST", RUNS, (200, {"run_id": run_id}))
    cluster.on("GET", f"{RUNS}/{run_id}", (200, make_run("SUCCEEDED")))
    return cluster


def start(connection, **more):
    return submit(connection, Submission(TEXT, {"metadata": "gs://b/t.csv"}, "lesionflow", **more), "first")


def test_a_new_version_goes_to_the_pipeline_that_is_there(kfp, connection):
    assert "pipeline lesionflow: uploaded version abc (v1)" in upload(connection, TEXT, "lesionflow", "abc")
    sent = kfp.requests("POST", "upload_version")
    assert len(sent) == 1
    assert sent[0].query == {"name": ["abc"], "pipelineid": ["p1"]}
    assert b"pipelineInfo" in sent[0].body
    assert b"platforms" in sent[0].body, "the second document holds the node selectors"


def test_the_first_upload_makes_the_pipeline(kfp, connection):
    kfp.on("GET", PIPELINES, (200, {}))
    kfp.on("POST", PIPELINES, (200, {"pipeline_id": "p1"}))
    assert upload(connection, TEXT, "lesionflow", "abc").startswith("new pipeline lesionflow")
    assert kfp.requests("POST")[0].body == {"name": "lesionflow", "display_name": "lesionflow"}


def test_an_equal_version_is_not_uploaded_twice(kfp, connection):
    kfp.on("GET", VERSIONS, (200, {"pipeline_versions": [{"pipeline_version_id": "v0"}]}))
    assert "nothing was uploaded" in upload(connection, TEXT, "lesionflow", "abc")
    assert not kfp.requests("POST")


def test_a_version_that_someone_else_made_just_now_is_as_good(kfp, connection):
    kfp.on("GET", VERSIONS, (200, {}), (200, {"pipeline_versions": [{"pipeline_version_id": "v0"}]}))
    kfp.on("POST", UPLOAD, (409, {"error_message": "Failed to upload", "error_details": "version abc exists"}))
    assert "nothing was uploaded" in upload(connection, TEXT, "lesionflow", "abc")
    assert len(kfp.requests("POST")) == 1


@pytest.mark.parametrize("status", [401, 403, 429, 500, 503])
def test_an_upload_is_sent_once_whatever_the_answer(kfp, connection, status):
    kfp.on("POST", UPLOAD, (status, {"message": "no"}, {"Retry-After": "0"}))
    with pytest.raises(ClusterError, match=f"HTTP {status}, no"):
        upload(connection, TEXT, "lesionflow", "abc")
    assert len(kfp.requests("POST")) == 1


@pytest.mark.parametrize(("flags", "name"), [([], "lesionflow"), (["--validation"], "lesionflow-validate")])
def test_each_of_the_two_pipelines_gets_versions_of_its_own(kfp, capsys, flags, name):
    from pipelines.cli.main import main

    assert main(["upload", "--cluster", "cpu-only", *IMAGES, "--host", kfp.url, *flags]) == 0
    assert capsys.readouterr().out.startswith(f"pipeline {name}: uploaded version ")
    asked = kfp.requests("GET", PIPELINES)[0].query["filter"][0]
    assert f'"stringValue": "{name}"' in asked


def test_versions_are_named_by_commit_and_content():
    assert version_name(TEXT) == version_name(TEXT) != version_name(TEXT + "\n")


def test_a_run_is_started_with_what_was_asked_for(kfp, connection, run_id, capsys):
    made = start(connection, service_account="trainer", pipeline_root="gs://b/root")
    assert made == run_id
    body = kfp.requests("POST", "/runs")[0].body
    assert body["display_name"] == "first"
    assert body["experiment_id"] == "e1"
    assert body["service_account"] == "trainer"
    assert body["runtime_config"] == {"parameters": {"metadata": "gs://b/t.csv"}, "pipeline_root": "gs://b/root"}
    assert body["pipeline_spec"]["pipeline_spec"]["pipelineInfo"] == {"name": "lesionflow"}
    assert "platforms" in body["pipeline_spec"]["platform_spec"]
    assert capsys.readouterr().out == ""


def test_a_missing_experiment_is_made(kfp, connection, run_id):
    kfp.on("GET", EXPERIMENTS, (200, {}))
    kfp.on("POST", EXPERIMENTS, (200, {"experiment_id": "e2"}))
    assert start(connection) == run_id
    assert kfp.requests("POST", "/runs")[0].body["experiment_id"] == "e2"


def test_on_a_multi_user_kubeflow_the_namespace_is_named(kfp, connection):
    kfp.on("GET", "/apis/v2beta1/healthz", (200, {"multi_user": True}))
    start(connection)
    assert kfp.requests("GET", "/experiments")[0].query["namespace"] == ["derm"]


@pytest.mark.parametrize("status", [401, 403, 409, 429, 500, 502, 503, 504])
def test_starting_a_run_is_never_sent_twice(kfp, connection, status):
    kfp.on("POST", RUNS, (status, {"message": "no"}, {"Retry-After": "0"}))
    with pytest.raises(ClusterError, match=f"HTTP {status}, no") as caught:
        start(connection)
    assert len(kfp.requests("POST", "/runs")) == 1
    assert ("may have been started" in str(caught.value)) == (status >= 500)


def test_a_connection_lost_after_sending_is_not_sent_again(kfp, connection, drop):
    kfp.on("POST", RUNS, drop)
    with pytest.raises(ClusterError, match="may have been started: lesionflow status first"):
        start(connection)
    assert len(kfp.requests("POST", "/runs")) == 1


def test_wait_shows_steps_and_ends_well(kfp, connection, run_id, make_run, capsys):
    kfp.on(
        "GET",
        f"{RUNS}/{run_id}",
        (200, make_run(steps={"ingest": "RUNNING"})),
        (503, {}),
        (200, make_run("SUCCEEDED", {"ingest": "SUCCEEDED"})),
    )
    wait(connection, run_id, poll_s=0.01)
    out = capsys.readouterr().out
    assert [line.split() for line in out.splitlines()[:2]] == [["ingest", "running"], ["ingest", "succeeded"]]


def test_wait_fails_with_the_run_and_says_why(kfp, connection, run_id, make_run, make_pod):
    killed = make_pod(phase="Failed", terminated={"exitCode": 137, "reason": "OOMKilled"})
    kfp.on("GET", "/api/v1/namespaces/derm/pods", (200, {"metadata": {}, "items": [killed]}))
    kfp.on("GET", f"{RUNS}/{run_id}", (200, make_run("FAILED", {"train": "FAILED"})))
    with pytest.raises(ClusterError, match=f"run {run_id} failed: train: OOMKilled, exit code 137") as caught:
        wait(connection, run_id, poll_s=0.01)
    assert caught.value.exit_code == 1


def test_wait_fails_with_a_run_that_was_canceled(kfp, connection, run_id, make_run):
    kfp.on("GET", f"{RUNS}/{run_id}", (200, make_run("CANCELED", {"train": "CANCELED"})))
    with pytest.raises(ClusterError, match="canceled"):
        wait(connection, run_id, poll_s=0.01)


def test_wait_has_a_limit(kfp, connection, run_id, make_run):
    kfp.on("GET", f"{RUNS}/{run_id}", (200, make_run()))
    with pytest.raises(ClusterError, match="is still running after"):
        wait(connection, run_id, timeout_s=0.05, poll_s=0.01)


def test_wait_signs_in_anew_when_the_token_expires(kfp, cluster, run_id, expiring):
    token, answer = expiring
    kfp.on("GET", f"{RUNS}/{run_id}", answer)
    wait(Connection(host=cluster.url, token_file=token), run_id, poll_s=0.01)
    assert kfp.seen[-1].headers["authorization"] == "Bearer new-token-0123"


def test_wait_does_not_ask_again_where_it_is_not_allowed(kfp, connection, run_id):
    kfp.on("GET", f"{RUNS}/{run_id}", (403, {"message": "no"}))
    with pytest.raises(ClusterError, match="HTTP 403"):
        wait(connection, run_id, poll_s=0.01)


def test_no_cache_reaches_tasks_inside_nested_pipelines():
    spec, platform = yaml.safe_load_all(without_cache(TEXT))
    tasks = [
        *spec["root"]["dag"]["tasks"].values(),
        *spec["components"]["comp-inner"]["dag"]["tasks"].values(),
    ]
    assert [task["cachingOptions"] for task in tasks] == [{}, {}]
    assert "platforms" in platform
    assert spec["deploymentSpec"] == SPEC["deploymentSpec"]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"metadata": "x", "epoch": 3}, "did you mean 'epochs'?"),
        ({"metadata": "x", "epochs": 3.5}, "epochs: received 3.5; allowed: an integer"),
        ({"metadata": "x", "epochs": True}, "epochs: received True; allowed: an integer"),
        ({"metadata": 3}, "metadata: received 3; allowed: text"),
        ({"epochs": 3}, "metadata: missing"),
    ],
)
def test_values_are_checked_against_the_file_that_will_run(values, words):
    with pytest.raises(ConfigError) as caught:
        check_signature(TEXT, values)
    assert words in str(caught.value)


def test_good_values_pass():
    check_signature(TEXT, {"metadata": "x", "epochs": 3, "rate": 1})


def arguments(**given):
    known = {
        "pipeline": None,
        "cluster": None,
        "image_refs": None,
        "set_cluster": [],
        "allow_mutable_tags": False,
        "preset": None,
        "set": [],
    }
    return argparse.Namespace(**{**known, **given})


def test_a_compiled_file_excludes_what_compiles_one(tmp_path):
    file = tmp_path / "p.yaml"
    file.write_text(TEXT)
    assert compiled_text(arguments(pipeline=file)) == TEXT
    with pytest.raises(ConfigError, match="--pipeline"):
        compiled_text(arguments(pipeline=file, cluster="gke-t4"))
    file.write_text("a: b\n")
    with pytest.raises(ConfigError, match="two"):
        compiled_text(arguments(pipeline=file))


def test_the_modules_offer_parsers():
    for module in (submit_module, upload_module):
        commands = CommandParser().add_subparsers()
        module.add_parser(commands)
        assert commands.choices


def test_the_real_pipeline_without_cache_has_no_cached_task_left():
    from pipelines.cluster_file import load_cluster
    from pipelines.compile import compile_pipeline
    from pipelines.ir import load_documents, step_tasks

    text = without_cache(compile_pipeline(load_cluster("cpu-only")))
    spec, _ = load_documents(text)
    tasks = {**step_tasks(spec), **spec["root"]["dag"]["tasks"]}
    assert {"train", "report-end", "steps"} <= set(tasks)
    assert not any(task.get("cachingOptions", {}).get("enableCache") for task in tasks.values())


def test_the_command_as_a_person_types_it(kfp, run_id, capsys):
    from pipelines.cli.main import main

    command = [
        *f"submit --cluster cpu-only --host {kfp.url} --no-cache --wait".split(),
        *["--set", "metadata=gs://b/t.csv", "--set", "images=[gs://b/i]", "--set", "epochs=3"],
        *IMAGES,
    ]
    assert main(command) == 0
    assert f"run {run_id} succeeded" in capsys.readouterr().out
    body = kfp.requests("POST", "/runs")[0].body
    sent = {"metadata": "gs://b/t.csv", "images": ["gs://b/i"], "epochs": 3}
    assert body["runtime_config"]["parameters"] == sent, "the compiled file's own defaults hold for the rest"
    assert body["service_account"] == "lesionflow"
    assert main([*command, "--set-cluster", "service_account=another"]) == 0
    assert kfp.requests("POST", "/runs")[1].body["service_account"] == "another"
    kfp.seen.clear()
    assert main([*command, "--set", "epochs=many"]) == 2
    assert not kfp.seen, "refused before any request"
    assert "epochs: received 'many'" in capsys.readouterr().err


def test_a_failed_run_gives_exit_code_1(kfp, run_id, make_run, make_pod, raw, capsys):
    from pipelines.cli.main import main

    failed = make_pod("gate", phase="Failed", terminated={"exitCode": 1, "reason": "Error"})
    pods = "/api/v1/namespaces/derm/pods"
    kfp.on("GET", pods, (200, {"metadata": {}, "items": [failed]}))
    kfp.on("GET", f"{pods}/wf-gate-0/log", raw(b"10:00:00 ERROR   gate failed: 1 of 1 conditions missed\n"))
    kfp.on("GET", f"{RUNS}/{run_id}", (200, make_run("FAILED", {"gate": "FAILED"})))
    data = ["--set", "metadata=gs://b/t.csv", "--set", "images=[gs://b/i]"]
    assert main(["submit", "--cluster", "cpu-only", *IMAGES, "--host", kfp.url, *data, "--wait"]) == 1
    assert "gate: 1 of 1 conditions missed" in capsys.readouterr().err
