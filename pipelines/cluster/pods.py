"""The pods of a run: which step and attempt each one is, and why one does not run."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pipelines.cluster.connection import Connection
from pipelines.cluster.errors import ClusterError, api_call
from pipelines.cluster.retry import Reader, read
from pipelines.cluster_file import STEPS

RUN_LABEL = "pipeline/runid"
STEP_LABEL = "lesionflow/step"
NODE_ANNOTATION = "workflows.argoproj.io/node-name"
MAIN = "main"
_ATTEMPT = re.compile(r"\((\d+)\)$")
_STUCK = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
        "CreateContainerConfigError",
        "CreateContainerError",
        "CrashLoopBackOff",
    }
)
_ADVICE = (
    ("exceeded quota", "the namespace's quota is used up: free it or ask for more (kubectl describe resourcequota)"),
    ("ImagePull", "the node cannot pull the image: check its name, and image_pull_secret of cluster.yaml"),
    ("ErrImagePull", "the node cannot pull the image: check its name, and image_pull_secret of cluster.yaml"),
    ("Insufficient nvidia.com", "no node has a free GPU: wait, or let the GPU pool grow"),
    ("untolerated taint", "gpu_tolerations does not name this taint; it is a parameter of the run"),
    (
        "didn't match Pod's node affinity/selector",
        "no node has these labels: check gpu_node_selector and the node pool",
    ),
    ("persistentvolumeclaim", "the claim is missing or unbound: kubectl get pvc"),
    ("secret", "a secret is missing: lesionflow doctor names it"),
    ("OOMKilled", "out of memory: raise sizes of this step in cluster.yaml, or lower batch_size"),
)


@dataclass(frozen=True)
class StepPod:
    """One pod of one step: `attempt` counts from 0."""

    name: str
    step: str
    attempt: int
    phase: str
    node: str
    gpus: str
    created: datetime | None
    raw: Any

    @property
    def ended(self) -> bool:
        """Whether the step's own container has ended; sidecars may go on."""
        state = main_state(self.raw)
        return bool(state and state.terminated) or self.phase in ("Succeeded", "Failed")


def pods_of(connection: Connection, run_id: str) -> list[StepPod]:
    """The step pods of a run, oldest first, all attempts; KFP's driver pods are left out."""
    return list_pods(connection, run_id)[0]


def list_pods(connection: Connection, run_id: str, ask: Reader = read) -> tuple[list[StepPod], str]:
    """As `pods_of`, with the version of the list, from which a watch can go on."""
    listed = ask(
        "listing pods",
        lambda: connection.core.list_namespaced_pod(connection.namespace, label_selector=f"{RUN_LABEL}={run_id}"),
    )
    return step_pods(listed.items), str(listed.metadata.resource_version or "")


def wait_for_change(connection: Connection, run_id: str, version: str, seconds: float) -> None:
    """Returns when a pod of the run has changed since `version`, or after `seconds`.

    A watch that ends early (410: the server has forgotten that version; a lost connection) is no
    error here: the caller lists the pods anew either way.
    """
    from kubernetes import watch

    started = time.monotonic()
    try:
        with api_call("watching pods"):
            for _ in watch.Watch().stream(
                connection.core.list_namespaced_pod,
                connection.namespace,
                label_selector=f"{RUN_LABEL}={run_id}",
                resource_version=version,
                timeout_seconds=max(1, round(seconds)),
                _request_timeout=(10.0, seconds + 10.0),
            ):
                return
    except ClusterError as error:
        if error.status in (401, 403):
            time.sleep(max(0.0, seconds - (time.monotonic() - started)))  # may list, may not watch


def step_pods(pods: Iterable[Any]) -> list[StepPod]:
    """Sorts out which step each pod belongs to, and its attempt."""
    found: list[StepPod] = []
    ordered = sorted(pods, key=lambda pod: (str(pod.metadata.creation_timestamp), pod.metadata.name))
    for pod in ordered:
        step, attempt = _step_of(pod)
        if not step:
            continue
        if attempt is None:
            attempt = sum(other.step == step for other in found)
        found.append(
            StepPod(
                pod.metadata.name,
                step,
                attempt,
                pod.status.phase or "",
                pod.spec.node_name or "",
                _gpus(pod),
                pod.metadata.creation_timestamp,
                pod,
            )
        )
    return found


def main_state(pod: Any) -> Any:
    """State of the container that runs the step, or None before there is one."""
    for status in pod.status.container_statuses or []:
        if status.name == MAIN:
            return status.state
    return None


def why_waiting(pod: Any, events: Iterable[Any] = ()) -> str:
    """Why a pod does not run its step yet, with what to do; empty when nothing is known to be wrong."""
    reasons = [_waiting(pod), *_conditions(pod), *(f"{e.reason}: {e.message}" for e in events if e.type == "Warning")]
    text = next((reason for reason in reasons if reason), "")
    return with_advice(text)


def why_ended(pod: Any) -> str:
    """Why a pod's step failed; empty for one that did not."""
    state = main_state(pod)
    ended = state.terminated if state else None
    if ended and ended.exit_code:
        reason = f"{ended.reason or 'Error'}, exit code {ended.exit_code}"
        return with_advice(reason)
    if pod.status.phase == "Failed":  # evicted, preempted or past its deadline: no container says anything
        return with_advice(f"{pod.status.reason or 'Failed'}: {pod.status.message or 'no message'}")
    return ""


def with_advice(text: str) -> str:
    """`text`, and what to do about it if that is known."""
    found = next((advice for word, advice in _ADVICE if word in text), "")
    return f"{' '.join(text.split())} ({found})" if found else " ".join(text.split())


def events_of(connection: Connection, name: str) -> list[Any]:
    """Events of one object, newest first; none where the role does not allow to see them."""
    try:
        listed = read(
            "listing events",
            lambda: connection.core.list_namespaced_event(
                connection.namespace, field_selector=f"involvedObject.name={name}"
            ),
        )
    except ClusterError:
        return []
    return sorted(listed.items, key=lambda event: str(event.last_timestamp or event.event_time), reverse=True)


def _step_of(pod: Any) -> tuple[str, int | None]:
    """Step and attempt, from Argo's node name `WORKFLOW.root.train.executor(1)`, else from our label."""
    labels, annotations = pod.metadata.labels or {}, pod.metadata.annotations or {}
    path = annotations.get(NODE_ANNOTATION, "")
    attempt = _ATTEMPT.search(path)
    # each part may carry an attempt of its own where a whole task is retried
    parts = [_ATTEMPT.sub("", part) for part in path.split(".")]
    step = next((part for part in reversed(parts) if part in STEPS or part in _EXTRA), "")
    if not step and any(part.endswith("-driver") for part in parts):
        return "", None
    if not step and not path:
        step = labels.get(STEP_LABEL, "")
    return step, int(attempt[1]) if attempt else None


_EXTRA = frozenset({"register", "report-end"})


def _waiting(pod: Any) -> str:
    for status in [*(pod.status.init_container_statuses or []), *(pod.status.container_statuses or [])]:
        waiting = status.state.waiting if status.state else None
        if waiting and waiting.reason in _STUCK:
            return f"{waiting.reason}: {waiting.message or status.image}"
    return ""


def _conditions(pod: Any) -> list[str]:
    return [
        f"{condition.reason}: {condition.message}"
        for condition in pod.status.conditions or []
        if condition.type == "PodScheduled" and condition.status == "False"
    ]


def _gpus(pod: Any) -> str:
    for container in pod.spec.containers:
        limits = (container.resources.limits if container.resources else None) or {}
        for resource, count in limits.items():
            if "gpu" in resource or resource.startswith("nvidia.com/"):
                return f"{count} {resource.removeprefix('nvidia.com/')}"
    return ""
