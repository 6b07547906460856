import numpy as np
import pytest

from components.common.runtime.errors import ArtifactError, ConfigError
from components.train import checkpoint
from components.train.checkpoint import NAME, CheckpointStore, identity_of, run_facts
from components.train.schedule import RunState

ARRAYS = {"weights": [np.arange(6, dtype=np.float32).reshape(2, 3), np.array(7, np.int64)], "best": []}
FACTS = {"records": "1111aaaa", "epochs": 3}


def test_everything_comes_back(tmp_path):
    state = RunState(
        epoch=3,
        step=2,
        loss_sum=1.25,
        best=0.7,
        best_epoch=2,
        wait=1,
        plateau_wait=1,
        rate_factor=0.5,
        recoveries=1,
        history=[{"epoch": 1, "loss": 0.1}],
    )
    store = CheckpointStore(str(tmp_path / "a" / "b"), FACTS)
    assert store.load() is None
    store.save(state, ARRAYS)
    back = store.load()
    assert back.state == state
    assert [a.dtype for a in back.arrays["weights"]] == [np.float32, np.int64]
    np.testing.assert_array_equal(back.arrays["weights"][0], ARRAYS["weights"][0])
    assert back.arrays["best"] == []
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == [NAME]


def test_a_file_of_another_run_is_refused_with_both_hashes_and_what_differs(tmp_path):
    CheckpointStore(str(tmp_path), FACTS).save(RunState(), ARRAYS)
    other = {**FACTS, "epochs": 4}
    with pytest.raises(ArtifactError) as caught:
        CheckpointStore(str(tmp_path), other).load()
    for part in (NAME, identity_of(FACTS), identity_of(other), "epochs there 3, here 4"):
        assert part in str(caught.value)


@pytest.mark.parametrize("damage", [b"", b"not a zip", None])
def test_a_damaged_file_is_refused(tmp_path, damage):
    store = CheckpointStore(str(tmp_path), FACTS)
    store.save(RunState(), ARRAYS)
    path = tmp_path / NAME
    path.write_bytes(path.read_bytes()[:-30] if damage is None else damage)
    with pytest.raises(ArtifactError, match="damaged"):
        store.load()


def test_a_file_of_an_older_version_is_refused_by_its_schema(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "SCHEMA", "lesionflow.checkpoint/1")
        CheckpointStore(str(tmp_path), FACTS).save(RunState(), ARRAYS)
    with pytest.raises(ArtifactError, match=r"/1', expected .*; continue with the release that wrote it, or remove"):
        CheckpointStore(str(tmp_path), FACTS).load()


def test_without_a_place_nothing_is_kept(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = CheckpointStore("", FACTS, minutes=1e-9)
    store.save(RunState(), ARRAYS)
    assert store.load() is None
    assert not store.due()
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ConfigError, match=r"checkpoint_dir: received '.*file/state'; allowed: a folder, or a URI"):
        CheckpointStore(str(tmp_path / "file" / "state"), FACTS).save(RunState(), ARRAYS)


def test_a_save_is_due_after_its_minutes(tmp_path, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(checkpoint.time, "monotonic", lambda: now[0])
    store, never = CheckpointStore(str(tmp_path), FACTS, minutes=2), CheckpointStore(str(tmp_path), FACTS)
    now[0] = 219.0
    assert not store.due()
    now[0] = 221.0
    assert store.due()
    assert not never.due()
    store.save(RunState(), ARRAYS)
    assert not store.due()


def test_identity_follows_records_and_what_computes_but_not_where_it_runs(tiny):
    def identity(config, records="records", policy="float32", backend="tensorflow"):
        return identity_of(run_facts(config, records, policy, backend))

    base = identity(tiny())
    assert identity(tiny(checkpoint_dir="/somewhere", cache="stream", feed_threads=3, checkpoint_minutes=1)) == base
    assert identity(tiny(learning_rate=0.5)) != base
    assert identity(tiny(), records="others") != base
    assert identity(tiny(), policy="mixed_bfloat16") != base
    assert identity(tiny(), backend="jax") != base
