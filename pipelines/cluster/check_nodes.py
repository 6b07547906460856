"""Doctor's look at the nodes: which of them can take each step's pod, and why the others cannot."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from pipelines.cluster.check import Check, failed, ok, warning
from pipelines.cluster.connection import Connection
from pipelines.cluster.errors import ClusterError
from pipelines.cluster.retry import read
from pipelines.cluster.scheduling import Needs, amount, used_by_node, why_not
from pipelines.cluster_file import REGISTER_TASK, TASKS, Cluster

_MOST_LINES = 12


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
        pods = read("listing pods", lambda: connection.core.list_pod_for_all_namespaces(limit=5000))
    except ClusterError:
        return None
    return used_by_node(pods.items)


def _autoscaled(nodes: list[Any]) -> bool:
    """Whether a node carries the label of a managed node pool, whose other pools may be at zero."""
    known = ("cloud.google.com/gke-nodepool", "eks.amazonaws.com/nodegroup", "kubernetes.azure.com/agentpool")
    return any(key in (node.metadata.labels or {}) for node in nodes for key in known)
