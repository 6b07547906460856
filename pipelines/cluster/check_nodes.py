"""Doctor's look at the nodes: which of them can take each step's pod, and why the others cannot.

The scheduler's own rules, as far as our pods use them: selector, taints and tolerations follow the Kubernetes
documentation ("Assigning Pods to Nodes", "Taints and Tolerations"); free resources are what the node can allocate less
what its pods request.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from kubernetes.utils.quantity import parse_quantity

from pipelines.cluster.check import Check, failed, ok, warning
from pipelines.cluster.connection import Connection
from pipelines.cluster.errors import ClusterError
from pipelines.cluster.retry import read
from pipelines.cluster_file import REGISTER_TASK, TASKS, Cluster

_MOST_LINES = 12


@dataclass(frozen=True)
class Needs:
    """What one pod asks for: resources by name, node labels, tolerations."""

    resources: Mapping[str, Decimal]
    selector: Mapping[str, str]
    tolerations: tuple[Mapping[str, str | int], ...] = ()


def amount(quantity: str | None) -> Decimal:
    """A Kubernetes quantity as a number; 0 where there is none."""
    return Decimal(parse_quantity(quantity or 0))


def check_nodes(connection: Connection, cluster: Cluster) -> Iterator[Check]:
    """A node for every step, now or after others end; for a step that fits none, each node is explained."""
    try:
        nodes = read("listing nodes", connection.core.list_node).items
    except ClusterError as error:
        yield warning("nodes", str(error), "nodes are cluster-wide: ask an administrator for get/list on nodes")
        return
    used = _used(connection)
    for needs, steps in _steps_by_needs(cluster):
        yield _node_for(f"node for {', '.join(steps)}", nodes, needs, used or {}, gpu="train" in steps)
    if used is None:
        yield warning("free resources", "not allowed to list pods of all namespaces", "nodes may be busy")


def _node_for(what: str, nodes: list[Any], needs: Needs, used: dict[str, dict[str, Decimal]], *, gpu: bool) -> Check:
    reasons = {node.metadata.name: why_not(node, needs, used.get(node.metadata.name, {})) for node in nodes}
    fitting = sorted(name for name, why in reasons.items() if not why)
    if fitting:
        return ok(what, f"{len(fitting)} of {len(nodes)}: {', '.join(fitting[:3])}{' ...' if len(fitting) > 3 else ''}")
    lines = [f"{name}: {'; '.join(why)}" for name, why in sorted(reasons.items())]
    if len(lines) > _MOST_LINES:
        lines = [*lines[:_MOST_LINES], f"and {len(lines) - _MOST_LINES} more"]
    found = "none now\n" + "\n".join(lines) if lines else "the cluster has no node"
    change = "gpu.node_selector, gpu.tolerations or sizes.train" if gpu else "sizes of these steps"
    if any(not why_not(node, needs, {}) for node in nodes):
        return warning(what, found, "the pod will wait until another one ends")
    if _autoscaled(nodes):
        return warning(what, found, f"fine if a node pool grows for it; else change {change} in the cluster file")
    return failed(what, found, f"change {change} in the cluster file")


def _steps_by_needs(cluster: Cluster) -> Iterator[tuple[Needs, list[str]]]:
    """The steps in the order of the DAG, those with equal needs together."""
    groups: list[tuple[Needs, list[str]]] = []
    for step in TASKS:
        if step == REGISTER_TASK and not cluster.registry.server:
            continue
        needs = needs_of(cluster, step)
        same = next((steps for other, steps in groups if other == needs), None)
        if same is None:
            groups.append((needs, [step]))
        else:
            same.append(step)
    yield from groups


def needs_of(cluster: Cluster, step: str) -> Needs:
    """What the pod of a step asks of a node."""
    size = cluster.size_of(step)
    resources = {"cpu": amount(size.cpu), "memory": amount(size.memory)}
    if step != "train":
        return Needs(resources, {})
    if cluster.gpu.count:
        resources[cluster.gpu.resource] = Decimal(cluster.gpu.count)
    return Needs(resources, cluster.gpu.node_selector, tuple(item.manifest() for item in cluster.gpu.tolerations))


def _used(connection: Connection) -> dict[str, dict[str, Decimal]] | None:
    try:
        pods = read("listing pods", connection.core.list_pod_for_all_namespaces)
    except ClusterError:
        return None
    return used_by_node(pods.items)


def _autoscaled(nodes: list[Any]) -> bool:
    """Whether a node carries the label of a managed node pool, whose other pools may be at zero."""
    known = ("cloud.google.com/gke-nodepool", "eks.amazonaws.com/nodegroup", "kubernetes.azure.com/agentpool")
    return any(key in (node.metadata.labels or {}) for node in nodes for key in known)


def why_not(node: Any, needs: Needs, used: Mapping[str, Decimal]) -> list[str]:
    """Every reason why `node` cannot take the pod; none when it can."""
    labels = node.metadata.labels or {}
    reasons = [
        f"label {key} is {labels[key]!r}, not {value!r}" if key in labels else f"no label {key}"
        for key, value in needs.selector.items()
        if labels.get(key) != value
    ]
    reasons += [
        f"taint {taint.key}{'=' + taint.value if taint.value else ''}:{taint.effect} is not tolerated"
        for taint in node.spec.taints or []
        if taint.effect in ("NoSchedule", "NoExecute") and not any(tolerates(item, taint) for item in needs.tolerations)
    ]
    if not any(item.type == "Ready" and item.status == "True" for item in node.status.conditions or []):
        reasons.append("node is not Ready")
    for resource, wanted in needs.resources.items():
        free = amount((node.status.allocatable or {}).get(resource)) - used.get(resource, Decimal(0))
        if free < wanted:
            reasons.append(f"{resource}: {_shown(resource, free)} free, {_shown(resource, wanted)} requested")
    return reasons


def tolerates(toleration: Mapping[str, str | int], taint: Any) -> bool:
    """Whether a toleration covers a taint."""
    if toleration.get("effect") and toleration["effect"] != taint.effect:
        return False
    if toleration.get("operator", "Equal") == "Exists":
        return not toleration.get("key") or toleration["key"] == taint.key
    return toleration.get("key") == taint.key and toleration.get("value", "") == (taint.value or "")


def requests_of(pod: Any) -> dict[str, Decimal]:
    """What a pod holds of its node: its containers' requests, or a larger one of an init container."""
    total = _sum(_requests(container) for container in pod.spec.containers)
    for container in pod.spec.init_containers or []:
        for resource, wanted in _requests(container).items():
            total[resource] = max(total.get(resource, Decimal(0)), wanted)
    return total


def used_by_node(pods: Iterable[Any]) -> dict[str, dict[str, Decimal]]:
    """Requests of all unfinished pods, by node."""
    used: dict[str, dict[str, Decimal]] = {}
    for pod in pods:
        if pod.spec.node_name and pod.status.phase not in ("Succeeded", "Failed"):
            node = used.setdefault(pod.spec.node_name, {})
            for resource, held in requests_of(pod).items():
                node[resource] = node.get(resource, Decimal(0)) + held
    return used


def _requests(container: Any) -> dict[str, Decimal]:
    resources = container.resources
    if resources is None:
        return {}
    # a limit without a request counts as the request
    asked = {**(resources.limits or {}), **(resources.requests or {})}
    return {name: amount(quantity) for name, quantity in asked.items()}


def _sum(parts: Iterable[Mapping[str, Decimal]]) -> dict[str, Decimal]:
    total: dict[str, Decimal] = {}
    for part in parts:
        for resource, held in part.items():
            total[resource] = total.get(resource, Decimal(0)) + held
    return total


def _shown(resource: str, value: Decimal) -> str:
    if resource in ("memory", "ephemeral-storage"):
        return f"{value / 1024**3:.1f} GiB"
    return f"{value.normalize():f}"
