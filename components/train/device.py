"""The device a run computes on, and the precision."""

from __future__ import annotations

import logging
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from components.common.runtime.resources import usable_cores
from components.common.runtime.session import native_stderr_hidden

log = logging.getLogger(__name__)

_DRIVER = Path("/dev/nvidiactl")


@dataclass(frozen=True)
class Device:
    """Devices of this process.

    Attributes:
        kind: gpu or cpu.
        name: as the driver calls it.
        count: GPUs; on a CPU the logical devices that TensorFlow was configured to make of it, else 1.
        compute_capability: of the first GPU, (0, 0) on a CPU.
        memory_bytes: of the first GPU; 0 on a CPU.
        cores: CPU cores this process may use.
    """

    kind: str
    name: str
    count: int
    compute_capability: tuple[int, int]
    memory_bytes: int
    cores: int

    def record(self) -> dict[str, Any]:
        """For `environment.json`."""
        return {**asdict(self), "compute_capability": list(self.compute_capability)}


def find_device(backend: str = "tensorflow") -> Device:
    """The GPUs that Keras's backend sees, else the CPU."""
    cores = usable_cores()
    if backend == "jax":
        return _jax_device(cores)
    import tensorflow as tf

    # without a driver TensorFlow reports that as an error; with one, its messages are needed
    with nullcontext() if _DRIVER.exists() else native_stderr_hidden():
        gpus = tf.config.list_physical_devices("GPU")
        cpus = len(tf.config.list_logical_devices("CPU"))
    if not gpus:
        return Device("cpu", "cpu", cpus, (0, 0), 0, cores)
    details = tf.config.experimental.get_device_details(gpus[0])
    capability = details.get("compute_capability", (0, 0))
    return Device(
        "gpu",
        str(details.get("device_name", "gpu")),
        len(gpus),
        (int(capability[0]), int(capability[1])),
        _gpu_memory(),
        cores,
    )


def _jax_device(cores: int) -> Device:
    import jax

    first = jax.devices()[0]
    if first.platform != "gpu":
        return Device("cpu", "cpu", 1, (0, 0), 0, cores)
    major, _, minor = str(getattr(first, "compute_capability", "0.0")).partition(".")
    return Device("gpu", str(first.device_kind), jax.device_count(), (int(major), int(minor)), _gpu_memory(), cores)


def dtype_policy(precision: str, capability: tuple[int, int]) -> str:
    """The Keras dtype policy for `precision` on a device.

    Returns:
        float32, mixed_bfloat16 or mixed_float16.
    """
    if precision == "auto":
        # tensor cores know bfloat16 from Ampere (8.0) on, float16 from Volta (7.0) on; a CPU gains nothing
        return "mixed_bfloat16" if capability >= (8, 0) else "mixed_float16" if capability >= (7, 0) else "float32"
    return precision


def log_device(device: Device, policy: str) -> None:
    """The first lines of a training log."""
    if device.kind == "gpu":
        log.info(
            "device: %d x %s, compute capability %d.%d, %.1f GiB each, precision policy %s",
            device.count,
            device.name,
            *device.compute_capability,
            device.memory_bytes / 2**30,
            policy,
        )
    else:
        log.info("device: CPU, %d cores, no GPU found, precision policy %s", device.cores, policy)


def device_peak_bytes() -> int:
    """Peak memory of this process on its first GPU so far; 0 without one."""
    import keras

    if keras.backend.backend() == "jax":
        import jax

        return int((jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use", 0))
    import tensorflow as tf

    if not tf.config.list_physical_devices("GPU"):
        return 0
    return int(tf.config.experimental.get_memory_info("GPU:0")["peak"])


def _gpu_memory() -> int:
    """Total memory of GPU 0 in bytes; 0 where the driver's tool is not there to ask."""
    import subprocess

    command = ["nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits", "--id=0"]
    try:
        reply = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout
        return int(reply.split()[0]) * 2**20
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return 0
