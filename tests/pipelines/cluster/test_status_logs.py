"""Status and logs: every attempt, every line once, and why a pod waits."""

import io

import pytest
from rich.console import Console

from components.common.runtime.errors import ConfigError
from pipelines.cli.main import build_parser
from pipelines.cluster import log_stream, logs, retry
from pipelines.cluster.connection import Connection
from pipelines.cluster.errors import ClusterError
from pipelines.cluster.log_stream import PodLog
from pipelines.cluster.logs import wait_for_change
from pipelines.cluster.pods import pods_of
from pipelines.cluster.runs import find_run
from pipelines.cluster.status import show_status
from pipelines.cluster_file import STEPS

PODS = "/api/v1/namespaces/derm/pods"
EVENTS = "/api/v1/namespaces/derm/events"
DONE = {"exitCode": 0, "reason": "Completed"}
ERROR = {"exitCode": 1, "reason": "Error"}
# as a real pod's log ends: the step's error, its traceback, the launcher's and Argo's words
LOG = b"""[KFP Executor 2026-11-28 02:18:27,001 INFO]: Got executor_input
[KFP Executor 2026-11-28 02:18:28,100 INFO]: 45 validation images
[KFP Executor 2026-11-28 02:18:28,123 ERROR]: calibrate failed: the split has no malignant lesion; add some
Traceback (most recent call last):
  File "/usr/lib/python3.11/runpy.py", line 88, in _run_code
    exec(code, run_globals)
components.common.runtime.errors.DataError: the split has no malignant lesion; add some
I1128 02:18:28.412331      12 launcher_v2.go:940] publish success.
F1128 02:18:28.497611      12 main.go:57] failed to execute component: exit status 1
time=2026-11-28T02:18:28.613Z level=INFO msg="sub-process exited" argo=true error="exit status 1"
Error: exit status 1
"""
UNSCHEDULABLE = {
    "type": "PodScheduled",
    "status": "False",
    "reason": "Unschedulable",
    "message": "0/3 nodes are available: 3 Insufficient nvidia.com/gpu.",
}


def stamped(*numbers):
    return "".join(f"2026-11-20T10:00:{n // 10:02}.{n % 10}Z line {n}\n" for n in numbers).encode()


def podlist(*pods):
    return 200, {"kind": "PodList", "metadata": {"resourceVersion": "7"}, "items": list(pods)}


@pytest.fixture
def served(cluster, run_id, make_run, make_pod, monkeypatch):
    monkeypatch.setattr(log_stream, "_RECONNECT_S", 0.01)
    monkeypatch.setattr(logs, "_REST_S", 0.01)
    monkeypatch.setattr(logs, "_POLL_S", 0.05)
    cluster.on("GET", f"/apis/v2beta1/runs/{run_id}", (200, make_run("SUCCEEDED", {"train": "SUCCEEDED"})))
    cluster.on("GET", PODS, podlist(make_pod(phase="Succeeded", terminated=DONE, gpus="1")))
    cluster.on("GET", EVENTS, (200, {"items": []}))
    cluster.on("GET", f"{PODS}/wf-train-0", (200, make_pod(phase="Succeeded", terminated=DONE)))
    return cluster


def lines_of(connection, pod="wf-train-0"):
    return list(PodLog(connection, pod).follow())


def test_a_finished_pod_is_read_to_its_end(served, connection, raw):
    served.on("GET", f"{PODS}/wf-train-0/log", raw(stamped(1, 2, 3)))
    assert lines_of(connection) == ["line 1", "line 2", "line 3"]
    query = served.requests("GET", "/log")[0].query
    assert query["container"] == ["main"]
    assert query["follow"] == ["false"]


@pytest.mark.parametrize("chunked", [False, True])
def test_a_stream_cut_inside_a_line_goes_on_without_loss_or_repeat(served, connection, make_pod, raw, chunked):
    running, ended = (200, make_pod()), (200, make_pod(phase="Succeeded", terminated=DONE))
    served.on("GET", f"{PODS}/wf-train-0", running, running, ended)
    served.on(
        "GET",
        f"{PODS}/wf-train-0/log",
        raw(stamped(1, 2) + b"2026-11-20T10:00:00.3Z lin", cut=True, chunked=chunked),
        raw(stamped(1, 2, 3, 11) + b"2026-11-20T10:00:01.1Z line 11b\n", cut=True, chunked=chunked),
        raw(stamped(11) + b"2026-11-20T10:00:01.1Z line 11b\n" + stamped(12), chunked=chunked),
    )
    assert lines_of(connection) == ["line 1", "line 2", "line 3", "line 11", "line 11b", "line 12"]
    asked = [request.query.get("sinceTime") for request in served.requests("GET", "/log")]
    assert asked == [None, ["2026-11-20T10:00:00Z"], ["2026-11-20T10:00:01Z"]]


def test_a_last_line_without_newline_is_kept(served, connection, raw):
    served.on("GET", f"{PODS}/wf-train-0/log", raw(stamped(1)[:-1]))
    assert lines_of(connection) == ["line 1"]


def test_a_container_that_is_not_up_yet_is_waited_for(served, connection, make_pod, raw):
    served.on("GET", f"{PODS}/wf-train-0", (200, make_pod()), (200, make_pod()), (200, make_pod(terminated=DONE)))
    served.on("GET", f"{PODS}/wf-train-0/log", (400, {"message": "PodInitializing"}), raw(stamped(1)))
    assert lines_of(connection) == ["line 1"]


def test_a_pod_that_vanishes_ends_its_log(served, connection, make_pod, raw):
    served.on("GET", f"{PODS}/wf-train-0", (200, make_pod()), (404, {"message": "not found"}))
    served.on("GET", f"{PODS}/wf-train-0/log", raw(stamped(1), cut=True), (404, {"message": "not found"}))
    assert lines_of(connection) == ["line 1"]


def test_no_right_to_read_logs_is_said_at_once(served, connection):
    served.on("GET", f"{PODS}/wf-train-0/log", (403, {"message": "pods/log is forbidden"}))
    with pytest.raises(ClusterError, match="HTTP 403, pods/log is forbidden"):
        lines_of(connection)
    assert len(served.requests("GET", "/log")) == 1


def test_follow_goes_from_a_preempted_attempt_to_the_next(served, connection, run_id, make_run, make_pod, raw, capsys):
    lost = make_pod(phase="Failed", reason="Preempted", message="node is shutting down", terminated=None)
    second = make_pod(attempt=1, phase="Succeeded", terminated=DONE, node="gpu-2")
    served.on("GET", PODS, podlist(make_pod()), podlist(lost, second))
    served.on("GET", f"{PODS}/wf-train-0", (200, make_pod()), (404, {"message": "gone"}))
    served.on("GET", f"{PODS}/wf-train-0/log", raw(stamped(1), cut=True), (404, {"message": "gone"}))
    served.on("GET", f"{PODS}/wf-train-1", (200, second))
    served.on("GET", f"{PODS}/wf-train-1/log", raw(stamped(2, 3)))
    served.on("GET", f"/apis/v2beta1/runs/{run_id}", (200, make_run()), (200, make_run("SUCCEEDED")))
    logs.follow(connection, run_id, "train")
    out, err = capsys.readouterr()
    assert out.splitlines() == ["line 1", "line 2", "line 3"]
    assert "pod wf-train-0 is gone: deleted, preempted or evicted" in err
    assert "==> train, attempt 1: wf-train-1 on gpu-2 <==" in err
    assert "succeeded" in err


def test_follow_says_once_why_a_pod_is_pending(served, connection, run_id, make_run, make_pod, raw, capsys):
    pending = make_pod(phase="Pending", conditions=[UNSCHEDULABLE], node=None)
    done = make_pod(phase="Succeeded", terminated=DONE)
    served.on("GET", PODS, podlist(pending), podlist(pending), podlist(done))
    served.on("GET", f"{PODS}/wf-train-0/log", raw(stamped(1)))
    going = (200, make_run())
    served.on("GET", f"/apis/v2beta1/runs/{run_id}", going, going, (200, make_run("SUCCEEDED")))
    logs.follow(connection, run_id, None)
    err = capsys.readouterr().err
    assert err.count("3 Insufficient nvidia.com/gpu") == 1
    assert "no node has a free GPU" in err


def test_a_pod_that_simply_starts_is_not_announced_as_waiting(
    served, connection, run_id, make_run, make_pod, raw, capsys
):
    starting = make_pod(phase="Pending", waiting={"reason": "PodInitializing"})
    served.on("GET", PODS, podlist(starting), podlist(make_pod(phase="Succeeded", terminated=DONE)))
    served.on("GET", f"{PODS}/wf-train-0/log", raw(stamped(1)))
    served.on("GET", f"/apis/v2beta1/runs/{run_id}", (200, make_run()), (200, make_run("SUCCEEDED")))
    logs.follow(connection, run_id, None)
    assert "wait" not in capsys.readouterr().err


def test_following_one_step_ends_with_it(served, connection, run_id, make_run, raw, capsys):
    served.on("GET", f"{PODS}/wf-train-0/log", raw(stamped(1)))
    served.on("GET", f"/apis/v2beta1/runs/{run_id}", (200, make_run("RUNNING", {"train": "SUCCEEDED"})))
    logs.follow(connection, run_id, "train")
    assert capsys.readouterr().err.endswith("step train: succeeded\n")


def test_follow_outlasts_servers_that_restart(served, connection, run_id, make_run, make_pod, raw, capsys, caplog):
    down = [(503, {"message": "restarting"})] * 6
    served.on("GET", PODS, *down, podlist(make_pod()))
    served.on("GET", f"{PODS}/wf-train-0", (200, make_pod()), *down, (200, make_pod(terminated=DONE)))
    served.on("GET", f"{PODS}/wf-train-0/log", raw(stamped(1), cut=True), *down, raw(stamped(1, 2)))
    served.on("GET", f"/apis/v2beta1/runs/{run_id}", *down, (200, make_run("SUCCEEDED")))
    logs.follow(connection, run_id, "train")
    assert capsys.readouterr().out.splitlines() == ["line 1", "line 2"]
    assert caplog.text.count("asking again for up to 10 minutes") == 3


def test_follow_signs_in_anew_when_the_token_expires(cluster, served, run_id, raw, expiring, capsys):
    token, answer = expiring
    served.on("GET", f"/apis/v2beta1/runs/{run_id}", answer)
    served.on("GET", f"{PODS}/wf-train-0/log", raw(stamped(1)))
    logs.follow(Connection(host=cluster.url, token_file=token), run_id, None)
    assert capsys.readouterr().out == "line 1\n"


def test_follow_gives_up_on_servers_that_stay_away(served, connection, run_id, monkeypatch):
    monkeypatch.setattr(retry, "PATIENCE_S", 0.0)
    served.on("GET", f"/apis/v2beta1/runs/{run_id}", (503, {"message": "gone"}))
    with pytest.raises(ClusterError, match="HTTP 503, gone"):
        logs.follow(connection, run_id, None)


@pytest.mark.parametrize("status", [401, 403])
def test_follow_does_not_ask_again_where_it_is_not_allowed(served, connection, run_id, status):
    served.on("GET", PODS, (status, {"message": "no"}))
    with pytest.raises(ClusterError, match=f"HTTP {status}"):
        logs.follow(connection, run_id, None)
    assert len(served.requests("GET", PODS)) == 1


@pytest.mark.parametrize(
    ("event", "advice"),
    [
        ({"reason": "FailedMount", "message": 'secret "lesionflow-gcs" not found'}, "lesionflow doctor names it"),
        ({"reason": "FailedCreate", "message": "exceeded quota: gpu"}, "the namespace's quota is used up"),
    ],
)
def test_events_tell_why_a_pod_waits(served, connection, run_id, make_run, make_pod, capsys, event, advice):
    served.on("GET", PODS, podlist(make_pod(phase="Pending", node=None)))
    body = {"type": "Warning", "metadata": {"name": "e"}, "involvedObject": {"name": "wf-train-0"}, **event}
    served.on("GET", EVENTS, (200, {"items": [body]}))
    logs.show(connection, find_run(connection, run_id), None)
    err = capsys.readouterr().err
    assert event["message"] in err
    assert advice in err
    assert served.requests("GET", "/events")[0].query["fieldSelector"] == ["involvedObject.name=wf-train-0"]


def test_an_image_that_cannot_be_pulled_is_named(served, connection, run_id, make_pod, capsys):
    waiting = {"reason": "ImagePullBackOff", "message": "Back-off pulling image r.example/x@sha256:0"}
    served.on("GET", PODS, podlist(make_pod(phase="Pending", waiting=waiting)))
    logs.show(connection, find_run(connection, run_id), "train")
    assert "r.example/x@sha256:0 (the node cannot pull the image" in capsys.readouterr().err


def test_out_of_memory_comes_with_advice(served, connection, run_id, make_pod, raw, capsys):
    killed = {"exitCode": 137, "reason": "OOMKilled"}
    served.on("GET", PODS, podlist(make_pod(phase="Failed", terminated=killed)))
    served.on("GET", f"{PODS}/wf-train-0/log", raw(stamped(1)))
    logs.show(connection, find_run(connection, run_id), "train")
    assert "OOMKilled, exit code 137 (out of memory: raise sizes" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("state", "steps", "words"),
    [
        ("SUCCEEDED", {"split": "CACHED"}, "step split has no pod: its result came from the cache"),
        ("SUCCEEDED", {"split": "SUCCEEDED"}, "its pods were removed"),
        ("FAILED", {"ingest": "FAILED", "split": None}, "step split has no pod: the run ended before its turn"),
        ("RUNNING", {}, "it has not started yet"),
    ],
)
def test_a_step_without_pods_says_why(served, connection, run_id, make_run, state, steps, words):
    served.on("GET", PODS, podlist())
    served.on("GET", f"/apis/v2beta1/runs/{run_id}", (200, make_run(state, steps)))
    with pytest.raises(ClusterError, match=words):
        logs.show(connection, find_run(connection, run_id), "split")


def test_the_exit_tasks_log_can_be_read(served, run_id, make_pod, raw, capsys):
    ending = make_pod("report-end", phase="Succeeded", terminated=DONE)
    served.on("GET", PODS, podlist(make_pod(phase="Succeeded", terminated=DONE), ending))
    served.on("GET", f"{PODS}/wf-report-end-0/log", raw(stamped(1)))
    parsed = build_parser().parse_args(["logs", run_id, "--host", served.url, "--step", "report-end"])
    parsed.run(parsed)
    assert capsys.readouterr().out == "line 1\n"


def test_an_unknown_step_is_refused_before_any_request(cluster):
    with pytest.raises(ConfigError, match="--step: received 'trian'; did you mean 'train'"):
        build_parser().parse_args(["logs", "x", "--step", "trian"])
    assert not cluster.seen


def test_a_watch_that_ends_with_410_is_no_error(served, connection, run_id, raw):
    gone = b'{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired","message":"too old"}}\n'

    def answer(request):
        return raw(gone, kind="application/json") if "watch" in request.query else podlist()

    served.on("GET", PODS, answer)
    wait_for_change(connection, run_id, "7", 5.0)
    assert served.seen[-1].query["resourceVersion"] == ["7"]
    served.on("GET", PODS, (410, {"message": "too old resource version"}))
    wait_for_change(connection, run_id, "7", 5.0)


def test_a_watch_returns_at_the_first_change(served, connection, run_id, make_pod, raw):
    import json

    event = json.dumps({"type": "MODIFIED", "object": make_pod()}).encode() + b"\n"
    served.on("GET", PODS, raw(event, kind="application/json", cut=True))
    wait_for_change(connection, run_id, "7", 5.0)
    assert len(served.requests("GET", "/pods")) == 1


def test_pods_are_sorted_into_steps_and_attempts(served, connection, run_id, make_pod):
    served.on(
        "GET",
        PODS,
        podlist(
            make_pod(attempt=1),
            make_pod(attempt=0),
            make_pod("ingest", path="wf(0).root(0).steps(0).ingest(2).executor(0)"),
            make_pod("split", path="wf(0).root(0).steps(0).split-driver(0)", name="driver"),
            make_pod("report-end", path="wf(0).root(0).steps.onExit(0).report-end(0).executor(0)"),
        ),
    )
    found = [(pod.step, pod.attempt) for pod in pods_of(connection, run_id)]
    assert sorted(found) == [("ingest", 0), ("report-end", 0), ("train", 0), ("train", 1)]


def status(connection, name):
    console = Console(file=io.StringIO(), width=120)
    show_status(connection, name, console)
    return console.file.getvalue()


def rows_of(text):
    return {line.split()[0]: line.split()[1:] for line in text.splitlines() if line}


def test_status_is_a_table_of_steps(served, connection, run_id, make_run, make_pod):
    steps = {"ingest": "SUCCEEDED", "split": "CACHED", "train": "RUNNING"}
    served.on("GET", f"/apis/v2beta1/runs/{run_id}", (200, make_run("RUNNING", steps)))
    served.on(
        "GET", PODS, podlist(make_pod(attempt=0, phase="Failed", reason="Evicted"), make_pod(attempt=1, gpus="1"))
    )
    text = status(connection, run_id)
    rows = rows_of(text)
    assert list(rows)[1 : 2 + len(STEPS)] == ["step", *STEPS]
    assert rows["ingest"] == ["succeeded", "0:02:05"]
    assert rows["split"] == ["cached"]
    assert rows["train"][0] == "running"
    assert rows["train"][2:] == ["gpu-1", "1", "gpu", "1"]
    assert rows["gate"] == ["waiting"]
    assert "train, attempt 0: Evicted" in text
    assert "driver" not in text


def test_the_table_is_there_from_the_first_second(served, connection, run_id):
    body = {"run_id": run_id, "display_name": "first", "state": "PENDING", "finished_at": "1970-01-01T00:00:00Z"}
    served.on("GET", f"/apis/v2beta1/runs/{run_id}", (200, body))
    served.on("GET", PODS, podlist())
    rows = rows_of(status(connection, run_id))
    assert {name: rows[name] for name in STEPS} == {name: ["waiting"] for name in STEPS}


@pytest.mark.parametrize(
    ("given", "steps"),
    [
        ({"bundle": "b", "metadata": "t", "images": ["i"]}, ["check", "ingest", "validate"]),
        ({"bundle": "b", "predictions": ["p"]}, ["check", "monitor", "alarm"]),
        ({"metadata": "t", "images": ["i"]}, [*STEPS]),
    ],
)
def test_the_table_has_the_steps_of_the_runs_own_pipeline(served, connection, run_id, make_run, given, steps):
    run = {**make_run("RUNNING", {"check": "RUNNING"}), "runtime_config": {"parameters": given}}
    served.on("GET", f"/apis/v2beta1/runs/{run_id}", (200, run))
    served.on("GET", PODS, podlist())
    rows = rows_of(status(connection, run_id))
    assert list(rows)[2:] == steps
    assert {rows[step][0] for step in steps[1:]} == {"waiting"}


def test_steps_that_never_ran_are_not_called_pending(served, connection, run_id, make_run, make_pod, raw):
    steps = {"ingest": "SUCCEEDED", "calibrate": "FAILED", "export": None, "gate": None, "report-end": "SUCCEEDED"}
    served.on("GET", f"/apis/v2beta1/runs/{run_id}", (200, make_run("FAILED", steps)))
    served.on("GET", PODS, podlist(make_pod("calibrate", phase="Failed", terminated=ERROR)))
    served.on("GET", f"{PODS}/wf-calibrate-0/log", raw(LOG))
    text = status(connection, run_id)
    rows = rows_of(text)
    assert rows["calibrate"][0] == "failed"
    assert rows["export"] == rows["evaluate"] == rows["gate"] == ["not", "run"]
    assert rows["report-end"][0] == "succeeded"
    assert text.count("the split has no malignant lesion") == 1
    assert "without an error" not in text


def in_turns(run, name, *states):
    """The run with the entries of a step in a loop: one for each turn that has begun."""
    (first,) = [one for one in run["run_details"]["task_details"] if one.get("display_name") == name]
    for number, state in enumerate(states):
        turn = {**first, "task_id": f"{name}-{number}", "state": state, "start_time": f"2026-11-20T10:3{number}:00Z"}
        turn["end_time"] = "0001-01-01T00:00:00Z" if state == "RUNNING" else f"2026-11-20T10:3{number}:40Z"
        run["run_details"]["task_details"].append(turn)
    run["run_details"]["task_details"].remove(first)
    return run


def test_a_step_in_a_loop_is_one_row_from_its_first_turn_to_its_last(served, connection, run_id, make_run):
    done = make_run("RUNNING", {"plan": "SUCCEEDED", "train": "SUCCEEDED", "combine": "RUNNING"})
    served.on("GET", f"/apis/v2beta1/runs/{run_id}", (200, in_turns(done, "train", "SUCCEEDED", "SUCCEEDED")))
    served.on("GET", PODS, podlist())
    assert rows_of(status(connection, run_id))["train"] == ["succeeded", "0:01:40"]
    failed = make_run("FAILED", {"ingest-part": "SUCCEEDED", "ingest": None})
    served.on("GET", f"/apis/v2beta1/runs/{run_id}", (200, in_turns(failed, "ingest-part", "FAILED", "SUCCEEDED")))
    text = status(connection, run_id)
    assert rows_of(text)["ingest"] == ["not", "run"]
    assert "ingest-part failed; its pods are gone" in text


def turn(step, number, part="{}(0).executor(0)"):
    """Argo's name for the pod of one turn of a loop; of its driver with another `part`."""
    loop = f"wf(0).root(0).steps(0).for-loop-1(0).iteration-iterations({number}:{number})(0).iteration-item(0)"
    return f"{loop}.{part.format(step)}"


def test_each_member_of_a_run_has_a_row(served, connection, run_id, make_run, make_pod):
    """Four members, two at a time: one cached, one done after a lost node, one that trains, one to come."""
    run = in_turns(make_run("RUNNING", {"plan": "SUCCEEDED", "train": "RUNNING"}), "train", "SUCCEEDED", "RUNNING")
    run["runtime_config"]["parameters"]["options"] = {"ensemble.members": 4.0}
    served.on("GET", f"/apis/v2beta1/runs/{run_id}", (200, run))
    done = {**DONE, "finishedAt": "2026-11-20T10:41:40Z"}
    driver = turn("train", 0, "{}-driver(0)")
    lost, going = turn("train", 1), turn("train", 2)
    well = lost.replace("executor(0)", "executor(1)")
    served.on(
        "GET",
        PODS,
        podlist(
            make_pod(name="wf-0", phase="Succeeded", terminated=DONE, path=driver),
            make_pod(name="wf-1", phase="Failed", reason="Evicted", path=lost),
            make_pod(name="wf-1b", attempt=1, phase="Succeeded", terminated=done, path=well),
            make_pod(name="wf-2", gpus="1", node="gpu-2", path=going),
        ),
    )
    text = status(connection, run_id)
    below = [line.split() for line in text.splitlines() if line.startswith("  member")]
    assert rows_of(text)["train"][0] == "running"
    assert "gpu-2" not in rows_of(text)["train"]
    assert below[0] == ["member", "0", "cached"]
    assert below[1] == ["member", "1", "succeeded", "0:41:40", "gpu-1", "1"]
    assert below[2][:3] == ["member", "2", "running"]
    assert below[2][4:] == ["gpu-2", "1", "gpu", "0"]
    assert below[3] == ["member", "3", "waiting"]
    assert "train, member 1, attempt 0: Evicted" in text


def test_parts_are_called_parts_and_have_no_row_each(served, connection, run_id, make_run, make_pod):
    run = in_turns(make_run("FAILED", {"ingest-part": "FAILED"}), "ingest-part", "SUCCEEDED", "FAILED")
    served.on("GET", f"/apis/v2beta1/runs/{run_id}", (200, run))
    ends = ((0, "Succeeded", DONE), (1, "Failed", ERROR))
    pods = [
        make_pod("ingest-part", name=f"wf-{n}", phase=phase, terminated=end, path=turn("ingest-part", n))
        for n, phase, end in ends
    ]
    served.on("GET", PODS, podlist(*pods))
    text = status(connection, run_id)
    assert "ingest-part, part 1: Error, exit code 1" in text
    assert not [line for line in text.splitlines() if line.startswith("  ")]


@pytest.mark.parametrize(
    ("step", "before", "behind"), [("train", "plan", "combine"), ("ingest-part", "check", "ingest")]
)
def test_following_a_step_in_a_loop_waits_for_turns_that_have_not_begun(
    served, connection, run_id, make_run, make_pod, raw, capsys, step, before, behind
):
    """With `training.parallelism: 1` the second member's pod is made when the first one's has ended."""
    begun = {before: "SUCCEEDED", step: "SUCCEEDED"}
    runs = [make_run("RUNNING", begun), make_run("RUNNING", {**begun, behind: "RUNNING"})]
    served.on("GET", f"/apis/v2beta1/runs/{run_id}", *((200, one) for one in runs))
    pods = [make_pod(step, name=f"wf-{n}", phase="Succeeded", terminated=DONE) for n in range(2)]
    served.on("GET", PODS, podlist(pods[0]), podlist(*pods))
    for number, pod in enumerate(pods):
        served.on("GET", f"{PODS}/wf-{number}", (200, pod))
        served.on("GET", f"{PODS}/wf-{number}/log", raw(stamped(number)))
    logs.follow(connection, run_id, step)
    out, err = capsys.readouterr()
    assert out == "line 0\nline 1\n"
    assert err.endswith(f"step {step}: succeeded\n")


def test_status_without_access_to_pods_shows_what_kfp_knows(served, connection, run_id):
    served.on("GET", PODS, (403, {"message": "forbidden"}))
    text = status(connection, run_id)
    assert "train" in text
    assert "no node, GPU and retries: listing pods: HTTP 403" in text


def test_a_run_is_found_by_name(served, connection, run_id):
    served.on("GET", "/apis/v2beta1/runs", (200, {"runs": [{"run_id": run_id}]}))
    assert find_run(connection, "first").run_id == run_id
    served.on("GET", "/apis/v2beta1/runs", (200, {}))
    with pytest.raises(ClusterError, match="no run has the id or name 'second'"):
        find_run(connection, "second")
