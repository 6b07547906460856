"""A run that is stopped or killed at any moment goes on with the same command to bitwise the same result."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from components.common.artifacts.folder import open_artifact
from components.common.runtime.errors import ArtifactError, ConfigError
from components.train import loop
from components.train import run as run_module
from components.train.checkpoint import NAME, CheckpointStore, run_facts
from components.train.run import run
from components.train.schedule import RunState
from components.train.sigterm import StoppedError

RESUMABLE = {"epochs": 2, "deterministic": True, "average": 0.9, "target": "diagnosis", "early_stopping_patience": 0}
CALLS = 7  # of learning_rate in an epoch: one for its row, one for each of its six steps


class Killed(BaseException):
    """Ends a run where it stands, as kill -9 does: nothing is saved or tidied by the loop."""


@pytest.fixture(scope="module")
def undisturbed(records, tiny, tmp_path_factory):
    out = tmp_path_factory.mktemp("undisturbed") / "model"
    run(tiny(**RESUMABLE), records, out)
    return out


@pytest.fixture
def at(monkeypatch):
    """`at(n, action)`: does `action` when the loop asks for a learning rate for the n-th time."""

    original = loop.learning_rate

    def set_up(n, action):
        count = [0]

        def counted(*arguments):
            count[0] += 1
            if count[0] == n:
                action()
            return original(*arguments)

        monkeypatch.setattr(loop, "learning_rate", counted)

    return set_up


def terminate():
    os.kill(os.getpid(), signal.SIGTERM)


def kill():
    raise Killed


def checkpoint_of(config, records):
    facts = run_facts(config, open_artifact(records, "records").digest, "float32", "tensorflow")
    return CheckpointStore(config.checkpoint_dir, facts)


@pytest.mark.parametrize("n", [7, CALLS + 3])  # at the last step of an epoch, in the next
def test_sigterm_at_any_batch(n, undisturbed, records, tiny, tmp_path, at, same_result, monkeypatch):
    config = tiny(**RESUMABLE, checkpoint_dir=str(tmp_path / "state"))
    at(n, terminate)
    with pytest.raises(StoppedError, match=r"stopped by SIGTERM in epoch .* resume from") as caught:
        run(config, records, tmp_path / "model")
    assert caught.value.exit_code == 75
    assert not (tmp_path / "model").exists()
    run(config, records, tmp_path / "model")
    same_result(undisturbed, tmp_path / "model")
    monkeypatch.setattr(loop.Loop, "_epoch", lambda *_: pytest.fail("trained again"))
    run(config, records, tmp_path / "again")  # the finished run gives the same without training
    same_result(undisturbed, tmp_path / "again")


@pytest.mark.parametrize("minutes", [0, 1e-9])  # saved at the end of an epoch only; after every step
def test_killed_twice(minutes, undisturbed, records, tiny, tmp_path, at, same_result, caplog):
    caplog.set_level("INFO")
    config = tiny(**RESUMABLE, checkpoint_dir=str(tmp_path / "state"), checkpoint_minutes=minutes)
    for n in (CALLS + 5, 4):
        at(n, kill)
        with pytest.raises(Killed):
            run(config, records, tmp_path / "model")
    at(0, kill)
    run(config, records, tmp_path / "model")
    same_result(undisturbed, tmp_path / "model")
    assert f"resuming {'at the start' if minutes == 0 else 'after step 5'} of epoch 2" in caplog.text


def test_sigterm_during_validation(undisturbed, records, tiny, tmp_path, monkeypatch, same_result):
    config = tiny(**RESUMABLE, checkpoint_dir=str(tmp_path / "state"))
    original = loop.plain_batches

    def stopping(*arguments):
        terminate()
        yield from original(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "plain_batches", stopping)
        with pytest.raises(StoppedError, match="stopped by SIGTERM in epoch 1 after step 6"):
            run(config, records, tmp_path / "model")
    run(config, records, tmp_path / "model")
    same_result(undisturbed, tmp_path / "model")


def test_sigterm_before_the_first_step_ends_the_run_at_once(records, tiny, tmp_path, monkeypatch):
    def stopped(*_):
        terminate()
        pytest.fail("went on reading")

    monkeypatch.setattr(run_module, "load_split", stopped)
    with pytest.raises(StoppedError, match="before the first step; run the same command again"):
        run(tiny(), records, tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_best_value_waiting_counters_and_learning_rate_go_on(records, tiny, tmp_path, kit):
    """Keras's BackupAndRestore forgets them, and a worse model overwrites a better one (keras#17012)."""
    values = {
        "schedule": "plateau",
        "plateau_patience": 2,
        "plateau_factor": 0.5,
        "warmup_epochs": 0,
        "early_stopping_patience": 3,
        "checkpoint_dir": str(tmp_path / "state"),
    }
    first, config = tiny(epochs=1, **values), tiny(epochs=8, **values)
    run(first, records, tmp_path / "short")
    early, store = checkpoint_of(first, records).load(), checkpoint_of(config, records)
    early.state.best, early.state.best_epoch, early.state.wait = 1.5, 1, 1  # no epoch to come can be better
    early.state.plateau_wait, early.state.rate_factor = 1, 0.25
    store.save(early.state, early.arrays)
    result = run(config, records, tmp_path / "model")
    assert (result.epochs, result.best_epoch) == (3, 1)  # the wait went on from 1, so two epochs ended it
    assert (store.load().state.best, store.load().state.wait) == (1.5, 3)
    rates = [float(row["learning_rate"]) for row in kit.history(tmp_path / "model")]
    assert rates == pytest.approx([3e-3, 3e-3 * 0.25, 3e-3 * 0.125])
    for kept, best in zip(kit.weights(tmp_path / "model"), kit.weights(tmp_path / "short"), strict=True):
        np.testing.assert_array_equal(kept, best)


def test_the_loss_scale_goes_on(records, tiny, tmp_path):
    values = {"precision": "mixed_float16", "warmup_epochs": 0, "checkpoint_dir": str(tmp_path / "state")}
    digest = open_artifact(records, "records").digest

    def store(epochs):
        return CheckpointStore(
            values["checkpoint_dir"], run_facts(tiny(epochs=epochs, **values), digest, "mixed_float16", "tensorflow")
        )

    run(tiny(epochs=1, **values), records, tmp_path / "short")
    early = store(1).load()
    scale = [i for i, array in enumerate(early.arrays["optimizer"]) if array.shape == () and array == 2**15]
    assert len(scale) == 1
    early.arrays["optimizer"][scale[0]] = np.array(512.0, np.float32)
    store(2).save(early.state, early.arrays)
    run(tiny(epochs=2, **values), records, tmp_path / "model")
    assert store(2).load().arrays["optimizer"][scale[0]] == 512


def test_a_checkpoint_of_another_configuration_is_refused(records, tiny, tmp_path):
    checkpoint_of(tiny(checkpoint_dir=str(tmp_path / "state")), records).save(RunState(), {})
    with pytest.raises(
        ArtifactError,
        match=r"belongs to records and parameters [0-9a-f]{64}, this run's are "
        r"[0-9a-f]{64} \(seed there 5, here 6\)",
    ):
        run(tiny(seed=6, checkpoint_dir=str(tmp_path / "state")), records, tmp_path / "model")
    assert not (tmp_path / "model").exists()


def command_of(config, records, out):
    command = [sys.executable, "-m", "components.train", "--records", str(records), "--out", str(out)]
    for name, value in config.model_dump().items():
        if value is not None and value != "":
            command += [f"--{name}", str(value)]
    return command


def start(command, **environment):
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", **environment}
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


def wait_for(process, happened):
    deadline = time.monotonic() + 200
    while not happened():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_process_is_terminated_then_killed_then_finishes(undisturbed, records, tiny, tmp_path, same_result):
    config = tiny(**RESUMABLE, checkpoint_dir=str(tmp_path / "state"), checkpoint_minutes=1e-9)
    command, state = command_of(config, records, tmp_path / "model"), tmp_path / "state" / NAME
    process = start(command)
    wait_for(process, state.exists)
    process.send_signal(signal.SIGTERM)
    errors = process.communicate(timeout=60)[1]
    assert process.returncode == 75, errors
    assert "run the same command to resume from" in errors.strip().splitlines()[-1]
    saved = state.stat().st_mtime_ns
    process = start(command)
    wait_for(process, lambda: state.stat().st_mtime_ns > saved)
    process.kill()
    process.communicate()
    assert not (tmp_path / "model").exists()
    process = start(command)
    errors = process.communicate(timeout=200)[1]
    assert process.returncode == 0, errors
    assert "resuming after step" in errors or "resuming at the start" in errors
    same_result(undisturbed, tmp_path / "model")


class Valve(threading.Thread):
    """A connection to a server that closes in the middle of the n-th upload: half of it arrives, then nothing."""

    def __init__(self, address, n):
        super().__init__(daemon=True)
        host, _, port = address.partition(":")
        self.server, self.n, self.uploads, self.held = (host, int(port)), n, 0, threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    def run(self):
        while True:
            client = self.listener.accept()[0]
            server = socket.create_connection(self.server)
            for source, target in ((client, server), (server, client)):
                threading.Thread(target=self.pump, args=(source, target), daemon=True).start()

    def pump(self, source, target):
        while data := source.recv(1 << 16):
            self.uploads += data.startswith(b"POST /upload")
            if self.uploads == self.n:
                target.sendall(data[: len(data) // 2])
                self.held.set()
                return
            target.sendall(data)


def test_killed_while_the_checkpoint_is_uploaded(undisturbed, records, tiny, tmp_path, gcs, same_result, caplog):
    config = tiny(**RESUMABLE, checkpoint_dir=gcs.uri("runs/7"))
    valve = Valve(gcs.address, n=3)  # the one after the second epoch
    valve.start()
    process = start(command_of(config, records, tmp_path / "model"), STORAGE_EMULATOR_HOST=valve.url)
    wait_for(process, valve.held.is_set)
    process.kill()
    process.communicate()
    caplog.set_level("INFO")
    run(config, records, tmp_path / "model")
    assert "resuming at the start of epoch 2" in caplog.text  # the file of the first epoch is whole
    same_result(undisturbed, tmp_path / "model")


def test_a_run_goes_on_from_s3(undisturbed, records, tiny, tmp_path, s3, at, same_result):
    config = tiny(**RESUMABLE, checkpoint_dir=s3.uri("runs/7"))
    at(CALLS + 3, terminate)
    with pytest.raises(StoppedError, match=r"resume from s3://"):
        run(config, records, tmp_path / "model")
    run(config, records, tmp_path / "model")
    same_result(undisturbed, tmp_path / "model")


def test_a_bucket_that_is_not_there_is_known_before_the_first_step(records, tiny, tmp_path, gcs, monkeypatch):
    monkeypatch.setattr(loop.Loop, "_epoch", lambda *_: pytest.fail("trained"))
    with pytest.raises(ConfigError, match=r"checkpoint_dir: received 'gs://no-such-bucket/x'; allowed: .* bucket"):
        run(tiny(checkpoint_dir="gs://no-such-bucket/x"), records, tmp_path / "model")
