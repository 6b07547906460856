"""Doctor's look at what cluster.yaml names: service account, secrets, claim, quota."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

from pipelines.cluster.check import Check, failed, ok, warning
from pipelines.cluster.connection import Connection
from pipelines.cluster.errors import ClusterError
from pipelines.cluster.retry import read
from pipelines.cluster.scheduling import amount
from pipelines.cluster_file import S3_KEYS, STEPS, Cluster


def check_objects(connection: Connection, cluster: Cluster) -> Iterator[Check]:
    """Service account, pull secret, credentials and claim, as far as cluster.yaml names them."""
    core, space = connection.core, connection.namespace
    account, pull = cluster.service_account, cluster.image_pull_secret
    if account:
        yield _there(f"service account {account}", lambda: core.read_namespaced_service_account(account, space))
    if pull:
        yield _there(f"pull secret {pull}", lambda: core.read_namespaced_secret(pull, space))
    gcs, s3 = cluster.gcs_credentials, cluster.s3
    if gcs.secret:
        make = f"kubectl create secret generic {gcs.secret} --from-file={gcs.key}=FILE, or set gcs_credentials.key"
        yield _secret(connection, "GCS secret", gcs.secret, (gcs.key,), make)
    if s3.secret:
        make = (
            f"kubectl create secret generic {s3.secret} --from-literal={S3_KEYS[0]}=... --from-literal={S3_KEYS[1]}=..."
        )
        yield _secret(connection, "S3 secret", s3.secret, S3_KEYS, make)
    token = cluster.registry.token_secret
    if cluster.registry.server and token:
        make = f"kubectl create secret generic {token} --from-file=token=FILE"
        yield _secret(connection, "registry secret", token, ("token",), make)
    signing = cluster.registry.signing_secret
    if cluster.registry.server and signing:
        make = f"kubectl create secret generic {signing} --from-file=key=FILE"
        yield _secret(connection, "signing secret", signing, ("key",), make)
    key = cluster.bundle_key_secret
    if key:
        make = f"kubectl create secret generic {key} --from-file=key=public.pem"
        yield _secret(connection, "bundle key secret", key, ("key",), make)
    if cluster.checkpoints.pvc:
        yield _claim(connection, cluster.checkpoints.pvc, "kubectl apply -k manifests/overlays/..., which makes it")
    for volume in cluster.data:
        make = "kubectl apply -k manifests/data, which makes it (docs/how-to/cluster.md, section 5)"
        yield _claim(connection, volume.pvc, make, pods=cluster.data_shards)


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


def _there(what: str, call: Callable[[], Any]) -> Check:
    try:
        read(what, call)
    except ClusterError as error:
        if error.status == 403:
            return warning(what, "not allowed to look", "ask for the right to get it, or trust that it is there")
        return failed(what, str(error), "make it: manifests/ has a template, docs/how-to/cluster.md the commands")
    return ok(what, "present")


def _secret(connection: Connection, what: str, name: str, keys: tuple[str, ...], remedy: str) -> Check:
    what = f"{what} {name}"
    try:
        secret = read(what, lambda: connection.core.read_namespaced_secret(name, connection.namespace))
    except ClusterError as error:
        if error.status == 403:
            return warning(what, "not allowed to look", "ask for the right to get it, or trust that it is there")
        return failed(what, str(error), remedy)
    held = secret.data or {}
    missing = [key for key in keys if key not in held]
    if missing:
        return failed(what, f"holds {', '.join(sorted(held)) or 'nothing'}, not {', '.join(missing)}", remedy)
    return ok(what, f"present, with {', '.join(keys)}")


def _claim(connection: Connection, name: str, make: str, *, pods: int = 1) -> Check:
    """A claim, which `pods` pods mount at the same time."""
    what = f"claim {name}"
    try:
        claim = read(what, lambda: connection.core.read_namespaced_persistent_volume_claim(name, connection.namespace))
    except ClusterError as error:
        return failed(what, str(error), make)
    phase, modes = claim.status.phase, claim.spec.access_modes
    if pods > 1 and not {"ReadWriteMany", "ReadOnlyMany"} & set(modes):
        remedy = "a claim with ReadWriteMany or ReadOnlyMany, or data_shards: 1"
        return warning(what, f"{','.join(modes)}: the {pods} pods of data_shards find room on one node only", remedy)
    if phase == "Bound":
        return ok(what, f"bound, {(claim.status.capacity or {}).get('storage', '')} {','.join(modes)}")
    if phase == "Pending":
        return warning(what, "not bound yet", "fine if its storage class waits for the first pod; else see its events")
    return failed(what, f"is {phase}", "its volume is lost: delete the claim and create it again")
