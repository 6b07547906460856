"""Cores and memory are those of the container; blocks that threads have freed are given back."""

import os
import subprocess
import sys

import pytest

from components.common.runtime.resources import available_bytes, peak_bytes, usable_cores

# A freed block of 36 MB lets glibc keep later ones of 24 MB for the threads that freed them; many threads, many blocks.
CODE = """
import sys, threading
from components.common.runtime.resources import return_large_blocks
if sys.argv[1] == "returned":
    return_large_blocks()
del (first := bytearray(b"x") * (31 << 20))[:]
del first
barrier = threading.Barrier(6)
def work():
    block = bytearray(b"x") * (24 << 20)
    barrier.wait()
    del block
    barrier.wait()
threads = [threading.Thread(target=work) for _ in range(5)]
for one in threads:
    one.start()
barrier.wait()
barrier.wait()
print(next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmRSS")) // 1000)
for one in threads:
    one.join()
"""


@pytest.fixture
def box(tmp_path):
    """Control groups and /proc files of a machine with a free gigabyte that limits nothing."""

    class Box:
        cgroup, own, meminfo = tmp_path / "cgroup", tmp_path / "own", tmp_path / "meminfo"

        def put(self, name, text):
            path = self.cgroup / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{text}\n")

        def cores(self):
            return usable_cores(self.cgroup, self.own)

        def bytes(self):
            return available_bytes(self.cgroup, self.own, self.meminfo)

    Box.meminfo.write_text("MemTotal: 4000000 kB\nMemFree: 9 kB\nMemAvailable: 1000000 kB\n")
    Box.own.write_text("0::/\n")
    return Box()


def test_a_quota_of_cores_is_rounded_up_and_never_raises_the_count(box):
    whole = box.cores()
    box.put("cpu.max", "10000 100000")
    assert box.cores() == 1
    box.put("cpu.max", "99900000 100000")
    assert box.cores() == whole
    box.put("cpu.max", "max 100000")
    assert box.cores() == whole


def test_a_group_further_down_has_a_quota_of_its_own(box):
    box.own.write_text("1:cpu,cpuacct:/a\n0::/\n")
    box.put("cpu/cpu.cfs_quota_us", -1)
    box.put("cpu/a/cpu.cfs_quota_us", 50_000)
    box.put("cpu/a/cpu.cfs_period_us", 100_000)
    assert box.cores() == 1


def test_a_process_bound_to_one_core_has_one(box):
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        assert box.cores() == 1
    finally:
        os.sched_setaffinity(0, allowed)


def test_without_control_groups_the_machine_counts(tmp_path):
    assert usable_cores(tmp_path / "none", tmp_path / "none") == len(os.sched_getaffinity(0))


def test_the_containers_limit_counts_not_the_nodes(box):
    box.put("memory.max", 3_000_000)
    box.put("memory.current", 1_000_000)
    assert box.bytes() == 2_000_000


def test_cgroup_v1_and_a_container_that_is_full(box):
    box.put("memory/memory.limit_in_bytes", 500)
    box.put("memory/memory.usage_in_bytes", 900)
    assert box.bytes() == 0


@pytest.mark.parametrize(
    ("limit", "used", "key"),
    [
        ("memory.max", "memory.current", "inactive_file"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "total_inactive_file"),
    ],
)
def test_file_pages_the_kernel_would_drop_are_not_used_memory(box, limit, used, key):
    box.put(limit, 5000)
    box.put(used, 4500)
    box.put(f"{limit.rpartition('/')[0] or '.'}/memory.stat", f"anon 10\n{key} 4000\nactive_file 7")
    assert box.bytes() == 4500


def test_a_group_further_down_has_a_limit_of_its_own(box):
    box.own.write_text("4:memory:/a/b\n0::/\n")
    box.put("memory/memory.limit_in_bytes", 9223372036854771712)
    box.put("memory/a/memory.limit_in_bytes", 9000)
    box.put("memory/a/b/memory.limit_in_bytes", 8000)
    assert box.bytes() == 8000
    box.put("memory/a/memory.usage_in_bytes", 6000)
    assert box.bytes() == 3000


def test_a_group_that_only_the_node_sees_is_no_error(box):
    box.own.write_text("0::/kubepods.slice/pod7\n")
    box.put("memory.max", 700)
    assert box.bytes() == 700


def test_no_limit_leaves_the_machines_memory(box):
    box.put("memory.max", "max")
    assert box.bytes() == 1_024_000_000
    assert available_bytes() > 2**20
    assert peak_bytes() > 2**20


def held(how):
    done = subprocess.run([sys.executable, "-c", CODE, how], capture_output=True, text=True, check=True)
    return int(done.stdout)


def test_freed_blocks_of_many_threads_are_no_longer_held():
    assert held("returned") < 50 < held("kept")
