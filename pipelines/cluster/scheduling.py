"""Whether a pod fits a node, and if not, why: the scheduler's own rules, as far as our pods use them.

Selector, taints and tolerations follow the Kubernetes documentation ("Assigning Pods to Nodes",
"Taints and Tolerations"); free resources are what the node can allocate less what its pods request.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from kubernetes.utils.quantity import parse_quantity


@dataclass(frozen=True)
class Needs:
    """What one pod asks for: resources by name, node labels, tolerations."""

    resources: Mapping[str, Decimal]
    selector: Mapping[str, str]
    tolerations: tuple[Mapping[str, str | int], ...] = ()


def amount(quantity: str | None) -> Decimal:
    """A Kubernetes quantity as a number; 0 where there is none."""
    return Decimal(parse_quantity(quantity or 0))


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
