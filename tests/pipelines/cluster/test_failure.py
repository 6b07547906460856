"""Why a run failed, from what its pods, Argo and Kubernetes say: Kubeflow Pipelines itself does not tell."""

import base64
import json
import zlib

import pytest

from pipelines.cluster import log_stream, logs
from pipelines.cluster.errors import ClusterError
from pipelines.cluster.failure import failures, own_error
from pipelines.cluster.runs import find_run, why_failed

PODS = "/api/v1/namespaces/derm/pods"
WORKFLOWS = "/apis/argoproj.io/v1alpha1/namespaces/derm/workflows"
ERROR = {"exitCode": 1, "reason": "Error"}
LAUNCHER = """I1128 02:18:28.412331      12 launcher_v2.go:940] publish success.
F1128 02:18:28.497611      12 main.go:57] failed to execute component: exit status 1
time=2026-11-28T02:18:28.613Z level=INFO msg="sub-process exited" argo=true error="exit status 1"
Error: exit status 1
"""
TRACE = 'Traceback (most recent call last):\n  File "run.py", line 3, in run\n    raise\n'
HANDLED = "02:18:28 INFO    ok\n02:18:28 ERROR   split failed: no malignant lesion\n" + TRACE + "DataError: no\n"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (HANDLED + LAUNCHER, "split failed: no malignant lesion"),
        # as KFP's executor, which sets up logging first in a pod, writes the same
        (
            '[KFP Executor 2026-11-28 02:18:20,001 INFO]: Got executor_input:\n{\n    "inputs": {}\n}\n'
            "[KFP Executor 2026-11-28 02:18:28,123 ERROR]: split failed: no malignant lesion\n"
            + TRACE
            + "components.common.runtime.errors.DataError: no malignant lesion\n"
            + LAUNCHER,
            "split failed: no malignant lesion",
        ),
        (
            "[KFP Executor 2026-11-28 02:18:28,123 INFO]: reads\n" + TRACE + "ValueError: bad shape\n" + LAUNCHER,
            "ValueError: bad shape",
        ),
        # several parameters, a line each
        (
            "02:18:28 ERROR   check failed: epochs: received 0\nseed: received x\n" + TRACE + "ConfigError: 2\n",
            "check failed: epochs: received 0\nseed: received x",
        ),
        # a defect: no record of ours, the exception's own line counts
        ("02:18:28 INFO    reads\n" + TRACE + "ValueError: bad shape\n" + LAUNCHER, "ValueError: bad shape"),
        # an error the step survived is not why it failed
        (
            "02:10:00 ERROR   shard 3 unreadable, trying again\n02:11:00 INFO    done\n" + TRACE + "KeyError: 'x'\n",
            "KeyError: 'x'",
        ),
        (TRACE + "A: first\n\nDuring handling of it:\n\n" + TRACE + "B: second\n", "B: second"),
        ("02:18:28 INFO    fine\n" + LAUNCHER, ""),
        ("", ""),
        ("02:18:28 ERROR   x failed: gs://b refused, token=abcdefgh\n", "x failed: gs://b refused, token=***"),
    ],
)
def test_the_last_error_of_the_step_itself_counts(text, error):
    assert own_error(text.splitlines()) == error


def listed(cluster, *pods):
    cluster.on("GET", PODS, (200, {"metadata": {"resourceVersion": "7"}, "items": list(pods)}))


def test_each_failed_step_is_named_with_its_own_error(cluster, connection, run_id, make_pod, raw):
    listed(
        cluster,
        make_pod("ingest", phase="Succeeded", terminated={"exitCode": 0}),
        make_pod("split", phase="Failed", terminated=ERROR),
    )
    cluster.on("GET", f"{PODS}/wf-split-0/log", raw((HANDLED + LAUNCHER).encode()))
    assert failures(connection, run_id) == ["split: no malignant lesion"]
    query = cluster.requests("GET", "/log")[0].query
    assert query["container"] == ["main"]
    assert "tailLines" in query


def of_member(pod, number):
    """The pod as Argo names it in the turn of a loop, as a real server did."""
    path = f"wf(0).root(0).steps(0).for-loop-1(0).iteration-iterations({number}:{number})(0).iteration-item(0)"
    pod["metadata"]["annotations"]["workflows.argoproj.io/node-name"] = f"{path}.train(0).executor(0)"
    return pod


def test_a_member_that_failed_is_not_hidden_by_one_that_did_not(cluster, connection, run_id, make_pod, raw):
    failed = of_member(make_pod(name="wf-a", phase="Failed", terminated=ERROR), 0)
    well = of_member(make_pod(name="wf-b", phase="Succeeded", terminated={"exitCode": 0}), 1)
    listed(cluster, failed, well)
    said = "02:18:28 ERROR   train fold 0 of 2 failed: degenerate model\n" + LAUNCHER
    cluster.on("GET", f"{PODS}/wf-a/log", raw(said.encode()))
    assert failures(connection, run_id) == ["train, member 0: train fold 0 of 2 failed: degenerate model"]


def test_the_last_attempt_decides(cluster, connection, run_id, make_pod, raw):
    lost = make_pod(attempt=0, phase="Failed", terminated={"exitCode": 143, "reason": "Error"})
    listed(cluster, lost, make_pod(attempt=1, phase="Succeeded", terminated={"exitCode": 0}))
    cluster.on("GET", WORKFLOWS, (200, {"items": []}))
    assert failures(connection, run_id) == []


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"terminated": {"exitCode": 137, "reason": "OOMKilled"}}, "OOMKilled, exit code 137 (out of memory"),
        (
            {
                "terminated": {"exitCode": 143, "reason": "Error"},
                "wait": {"terminated": {"exitCode": 0, "message": "Step exceeded its deadline"}},
            },
            "Step exceeded its deadline; Error, exit code 143 (raise training.timeout_s",
        ),
        (
            {"reason": "DeadlineExceeded", "message": "Pod was active on the node longer than the specified deadline"},
            "DeadlineExceeded: Pod was active on the node longer",
        ),
        ({"reason": "Evicted", "message": "The node was low on resource: memory."}, "Evicted: The node was low"),
    ],
)
def test_an_end_that_is_not_the_steps_doing_is_told_by_argo_or_kubernetes(
    cluster, connection, run_id, make_pod, raw, more, words
):
    listed(cluster, make_pod(phase="Failed", **more))
    cluster.on("GET", f"{PODS}/wf-train-0/log", raw(b"02:18:28 INFO    epoch 3\n"))
    (line,) = failures(connection, run_id)
    assert line.startswith("train: ")
    assert words in line


def test_a_log_that_is_gone_leaves_what_kubernetes_says(cluster, connection, run_id, make_pod):
    listed(cluster, make_pod(phase="Failed", terminated=ERROR))
    cluster.on("GET", f"{PODS}/wf-train-0/log", (404, {"message": "not found"}))
    assert failures(connection, run_id) == ["train: Error, exit code 1"]


def test_a_step_that_failed_in_kubeflows_driver_is_told_by_the_drivers_log(cluster, connection, run_id, make_pod, raw):
    path = "wf(0).root(0).steps(0).train-driver(0)"
    listed(cluster, make_pod("train", phase="Failed", terminated=ERROR, path=path, name="wf-driver"))
    text = b"I1128 02:39:01.1  7 main.go:9] input\nF1128 02:39:02.1  7 main.go:96] KFP driver: expect STRUCT\n"
    cluster.on("GET", f"{PODS}/wf-driver/log", raw(text + b"Error: exit status 1\n"))
    assert failures(connection, run_id) == ["train (Kubeflow's driver): KFP driver: expect STRUCT"]


@pytest.mark.parametrize("packed", [False, True])
def test_of_a_pod_that_is_gone_argo_still_knows_why(cluster, connection, run_id, packed):
    nodes = {
        "wf-1": {
            "type": "Pod",
            "phase": "Failed",
            "displayName": "executor(0)",
            "name": "wf(0).root(0).steps(0).train(0).executor(0)",
            "message": "Unschedulable: 0/3 nodes are available: 3 Insufficient nvidia.com/gpu.",
        },
        "wf-2": {"type": "DAG", "phase": "Failed", "displayName": "steps", "message": "child failed"},
    }
    status = {"nodes": nodes}
    if packed:
        status = {"compressedNodes": base64.b64encode(zlib.compress(json.dumps(nodes).encode())).decode()}
    listed(cluster)
    cluster.on("GET", WORKFLOWS, (200, {"items": [{"status": status}]}))
    (line,) = failures(connection, run_id)
    assert line.startswith("train: Unschedulable: 0/3 nodes are available")
    assert "no node has a free GPU" in line
    assert cluster.requests("GET", "/workflows")[0].query["labelSelector"] == [f"pipeline/runid={run_id}"]


def test_a_run_past_its_deadline_says_so(cluster, connection, run_id):
    listed(cluster)
    cluster.on("GET", WORKFLOWS, (200, {"items": [{"status": {"message": "Step exceeded its deadline"}}]}))
    assert "deadline_s" in failures(connection, run_id)[0]


def test_where_nothing_is_left_that_is_said(cluster, connection, run_id, make_run):
    listed(cluster)
    cluster.on("GET", WORKFLOWS, (403, {"message": "no"}))
    cluster.on("GET", f"/apis/v2beta1/runs/{run_id}", (200, make_run("FAILED", {"train": "FAILED"})))
    said = why_failed(connection, find_run(connection, run_id))
    assert said == "train failed; its pods are gone (ttl_s), and with them the reason"
    cluster.on("GET", PODS, (403, {"message": "pods is forbidden"}))
    assert "cannot be read: listing pods: HTTP 403" in why_failed(connection, find_run(connection, run_id))


def test_follow_ends_a_failed_run_with_its_reason_and_exit_code_1(
    cluster, connection, run_id, make_run, make_pod, raw, capsys, monkeypatch
):
    monkeypatch.setattr(log_stream, "_RECONNECT_S", 0.01)
    failed = make_pod("split", phase="Failed", terminated=ERROR)
    listed(cluster, failed)
    cluster.on("GET", f"{PODS}/wf-split-0", (200, failed))
    cluster.on("GET", f"{PODS}/wf-split-0/log", raw((HANDLED + LAUNCHER).encode()))
    cluster.on("GET", f"/apis/v2beta1/runs/{run_id}", (200, make_run("FAILED", {"split": "FAILED"})))
    with pytest.raises(ClusterError, match=f"run {run_id} failed: split: no malignant lesion") as caught:
        logs.follow(connection, run_id, None)
    assert caught.value.exit_code == 1
    assert "split failed: no malignant lesion" in capsys.readouterr().out
