import numpy as np
import pytest

from components.common.errors import ArtifactError
from components.train.checkpoint import NAME, CheckpointStore, identity_of
from components.train.schedule import RunState

ARRAYS = {"weights": [np.arange(6, dtype=np.float32).reshape(2, 3), np.array(7, np.int64)], "best": []}


def test_everything_comes_back(tmp_path):
    state = RunState(epoch=3, step=2, loss_sum=1.25, best=0.7, best_epoch=2, wait=1, plateau_wait=1, rate_factor=0.5,
                     recoveries=1, history=[{"epoch": 1, "loss": 0.1}])  # fmt: skip
    store = CheckpointStore(str(tmp_path / "a" / "b"), "me")
    assert store.load() is None
    store.save(state, ARRAYS)
    back = store.load()
    assert back.state == state
    assert [a.dtype for a in back.arrays["weights"]] == [np.float32, np.int64]
    np.testing.assert_array_equal(back.arrays["weights"][0], ARRAYS["weights"][0])
    assert back.arrays["best"] == []
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == [NAME]


def test_a_file_of_another_run_is_refused_with_both_hashes(tmp_path):
    CheckpointStore(str(tmp_path), "1111aaaa").save(RunState(), ARRAYS)
    with pytest.raises(ArtifactError, match=r"1111aaaa.*2222bbbb"):
        CheckpointStore(str(tmp_path), "2222bbbb").load()


@pytest.mark.parametrize("damage", [b"", b"not a zip", None])
def test_a_damaged_file_is_refused(tmp_path, damage):
    store = CheckpointStore(str(tmp_path), "me")
    store.save(RunState(), ARRAYS)
    path = tmp_path / NAME
    path.write_bytes(path.read_bytes()[:-30] if damage is None else damage)
    with pytest.raises(ArtifactError, match="damaged"):
        store.load()


def test_without_a_place_nothing_is_kept(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = CheckpointStore("", "me")
    store.save(RunState(), ARRAYS)
    assert store.load() is None
    assert list(tmp_path.iterdir()) == []


def test_identity_follows_records_and_parameters_but_not_where_it_runs(tiny):
    base = identity_of(tiny(), "records")
    assert identity_of(tiny(checkpoint_dir="/somewhere", cache="stream", feed_threads=3), "records") == base
    assert identity_of(tiny(learning_rate=0.5), "records") != base
    assert identity_of(tiny(), "others") != base
