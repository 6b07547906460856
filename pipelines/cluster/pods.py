"""The pods of a run: which step and attempt each one is, and why one does not run.

Pods are the JSON that the API server sends. So the same code reads them through the Kubernetes client
at a desk and, in the exit task, in an image that has no Kubernetes client.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from pipelines.cluster.errors import ClusterError
from pipelines.cluster_file import PART_OF, TASKS

RUN_LABEL = "pipeline/runid"
STEP_LABEL = "lesionflow/step"
NODE_ANNOTATION = "workflows.argoproj.io/node-name"
MAIN, SIDECAR = "main", "wait"
Pod = Mapping[str, Any]
ATTEMPT = re.compile(r"\((\d+)\)$")
_ITERATION = re.compile(r"\.iteration-iterations\((\d+):")  # of a loop, as Argo names its turns
_DRIVER = "-driver"
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
    ("ImagePull", "the node cannot pull the image: check its name, and image_pull_secret of the cluster file"),
    ("Insufficient nvidia.com", "no node has a free GPU: wait, or let the GPU pool grow"),
    ("Insufficient cpu", "no node has that many free CPUs: wait, or lower sizes of this step in the cluster file"),
    ("Insufficient memory", "no node has that much free memory: wait, or lower sizes of this step"),
    ("untolerated taint", "gpu_tolerations does not name this taint; it is a parameter of the run"),
    (
        "didn't match Pod's node affinity/selector",
        "no node has these labels: check gpu_node_selector and the node pool",
    ),
    ("persistentvolumeclaim", "the claim is missing or unbound: kubectl get pvc"),
    ("secret", "a secret is missing: lesionflow doctor names it"),
    ("OOMKilled", "out of memory: raise sizes of this step in the cluster file, or lower batch_size"),
    ("exceeded its deadline", "raise training.timeout_s, or deadline_s, which is for the whole run"),
    ("DeadlineExceeded", "raise training.timeout_s, or deadline_s, which is for the whole run"),
)


class KubernetesApi(Protocol):
    """Reads from the API server's paths; `pipelines.cluster.connection` and `in_pod` each have one."""

    @property
    def namespace(self) -> str:
        """Where the pods of runs are."""

    def get_json(self, path: str, query: Mapping[str, str] | None = None) -> dict[str, Any]:
        """The object at `path`; raises ClusterError."""

    def get_text(self, path: str, query: Mapping[str, str] | None = None) -> str:
        """The text at `path`, as logs are; raises ClusterError."""


@dataclass(frozen=True)
class StepPod:
    """One pod of one step.

    `attempt` counts from 0; `driver` marks the pod in which KFP prepares the step; `member` counts, from 0 as well, the
    trainings of a run that has several, or the parts of a step that `data_shards` divides.
    """

    name: str
    step: str
    attempt: int
    phase: str
    node: str
    gpus: str
    raw: Pod
    driver: bool = False
    member: int | None = None

    @property
    def label(self) -> str:
        """The step, and which member or part of several it is."""
        kind = "part" if self.step in PART_OF else "member"
        return self.step if self.member is None else f"{self.step}, {kind} {self.member}"


def pods_of(api: KubernetesApi, run_id: str) -> list[StepPod]:
    """The step pods of a run, oldest first, all attempts; KFP's driver pods are left out."""
    return step_pods(list_pods(api, run_id)["items"])


def list_pods(api: KubernetesApi, run_id: str) -> dict[str, Any]:
    """All pods of a run as a Kubernetes list, whose version a watch can go on from."""
    return api.get_json(f"/api/v1/namespaces/{api.namespace}/pods", {"labelSelector": f"{RUN_LABEL}={run_id}"})


def step_pods(pods: Iterable[Pod], *, drivers: bool = False) -> list[StepPod]:
    """Sorts out which step each pod belongs to, and its attempt; with `drivers`, KFP's own pods of the steps too."""
    found: list[StepPod] = []
    for pod in sorted(pods, key=lambda one: (one["metadata"].get("creationTimestamp", ""), one["metadata"]["name"])):
        step, attempt, driver = _step_of(pod)
        if not step or (driver and not drivers):
            continue
        if attempt is None:
            attempt = sum(other.step == step and other.driver == driver for other in found)
        phase, node = pod["status"].get("phase", ""), pod["spec"].get("nodeName") or ""
        member = _member_of(pod)
        found.append(StepPod(pod["metadata"]["name"], step, attempt, phase, node, _gpus(pod), pod, driver, member))
    return found


def events_of(api: KubernetesApi, name: str) -> list[Mapping[str, Any]]:
    """Events of one object, newest first; none where the role does not allow to see them."""
    try:
        listed = api.get_json(
            f"/api/v1/namespaces/{api.namespace}/events", {"fieldSelector": f"involvedObject.name={name}"}
        )
    except ClusterError:
        return []
    return sorted(listed["items"], key=lambda one: one.get("lastTimestamp") or one.get("eventTime") or "", reverse=True)


def terminated(pod: Pod, container: str = MAIN) -> Mapping[str, Any]:
    """How a container of the pod ended; empty for one that has not."""
    for status in pod["status"].get("containerStatuses") or []:
        if status["name"] == container:
            return (status.get("state") or {}).get("terminated") or {}
    return {}


def has_ended(pod: Pod) -> bool:
    """Whether the step's own container has ended; sidecars may go on."""
    return bool(terminated(pod)) or pod["status"].get("phase") in ("Succeeded", "Failed")


def why_waiting(pod: Pod, events: Iterable[Mapping[str, Any]] = ()) -> str:
    """Why a pod does not run its step yet, with what to do; empty when nothing is known to be wrong."""
    warnings = (f"{one.get('reason')}: {one.get('message')}" for one in events if one.get("type") == "Warning")
    return with_advice(next((reason for reason in (_waiting(pod), *_unscheduled(pod), *warnings) if reason), ""))


def why_ended(pod: Pod) -> str:
    """What Kubernetes and Argo say of a pod whose step failed; empty for one that did not."""
    main, sidecar, status = terminated(pod), terminated(pod, SIDECAR), pod["status"]
    failed = bool(main.get("exitCode")) or status.get("phase") == "Failed"
    if not failed:
        return ""
    parts = []
    if sidecar.get("message"):  # Argo's word for an end that is its doing, such as "Step exceeded its deadline"
        parts.append(sidecar["message"])
    if status.get("reason") or status.get("message"):  # evicted, preempted or past its deadline
        parts.append(f"{status.get('reason') or 'Failed'}: {status.get('message') or 'no message'}")
    if main.get("exitCode"):
        parts.append(f"{main.get('reason') or 'Error'}, exit code {main['exitCode']}")
    return with_advice("; ".join(parts) or "Failed: no message")


def with_advice(text: str) -> str:
    """`text`, and what to do about it if that is known."""
    found = next((advice for word, advice in _ADVICE if word in text), "")
    return f"{' '.join(text.split())} ({found})" if found else " ".join(text.split())


def _step_of(pod: Pod) -> tuple[str, int | None, bool]:
    """Step, attempt, and whether it is the driver: from Argo's node name, else from our label.

    The name is like `WORKFLOW(0).root(0).steps(0).train(0).executor(1)`, or ends in `train-driver(0)`.
    """
    labels = pod["metadata"].get("labels") or {}
    path = (pod["metadata"].get("annotations") or {}).get(NODE_ANNOTATION, "")
    attempt = ATTEMPT.search(path)
    number = int(attempt[1]) if attempt else None
    # each part may carry an attempt of its own where a whole task is retried
    parts = [ATTEMPT.sub("", part) for part in path.split(".")]
    if parts[-1].endswith(_DRIVER):
        step = parts[-1].removesuffix(_DRIVER)
        return (step if step in TASKS else ""), number, True
    if not path:
        return labels.get(STEP_LABEL, ""), None, False
    return next((part for part in reversed(parts) if part in TASKS), ""), number, False


def _member_of(pod: Pod) -> int | None:
    path = (pod["metadata"].get("annotations") or {}).get(NODE_ANNOTATION, "")
    turn = _ITERATION.search(path)
    return int(turn[1]) if turn else None


def _waiting(pod: Pod) -> str:
    status = pod["status"]
    for one in [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]:
        waiting = (one.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") in _STUCK:
            return f"{waiting['reason']}: {waiting.get('message') or one.get('image')}"
    return ""


def _unscheduled(pod: Pod) -> list[str]:
    return [
        f"{condition.get('reason')}: {condition.get('message')}"
        for condition in pod["status"].get("conditions") or []
        if condition["type"] == "PodScheduled" and condition["status"] == "False"
    ]


def _gpus(pod: Pod) -> str:
    for container in pod["spec"]["containers"]:
        for resource, count in ((container.get("resources") or {}).get("limits") or {}).items():
            if "gpu" in resource or resource.startswith("nvidia.com/"):
                return f"{count} {resource.removeprefix('nvidia.com/')}"
    return ""
