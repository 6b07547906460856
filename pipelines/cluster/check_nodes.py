"""Doctor's look at the nodes: which of them can take the training pod, and why the others cannot."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from pipelines.cluster.check import Check, failed, ok, warning
from pipelines.cluster.connection import Connection
from pipelines.cluster.errors import ClusterError
from pipelines.cluster.retry import read
from pipelines.cluster.scheduling import Needs, amount, used_by_node, why_not
from pipelines.cluster_file import Cluster

_MOST_LINES = 12


def check_nodes(connection: Connection, cluster: Cluster) -> Iterator[Check]:
    """A node for training, now or after others end; every node that does not fit is explained."""
    what = "node for train"
    try:
        nodes = read("listing nodes", connection.core.list_node).items
    except ClusterError as error:
        yield warning(what, str(error), "nodes are cluster-wide: ask an administrator for get/list on nodes")
        return
    used = _used(connection)
    needs = training_needs(cluster)
    reasons = {node.metadata.name: why_not(node, needs, (used or {}).get(node.metadata.name, {})) for node in nodes}
    fitting = sorted(name for name, why in reasons.items() if not why)
    if fitting:
        yield ok(what, f"{len(fitting)} of {len(nodes)}: {', '.join(fitting[:3])}{' ...' if len(fitting) > 3 else ''}")
        if used is None:
            yield warning("free resources", "not allowed to list pods of all namespaces", "nodes may be busy")
        return
    busy = [node for node in nodes if not why_not(node, needs, {})]
    lines = [f"{name}: {'; '.join(why)}" for name, why in sorted(reasons.items())]
    if len(lines) > _MOST_LINES:
        lines = [*lines[:_MOST_LINES], f"and {len(lines) - _MOST_LINES} more"]
    found = "none now\n" + "\n".join(lines) if lines else "the cluster has no node"
    if busy:
        yield warning(what, found, "the pod will wait until another one ends")
    elif _autoscaled(nodes):
        yield warning(
            what, found, "fine if the node pool grows from zero; else change gpu.node_selector or tolerations"
        )
    else:
        yield failed(what, found, "change gpu.node_selector, gpu.tolerations or sizes.train in cluster.yaml")


def training_needs(cluster: Cluster) -> Needs:
    """What the training pod asks of a node."""
    size = cluster.size_of("train")
    resources = {"cpu": amount(size.cpu), "memory": amount(size.memory)}
    if not cluster.gpu.count:
        return Needs(resources, {})
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
