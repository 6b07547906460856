import pytest

from components.common.runtime.resources import available_bytes, peak_bytes


@pytest.fixture
def box(tmp_path):
    """Control groups and /proc files of a machine with a free gigabyte."""

    class Box:
        cgroup, own, meminfo = tmp_path / "cgroup", tmp_path / "own", tmp_path / "meminfo"

        def put(self, name, text):
            path = self.cgroup / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{text}\n")

        def bytes(self):
            return available_bytes(self.cgroup, self.own, self.meminfo)

    Box.meminfo.write_text("MemTotal: 4000000 kB\nMemFree: 9 kB\nMemAvailable: 1000000 kB\n")
    Box.own.write_text("0::/\n")
    return Box()


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
