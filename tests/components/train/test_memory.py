from components.train.memory import available_bytes, peak_bytes


def test_the_containers_limit_counts_not_the_nodes(tmp_path):
    (tmp_path / "memory.max").write_text("3000000\n")
    (tmp_path / "memory.current").write_text("1000000\n")
    assert available_bytes(tmp_path) == 2_000_000


def test_cgroup_v1_and_a_container_that_is_full(tmp_path):
    (tmp_path / "memory").mkdir()
    (tmp_path / "memory/memory.limit_in_bytes").write_text("500")
    (tmp_path / "memory/memory.usage_in_bytes").write_text("900")
    assert available_bytes(tmp_path) == 0


def test_no_limit_leaves_the_machines_memory(tmp_path):
    (tmp_path / "memory.max").write_text("max\n")
    assert available_bytes(tmp_path) > 2**20
    assert peak_bytes() > 2**20
