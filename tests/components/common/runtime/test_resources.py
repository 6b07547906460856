import os

import pytest

from components.common.runtime.resources import usable_cores


@pytest.fixture
def box(tmp_path):
    """Control groups of a machine that limits nothing."""

    class Box:
        cgroup, own = tmp_path / "cgroup", tmp_path / "own"

        def put(self, name, text):
            path = self.cgroup / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{text}\n")

        def cores(self):
            return usable_cores(self.cgroup, self.own)

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
