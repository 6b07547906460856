"""Where a step runs: image, size, user, GPU, selector, tolerations, volumes, secrets, timeout, retries."""

from __future__ import annotations

from typing import Any

from kfp import dsl, kubernetes

from components.common.bundle.signing import KEY_VARIABLE
from components.common.runtime.session import CHECKPOINT_ROOT_VARIABLE, RUN_ID_VARIABLE
from pipelines.cluster_file import (
    EXIT_TASK,
    PART_OF,
    REGISTER_TASK,
    S3_KEYS,
    STORAGE_STEPS,
    VALIDATE_TASK,
    Cluster,
)
from pipelines.registry.client import TOKEN_VARIABLE
from pipelines.registry.lookup import SERVER_VARIABLE
from pipelines.registry.publishing import SIGNING_VARIABLE

STEP_LABEL = "lesionflow/step"
_TOKEN_MOUNT = "/var/run/secrets/model-registry"
_SIGNING_MOUNT = "/var/run/secrets/model-signing"
_KEY_MOUNT = "/var/run/secrets/bundle-key"


def pipeline_config(cluster: Cluster) -> Any:
    """Deadline of the whole run, which also counts while pods are Pending, and when its pods are removed."""
    return dsl.PipelineConfig(active_deadline_seconds=cluster.deadline_s, ttl_seconds_after_finished=cluster.ttl_s)


def place(task: Any, step: str, *, cluster: Cluster, selector: Any, tolerations: Any) -> None:
    """Sets what the cluster needs to know of `task`.

    Args:
        task: the kfp task.
        step: its step's name.
        cluster: facts of the cluster.
        selector: pipeline parameter with the GPU node selector; used by the training task only.
        tolerations: pipeline parameter with the GPU tolerations; used by the training task only.
    """
    size, reading = cluster.size_of(step), PART_OF.get(step, step)
    task.set_display_name(step)
    task.set_container_image(cluster.image_of(step))
    task.set_cpu_request(size.cpu).set_cpu_limit(size.cpu)
    task.set_memory_request(size.memory).set_memory_limit(size.memory)
    task.set_caching_options(cluster.caches(step))
    # KFP itself drops all capabilities and sets seccomp RuntimeDefault; the user is ours to say
    kubernetes.set_security_context(task, run_as_user=cluster.run_as_user, run_as_non_root=True)
    for key, value in {STEP_LABEL: step, **cluster.labels}.items():
        kubernetes.add_pod_label(task, key, value)
    for key, value in cluster.annotations.items():
        kubernetes.add_pod_annotation(task, key, value)
    if cluster.image_pull_secret:
        kubernetes.set_image_pull_secrets(task, [cluster.image_pull_secret])
    if cluster.gcs_credentials.secret and reading in STORAGE_STEPS:
        _mount_credentials(task, cluster)
    _mount_keys(task, step, cluster)
    if reading in STORAGE_STEPS:
        _reach_s3(task, cluster)
    if reading in STORAGE_STEPS and step != REGISTER_TASK:
        for volume in cluster.data:
            kubernetes.mount_pvc(task, pvc_name=volume.pvc, mount_path=volume.mount_path)
    if step == EXIT_TASK:
        _tell_run_id(task)
    if step == "evaluate":
        _keep_what_outlives(task, cluster)  # the test ledger
    if step == "train":
        _place_training(task, cluster, selector, tolerations)


def look_versions_up(task: Any, cluster: Cluster) -> None:
    """Lets a check ask the cluster's registry, if it has one, for the bundle of a registered version."""
    if cluster.registry.server:
        task.set_container_image(cluster.image_of(REGISTER_TASK))  # the registry's client is in this image only
        task.set_env_variable(SERVER_VARIABLE, cluster.registry.server)
        _sign_in_to_registry(task, cluster)


def _mount_keys(task: Any, step: str, cluster: Cluster) -> None:
    """What signs, and what a signature is checked by."""
    if step == REGISTER_TASK:
        _sign_in_to_registry(task, cluster)
    if step == REGISTER_TASK and cluster.registry.signing_secret:
        kubernetes.use_secret_as_volume(task, secret_name=cluster.registry.signing_secret, mount_path=_SIGNING_MOUNT)
        task.set_env_variable(SIGNING_VARIABLE, _SIGNING_MOUNT)
    if step == VALIDATE_TASK and cluster.bundle_key_secret:
        kubernetes.use_secret_as_volume(task, secret_name=cluster.bundle_key_secret, mount_path=_KEY_MOUNT)
        task.set_env_variable(KEY_VARIABLE, f"{_KEY_MOUNT}/key")


def _sign_in_to_registry(task: Any, cluster: Cluster) -> None:
    if cluster.registry.token_secret:
        kubernetes.use_secret_as_volume(task, secret_name=cluster.registry.token_secret, mount_path=_TOKEN_MOUNT)
        task.set_env_variable(TOKEN_VARIABLE, f"{_TOKEN_MOUNT}/token")


def _mount_credentials(task: Any, cluster: Cluster) -> None:
    credentials = cluster.gcs_credentials
    kubernetes.use_secret_as_volume(task, secret_name=credentials.secret, mount_path=credentials.mount_path)
    task.set_env_variable("GOOGLE_APPLICATION_CREDENTIALS", f"{credentials.mount_path}/{credentials.key}")


def _reach_s3(task: Any, cluster: Cluster) -> None:
    if cluster.s3.secret:
        kubernetes.use_secret_as_env(task, cluster.s3.secret, {key: key for key in S3_KEYS})
    for name, value in (("AWS_ENDPOINT_URL", cluster.s3.endpoint), ("AWS_REGION", cluster.s3.region)):
        if value:
            task.set_env_variable(name, value)


def _keep_what_outlives(task: Any, cluster: Cluster) -> None:
    if cluster.checkpoints.pvc:
        kubernetes.mount_pvc(task, pvc_name=cluster.checkpoints.pvc, mount_path=cluster.checkpoints.mount_path)
    if cluster.checkpoints.root:
        task.set_env_variable(CHECKPOINT_ROOT_VARIABLE, cluster.checkpoints.root)


def _tell_run_id(task: Any) -> None:
    kubernetes.use_field_path_as_env(task, RUN_ID_VARIABLE, "metadata.labels['pipeline/runid']")


def _place_training(task: Any, cluster: Cluster, selector: Any, tolerations: Any) -> None:
    training = cluster.training
    kubernetes.empty_dir_mount(task, "dshm", "/dev/shm", medium="Memory", size_limit=training.shm)
    kubernetes.set_timeout(task, training.timeout_s)
    _keep_what_outlives(task, cluster)
    if cluster.checkpoints.root:
        _tell_run_id(task)  # every attempt of a run finds the same folder, and no other run does
    task.set_retry(
        training.retries,
        backoff_duration=f"{training.retry_wait_s}s",
        backoff_factor=training.retry_wait_factor,
        # not the longest wait, whatever its name says: all attempts together, counted from the start of the first
        backoff_max_duration=f"{cluster.training_attempts_s}s",
    )
    if cluster.gpu.count:
        # the driver reads string values only: an int here silently drops the GPU request
        task.set_accelerator_type(cluster.gpu.resource).set_accelerator_limit(str(cluster.gpu.count))
    # without a GPU, too: both are parameters of every run, and one without effect would be a trap
    kubernetes.add_node_selector_json(task, selector)
    kubernetes.add_toleration_json(task, tolerations)
