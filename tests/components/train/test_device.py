import pytest

from components.train.device import Device, dtype_policy, find_device, log_device


@pytest.mark.parametrize(
    ("precision", "capability", "policy"),
    [
        ("auto", (0, 0), "float32"),
        ("auto", (6, 1), "float32"),
        ("auto", (7, 0), "mixed_float16"),
        ("auto", (7, 5), "mixed_float16"),
        ("auto", (8, 0), "mixed_bfloat16"),
        ("auto", (9, 0), "mixed_bfloat16"),
        ("float32", (9, 0), "float32"),
        ("mixed_bfloat16", (0, 0), "mixed_bfloat16"),
    ],
)
def test_precision_follows_the_compute_capability(precision, capability, policy):
    assert dtype_policy(precision, capability) == policy


def test_this_machine_is_described():
    device = find_device()
    assert device.cores >= 1
    assert device.record()["kind"] in ("cpu", "gpu")


def test_the_log_names_gpu_capability_memory_and_policy(caplog):
    caplog.set_level("INFO")
    log_device(Device("gpu", "NVIDIA A100", 2, (8, 0), 40 * 2**30, 8), "mixed_bfloat16")
    for part in ("2 x NVIDIA A100", "8.0", "40.0 GiB", "mixed_bfloat16"):
        assert part in caplog.text
