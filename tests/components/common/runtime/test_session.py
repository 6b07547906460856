"""A step tells its watcher how it ended, and a command's exit code tells the truth."""

import errno
import json
import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from components.common.artifacts.json_file import write_atomic
from components.common.runtime.errors import ConfigError, DataError
from components.common.runtime.events import EVENTS_VARIABLE, Progress, progress
from components.common.runtime.session import exit_code_of, native_stderr_hidden, step_session


@pytest.fixture
def events(tmp_path, monkeypatch):
    monkeypatch.setenv(EVENTS_VARIABLE, str(tmp_path / "events"))
    return lambda: [json.loads(line) for line in (tmp_path / "events").read_text().splitlines()]


def test_a_step_that_ends_well_reports_its_seconds(events):
    with step_session("split"):
        pass
    start, done = events()
    assert start == {"event": "start", "step": "split"}
    assert done["event"] == "done"
    assert done["seconds"] >= 0


def test_an_expected_failure_reports_its_own_words(events):
    with pytest.raises(DataError), step_session("split"):
        raise DataError("group HAM_1 is in train and test")
    assert events()[-1] == {
        "event": "failed",
        "step": "split",
        "error": "group HAM_1 is in train and test",
        "exit_code": 1,
    }


def test_a_defect_reports_its_type(events):
    with pytest.raises(KeyError), step_session("split"):
        raise KeyError("label")
    assert events()[-1]["error"] == "KeyError: 'label'"


def test_progress_starts_at_zero_and_ends_at_its_total(events):
    with progress("decode", 50) as bar:
        for _ in range(50):
            bar.advance()
    done = [event["done"] for event in events()]
    assert done[0] == 0
    assert done[-1] == 50
    assert done == sorted(done)


def test_progress_cut_short_does_not_claim_to_be_complete(events):
    with pytest.raises(DataError), progress("decode", 50) as bar:
        bar.advance(3)
        raise DataError("x")
    assert events()[-1]["done"] == 3


def test_without_a_watcher_progress_goes_to_the_log(monkeypatch, caplog):
    monkeypatch.delenv(EVENTS_VARIABLE, raising=False)
    monkeypatch.setattr("components.common.runtime.events._LOG_EVERY_S", 0.0)
    with caplog.at_level(logging.INFO):
        Progress("decode", 10).advance(4)
    assert "decode: 4 of 10" in caplog.text


@pytest.mark.parametrize(("error", "code"), [(None, 0), (DataError("bad row 7"), 1), (ConfigError("epochs: bad"), 2)])
def test_exit_codes(error, code, capsys):
    def body():
        if error:
            raise error

    assert exit_code_of(body) == code
    assert capsys.readouterr().err == (f"error: {error}\n" if error else "")


def test_a_full_file_system_is_one_line_with_folder_bytes_needed_and_bytes_free(tmp_path, capsys, monkeypatch, events):
    def full(self, data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    said = rf"No space left on device, 1,500 bytes are needed, [\d,]+ bytes are free in {tmp_path}; make"
    line = f"{tmp_path}/card.md: {said}"
    assert exit_code_of(lambda: write_atomic(tmp_path / "card.md", bytes(1500))) == 1
    assert re.match(f"error: {line} room there, or choose another folder\n$", capsys.readouterr().err)
    with pytest.raises(OSError), step_session("evaluate"):
        write_atomic(tmp_path / "card.md", bytes(1500))
    assert re.match(line, events()[-1]["error"])


def test_a_read_only_file_system_is_one_line_that_names_the_file(capsys):
    def body():
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), "/data/x")

    assert exit_code_of(body) == 1
    assert capsys.readouterr().err == "error: /data/x: Read-only file system; choose a folder that may be written\n"


def test_another_error_of_the_system_keeps_its_traceback():
    def body():
        raise OSError(errno.EIO, os.strerror(errno.EIO), "/data/x")

    with pytest.raises(OSError, match="Input/output error"):
        exit_code_of(body)


@pytest.mark.parametrize(
    ("given", "code", "line"),
    [
        (["--records", "/nowhere"], 1, r"error: /nowhere: no such folder; .*"),
        (["--records", "/nowhere", "--epochs", "none"], 2, r"error: epochs: received 'none'; .*"),
        (["--recrods", "/nowhere"], 2, r"error: .*--records.*"),
    ],
    ids=["in the step", "before it", "on the command line"],
)
def test_a_step_command_says_its_error_once(given, code, line, tmp_path):
    """In a pod the error is the last line of the step's log; a command writes it as every command does, and alone."""
    environment = {**os.environ, EVENTS_VARIABLE: str(tmp_path / "events.jsonl")}
    command = [sys.executable, "-m", "components.train", *given, "--out", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert (done.returncode, done.stdout) == (code, "")
    (said,) = done.stderr.splitlines()
    assert re.fullmatch(line, said), said
    events = (tmp_path / "events.jsonl").read_text().splitlines() if code == 1 else []
    assert [json.loads(one)["event"] for one in events] == (["start", "failed"] if code == 1 else [])
    if code == 1:
        assert said == f"error: {json.loads(events[-1])['error']}"


def test_a_step_in_a_pod_logs_its_error_once_as_the_last_line_before_the_traceback(tmp_path):
    code = (
        "from components.common.runtime.errors import DataError; from components.common.runtime import session\n"
        "with session.step_session('split'): raise DataError('row 7: no label')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    logged = [line for line in done.stderr.splitlines() if "row 7: no label" in line]
    assert re.fullmatch(r"\d\d:\d\d:\d\d ERROR   split failed: row 7: no label", logged[0])
    assert len(logged) == 2 and logged[1].endswith(
        "DataError: row 7: no label"
    )  # of Python, as KFP's executor shows it


def test_a_reader_that_has_seen_enough_is_no_traceback():
    code = (
        "import sys; from components.common.runtime.session import exit_code_of; "
        "sys.exit(exit_code_of(lambda: [print('x' * 100) for _ in range(100_000)]))"
    )
    script = f'"{sys.executable}" -c "$1" | head -1; echo "${{PIPESTATUS[0]}}"'
    done = subprocess.run(["bash", "-c", script, "bash", code], capture_output=True, text=True, check=True)
    assert (done.stdout.splitlines()[-1], done.stderr) == ("141", "")


def test_ctrl_c_is_no_traceback(capsys):
    def body():
        raise KeyboardInterrupt

    assert exit_code_of(body) == 130
    assert "interrupted" in capsys.readouterr().err


def test_native_messages_are_hidden_and_later_ones_are_not(capfd):
    with pytest.raises(KeyError), native_stderr_hidden():
        os.write(2, b"greeting")
        raise KeyError
    os.write(2, b"error")
    assert capfd.readouterr().err == "error"


def test_the_causes_of_an_error_are_printed_only_when_asked_for(monkeypatch, capsys):
    def body():
        try:
            int("x")
        except ValueError as error:
            raise ConfigError("epochs: received 'x'; allowed: an integer") from error

    assert exit_code_of(body) == 2
    assert capsys.readouterr().err == "error: epochs: received 'x'; allowed: an integer\n"
    monkeypatch.setenv("LESIONFLOW_DEBUG", "1")
    assert exit_code_of(body) == 2
    said = capsys.readouterr().err
    assert "ValueError: invalid literal" in said
    assert said.endswith("error: epochs: received 'x'; allowed: an integer\n")
