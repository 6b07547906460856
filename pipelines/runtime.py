"""Where a step runs: image, size, GPU, node selector, tolerations, /dev/shm, timeout, retries."""

from __future__ import annotations

from typing import Any

from kfp import kubernetes

from pipelines.cluster import Cluster


def place(task: Any, step: str, *, cluster: Cluster, selector: Any, tolerations: Any) -> None:
    """Sets what the cluster needs to know of `task`.

    Args:
        task: the kfp task.
        step: its step's name.
        cluster: facts of the cluster.
        selector: pipeline parameter with the GPU node selector; used by the training task only.
        tolerations: pipeline parameter with the GPU tolerations; used by the training task only.
    """
    size = cluster.size_of(step)
    task.set_display_name(step)
    task.set_container_image(cluster.image_of(step))
    task.set_cpu_request(size.cpu).set_cpu_limit(size.cpu)
    task.set_memory_request(size.memory).set_memory_limit(size.memory)
    task.set_caching_options(cluster.caching)
    if cluster.image_pull_secret:
        kubernetes.set_image_pull_secrets(task, [cluster.image_pull_secret])
    if step == "train":
        _place_training(task, cluster, selector, tolerations)


def _place_training(task: Any, cluster: Cluster, selector: Any, tolerations: Any) -> None:
    training = cluster.training
    kubernetes.empty_dir_mount(task, "dshm", "/dev/shm", medium="Memory", size_limit=training.shm)
    kubernetes.set_timeout(task, training.timeout_s)
    task.set_retry(
        training.retries, backoff_duration=f"{training.retry_backoff_s}s", backoff_factor=2.0,
        backoff_max_duration=f"{training.retry_backoff_max_s}s",
    )  # fmt: skip
    if cluster.gpu.count:
        # the driver reads string values only: an int here drops the GPU request without a word
        task.set_accelerator_type(cluster.gpu.resource).set_accelerator_limit(str(cluster.gpu.count))
        kubernetes.add_node_selector_json(task, selector)
        kubernetes.add_toleration_json(task, tolerations)
