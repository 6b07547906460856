"""Doctor's look at what cluster.yaml names: service account, secrets, claim, quota."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

from pipelines.cluster.check import Check, failed, ok, warning
from pipelines.cluster.check_nodes import amount
from pipelines.cluster.connection import Connection
from pipelines.cluster.errors import ClusterError
from pipelines.cluster.retry import read
from pipelines.cluster_file import S3_KEYS, STEPS, Cluster


def check_objects(connection: Connection, cluster: Cluster) -> Iterator[Check]:
    """Service account, pull secret, credentials and claims, as far as cluster.yaml names them."""
    core, space, account = connection.core, connection.namespace, cluster.service_account
    if account:
        what, make = (
            f"service account {account}",
            "make it: manifests/ has a template, docs/how-to/cluster.md the commands",
        )
        yield _look(
            what, lambda: core.read_namespaced_service_account(account, space), make, lambda _: ok(what, "present")
        )
    for what, name, keys, make in _secrets(cluster):
        yield _secret(connection, f"{what} {name}", name, keys, make)
    if cluster.checkpoints.pvc:
        yield _claim(connection, cluster.checkpoints.pvc, "kubectl apply -k manifests/overlays/..., which makes it")
    for volume in cluster.data:
        make = "kubectl apply -k manifests/data, which makes it (docs/how-to/cluster.md, section 5)"
        yield _claim(connection, volume.pvc, make, pods=cluster.data_shards)


def _secrets(cluster: Cluster) -> Iterator[tuple[str, str, tuple[str, ...], str]]:
    """What each secret is for, its name, the entries it must have, and how it is made."""
    gcs, s3, registry = cluster.gcs_credentials, cluster.s3, cluster.registry
    if name := cluster.image_pull_secret:
        make = f"kubectl create secret docker-registry {name} --docker-server=... --docker-username=..."
        yield "pull secret", name, (".dockerconfigjson",), make
    if name := gcs.secret:
        make = f"kubectl create secret generic {name} --from-file={gcs.key}=FILE, or set gcs_credentials.key"
        yield "GCS secret", name, (gcs.key,), make
    if name := s3.secret:
        given = " ".join(f"--from-literal={key}=..." for key in S3_KEYS)
        yield "S3 secret", name, S3_KEYS, f"kubectl create secret generic {name} {given}"
    for what, name, key, file in (
        ("registry secret", registry.server and registry.token_secret, "token", "FILE"),
        ("signing secret", registry.server and registry.signing_secret, "key", "FILE"),
        ("bundle key secret", cluster.bundle_key_secret, "key", "public.pem"),
    ):
        if name:
            yield what, name, (key,), f"kubectl create secret generic {name} --from-file={key}={file}"


def check_quota(connection: Connection, cluster: Cluster) -> Iterator[Check]:
    """Whether the namespace's quotas leave room for the largest step."""
    try:
        quotas = read("listing quotas", lambda: connection.core.list_namespaced_resource_quota(connection.namespace))
    except ClusterError as error:
        yield warning("quota", str(error), "ask for the right to list resource quotas, or look with your administrator")
        return
    if not quotas.items:
        yield ok("quota", f"none in namespace {connection.namespace}")
    for quota in quotas.items:
        short = _short_of(quota, cluster)
        name = f"quota {quota.metadata.name}"
        if short:
            yield failed(name, "; ".join(short), "free resources in the namespace, ask for more, or lower sizes")
        else:
            yield ok(name, "leaves room for the largest step")


def largest_needs(cluster: Cluster) -> dict[str, Decimal]:
    """The most of each resource that one step asks for."""
    sizes = [cluster.size_of(step) for step in STEPS]
    needs = {"cpu": max(amount(size.cpu) for size in sizes), "memory": max(amount(size.memory) for size in sizes)}
    if cluster.gpu.count:
        needs[cluster.gpu.resource] = Decimal(cluster.gpu.count)
    return needs


def _short_of(quota: Any, cluster: Cluster) -> list[str]:
    hard, used = quota.status.hard or {}, quota.status.used or {}
    short = []
    for resource, wanted in largest_needs(cluster).items():
        for key in (f"requests.{resource}", f"limits.{resource}", resource):
            if key in hard and amount(hard[key]) - amount(used.get(key)) < wanted:
                short.append(f"{key}: {used.get(key, 0)} of {hard[key]} used, a step requests {wanted:f}")
    if "pods" in hard and amount(hard["pods"]) - amount(used.get("pods")) < 1:
        short.append(f"pods: {used.get('pods', 0)} of {hard['pods']} used")
    return short


def _look(what: str, call: Callable[[], Any], make: str, judge: Callable[[Any], Check]) -> Check:
    """What `judge` says of the object that `call` reads; where there is none, how it is made."""
    try:
        found = read(what, call)
    except ClusterError as error:
        if error.status == 403:
            return warning(what, "not allowed to look", "ask for the right to read it, or somebody who has it")
        return failed(what, str(error), make)
    return judge(found)


def _secret(connection: Connection, what: str, name: str, keys: tuple[str, ...], make: str) -> Check:
    def judge(secret: Any) -> Check:
        held = secret.data or {}
        missing = [key for key in keys if key not in held]
        if missing:
            return failed(what, f"holds {', '.join(sorted(held)) or 'nothing'}, not {', '.join(missing)}", make)
        return ok(what, f"present, with {', '.join(keys)}")

    return _look(what, lambda: connection.core.read_namespaced_secret(name, connection.namespace), make, judge)


def _claim(connection: Connection, name: str, make: str, *, pods: int = 1) -> Check:
    """A claim, which `pods` pods mount at the same time."""
    core, space, what = connection.core, connection.namespace, f"claim {name}"

    def judge(claim: Any) -> Check:
        phase, modes = claim.status.phase, claim.spec.access_modes
        if pods > 1 and not {"ReadWriteMany", "ReadOnlyMany"} & set(modes):
            remedy = "a claim with ReadWriteMany or ReadOnlyMany, or data_shards: 1"
            return warning(
                what, f"{','.join(modes)}: the {pods} pods of data_shards find room on one node only", remedy
            )
        if phase == "Bound":
            return ok(what, f"bound, {(claim.status.capacity or {}).get('storage', '')} {','.join(modes)}")
        if phase == "Pending":
            remedy = "fine if its storage class waits for the first pod; else see its events"
            return warning(what, "not bound yet", remedy)
        return failed(what, f"is {phase}", "its volume is lost: delete the claim and create it again")

    return _look(what, lambda: core.read_namespaced_persistent_volume_claim(name, space), make, judge)
