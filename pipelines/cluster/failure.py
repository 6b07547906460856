"""Why a run failed: a step's own last error from its pod's log, and what Argo and Kubernetes say of the pod.

Kubeflow Pipelines itself does not tell: the error of a failed run and of each of its tasks is null.
"""

from __future__ import annotations

import base64
import itertools
import json
import re
import zlib
from collections.abc import Callable, Iterable
from typing import Any

from components.common.runtime.secrets import without_secrets
from pipelines.cluster.errors import ClusterError
from pipelines.cluster.pods import (
    ATTEMPT,
    MAIN,
    RUN_LABEL,
    KubernetesApi,
    StepPod,
    list_pods,
    step_pods,
    why_ended,
    with_advice,
)
from pipelines.cluster_file import TASKS

_TAIL_LINES = 400
_LONGEST = 2000
# the launcher's and the driver's log (glog), Argo's emissary, and what they say at the very end
_WRAPPER = re.compile(r'^([IWEF]\d{4} \d\d:\d\d:\d\d|time="?\d{4}-|\{"time":|Error: exit status \d+)')
_WRAPPER_ERROR = re.compile(r"^[EF]\d{4} \d\d:\d\d:\d\d\S*\s+\S+ \S+?\] (.*)")
# our records, as our own logging writes them and as KFP's does, which is set up first in a pod
_ERROR = re.compile(r"^(?:\d\d:\d\d:\d\d ERROR\s+|\[KFP Executor [^\]]+ ERROR\]: )(.+)")
_RECORD = re.compile(r"^(?:\d\d:\d\d:\d\d [A-Z]+\s|\[KFP Executor [^\]]+ [A-Z]+\]: )")
_TRACEBACK = "Traceback (most recent call last):"
_PLAIN_EXIT = re.compile(r"^Error, exit code \d+$")


def own_error(lines: Iterable[str]) -> str:
    """The last error a step wrote itself, from the lines of its pod's log; empty when there is none.

    A step's last record is its error (`step_session`); a defect leaves a traceback, whose last line
    counts. What the launcher and Argo write after it is left out. The message may have several lines.
    """
    own = [line.rstrip() for line in lines if line.strip() and not _WRAPPER.match(line)]
    errors = [number for number, line in enumerate(own) if _ERROR.match(line)]
    tracebacks = [number for number, line in enumerate(own) if line == _TRACEBACK]
    if errors and not _is_later_defect(own, errors[-1], tracebacks):
        own[errors[-1]] = _ERROR.sub(r"\1", own[errors[-1]])
        message = _until(own[errors[-1] :], lambda line: line == _TRACEBACK or _RECORD.match(line) is not None)
    elif tracebacks:
        # the frames are indented; the exception's own line is not, and lines of its message may follow
        body = list(itertools.dropwhile(lambda line: line.startswith(" "), own[tracebacks[-1] + 1 :]))
        message = _until(body, lambda line: _RECORD.match(line) is not None)
    else:
        message = []
    return without_secrets("\n".join(message))[:_LONGEST]


def _is_later_defect(lines: list[str], error: int, tracebacks: list[int]) -> bool:
    """Whether a traceback follows that is not the error's own: the step went on and wrote more in between."""
    return bool(tracebacks) and any(_RECORD.match(line) for line in lines[error + 1 : tracebacks[-1]])


def _until(lines: list[str], stop: Callable[[str], bool]) -> list[str]:
    return list(itertools.takewhile(lambda line: not stop(line), lines))


def failures(api: KubernetesApi, run_id: str) -> list[str]:
    """A line for each step of a failed run that failed in its last attempt, `step: reason`; empty if none is found.

    Raises:
        ClusterError: the pods may not be listed.
    """
    found = []
    for pod in _last_attempts(step_pods(list_pods(api, run_id)["items"], drivers=True)):
        said = why_ended(pod.raw)
        if said:
            who = f"{pod.label} (Kubeflow's driver)" if pod.driver else pod.label
            found.append(f"{who}: {_reason(pod, said, _log(api, pod))}")
    return found or _from_workflow(api, run_id)


def _last_attempts(pods: list[StepPod]) -> list[StepPod]:
    newest = {(pod.step, pod.member, pod.driver): pod for pod in pods}
    return list(newest.values())


def _reason(pod: StepPod, said: str, lines: list[str]) -> str:
    if pod.driver:
        own = next((found[1] for line in reversed(lines) if (found := _WRAPPER_ERROR.match(line))), "")
    else:
        own = own_error(lines).removeprefix(f"{pod.step} failed: ")
    if own and _PLAIN_EXIT.match(said):
        return without_secrets(own)
    return without_secrets(f"{own}; {said}" if own else said)


def _log(api: KubernetesApi, pod: StepPod) -> list[str]:
    path = f"/api/v1/namespaces/{api.namespace}/pods/{pod.name}/log"
    try:
        return api.get_text(path, {"container": MAIN, "tailLines": str(_TAIL_LINES)}).splitlines()
    except ClusterError:
        return []  # the pod is gone or its log may not be read: what Kubernetes says must do


def _from_workflow(api: KubernetesApi, run_id: str) -> list[str]:
    """Argo's own messages: all that is left of a pod that was removed while Pending, or before it had a log."""
    path = f"/apis/argoproj.io/v1alpha1/namespaces/{api.namespace}/workflows"
    try:
        workflows = api.get_json(path, {"labelSelector": f"{RUN_LABEL}={run_id}"})["items"]
    except ClusterError:
        return []
    found = []
    for status in (workflow.get("status") or {} for workflow in workflows):
        for node in _nodes(status).values():
            name = ATTEMPT.sub("", node.get("displayName", ""))
            if node.get("phase") in ("Failed", "Error") and node.get("type") == "Pod" and node.get("message"):
                parts = [ATTEMPT.sub("", part) for part in node.get("name", name).split(".")]
                step = next((part for part in reversed(parts) if part.removesuffix("-driver") in TASKS), name)
                found.append(f"{step}: {with_advice(without_secrets(node['message']))}")
        if not found and status.get("message"):
            found.append(with_advice(without_secrets(status["message"])))
    return list(dict.fromkeys(found))


def _nodes(status: dict[str, Any]) -> dict[str, Any]:
    packed = status.get("compressedNodes")
    if packed:  # of a workflow that would not fit into one object otherwise
        nodes: dict[str, Any] = json.loads(zlib.decompress(base64.b64decode(packed), wbits=47))
        return nodes
    return status.get("nodes") or {}
