"""The watcher draws what the steps report, and never takes half a line for a whole one."""

import io
import json
import re
import subprocess
import sys

from rich.console import Console

from pipelines.local.watch import Watcher

SCRIPT = """
import json, sys, time
with open(sys.argv[1], "a") as out:
    for event in json.loads(sys.argv[2]):
        line = json.dumps(event) + "\\n"
        out.write(line[:5]); out.flush(); time.sleep(0.25)
        out.write(line[5:]); out.flush()
sys.exit(int(sys.argv[3]))
"""


def watch(tmp_path, events, code=0, *, terminal=False):
    path = tmp_path / "events"
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, path, json.dumps(events), str(code)])
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=terminal, width=100)
    watcher = Watcher(path, console)
    return watcher, watcher.follow(process), screen.getvalue()


def test_start_progress_and_end_of_a_step(tmp_path):
    events = [
        {"event": "start", "step": "ingest"},
        {"event": "progress", "what": "checking images", "done": 1, "total": 9, "note": ""},
        {"event": "done", "step": "ingest", "seconds": 12.5},
    ]
    watcher, code, screen = watch(tmp_path, events)
    assert code == 0
    assert watcher.state.steps["ingest"].state == "done"
    assert "ingest     done         12.5 s" in screen
    assert watcher.state.failed is None


def test_the_failed_step_is_known_with_its_error(tmp_path):
    events = [
        {"event": "start", "step": "split"},
        {"event": "failed", "step": "split", "error": "group L1 is in train and test", "exit_code": 1},
    ]
    watcher, code, screen = watch(tmp_path, events, code=1)
    assert code == 1
    assert watcher.state.failed.error == "group L1 is in train and test"
    assert "failed" in screen


def test_a_step_that_died_without_a_word_is_the_failed_one(tmp_path):
    watcher, _, _ = watch(tmp_path, [{"event": "start", "step": "train"}], code=1)
    assert watcher.state.failed.name == "train"


def test_a_terminal_gets_a_bar(tmp_path):
    events = [
        {"event": "start", "step": "train"},
        {"event": "progress", "what": "epoch 1 of 3", "done": 4, "total": 10, "note": "loss 0.51"},
        {"event": "progress", "what": "epoch 1 of 3", "done": 9, "total": 10, "note": "loss 0.48"},
        {"event": "start", "step": "calibrate"},  # a later event, so that the bar is drawn before the end
    ]
    _, _, screen = watch(tmp_path, events, terminal=True)
    assert "epoch 1 of 3" in screen
    assert "9/10" in screen


def test_a_step_shows_itself_running_from_its_start(tmp_path):
    events = [{"event": "start", "step": "calibrate"}]
    _, _, screen = watch(tmp_path, events, terminal=True)
    assert re.search(r"calibrate .*0:00:0\d.* running", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen))


def test_a_terminal_of_45_columns_shows_the_numbers_in_full(tmp_path):
    console = Console(file=io.StringIO(), force_terminal=True, width=45)
    watcher = Watcher(tmp_path / "events", console)
    (tmp_path / "events").write_text(
        '{"event": "start", "step": "train"}\n'
        '{"event": "progress", "what": "epoch 12 of 30", "done": 104, "total": 220, "note": "loss 0.512"}\n'
    )
    with watcher._bar:
        watcher._read()
        watcher._bar.refresh()
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", console.file.getvalue())
    line = [line for line in re.split(r"[\r\n]+", shown) if "epoch 12" in line][-1]
    assert "epoch 12 of 30 104/220" in line and "loss 0.512" in line and "\N{HORIZONTAL ELLIPSIS}" not in line


def test_without_a_terminal_each_epoch_is_one_line_with_its_validation(tmp_path, monkeypatch):
    monkeypatch.setattr("pipelines.local.watch._PLAIN_EVERY_S", 0.0)
    events = [
        {"event": "start", "step": "train"},
        {"event": "progress", "what": "epoch 3 of 12", "done": 4, "total": 10, "note": "loss 0.51"},
        {"event": "progress", "what": "scoring", "done": 4, "total": 10, "note": ""},
        {"event": "line", "text": "epoch 3/12  val AP 0.557 (best)  1:30 left"},
    ]
    _, _, screen = watch(tmp_path, events)
    assert [line.rstrip() for line in screen.rstrip().splitlines()] == [
        "train      running",
        "  scoring: 4 of 10",
        "  epoch 3/12  val AP 0.557 (best)  1:30 left",
    ]
