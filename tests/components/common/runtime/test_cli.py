"""The command line of a step follows its config."""

from pathlib import Path
from typing import Literal

import pytest
from pydantic import Field

from components.common.runtime.cli import Input, run_step_command
from components.common.runtime.config import StepConfig


class Example(StepConfig):
    batch_size: int = Field(32, ge=1, description="images per step, 100% of them")
    mode: Literal["a", "b"] = Field("a", description="how")
    names: list[str] = Field(default_factory=list, description="some names")


INPUTS = {"records": Input("shards"), "image-roots": Input("roots", many=True, required=False, uri=True)}


def run(argv):
    seen = []
    code = run_step_command("train", "Trains.", INPUTS, Example, lambda *given: seen.append(given), argv)
    return code, seen


def test_flags_become_inputs_config_and_out():
    code, seen = run(["--records", "r", "--image-roots", "x", "gs://y", "--batch_size", "8", "--out", "o"])
    assert code == 0
    assert seen == [({"records": Path("r"), "image-roots": ["x", "gs://y"]}, Example(batch_size=8), Path("o"))]


def test_dashes_and_lists_work_too():
    _, seen = run(["--records", "r", "--batch-size", "8", "--names", "p", "q", "--out", "o"])
    assert seen[0][1] == Example(batch_size=8, names=["p", "q"])


def test_a_list_given_in_two_flags_is_one_list():
    argv = ["--records", "r", "--image-roots", "x", "--image-roots", "y", "z", "--names", "p", "--names", "q"]
    _, seen = run([*argv, "--out", "o"])
    assert seen[0][0]["image-roots"] == ["x", "y", "z"]
    assert seen[0][1].names == ["p", "q"]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--records", "r", "--out", "o", "--batch_size", "0"], "batch_size: received '0'; allowed: an integer"),
        (["--records", "r", "--out", "o", "--mode", "c"], "mode: received 'c'; allowed: one of a, b"),
        (["--records", "r", "--out", "o", "--epoch", "3"], "unrecognized arguments: --epoch 3"),
        (["--records", "r", "--out", "o", "--batchsize", "3"], "--batchsize 3; did you mean --batch_size?"),
        (["--out", "o"], "the following arguments are required: --records"),
    ],
)
def test_a_bad_flag_exits_with_2_and_runs_nothing(argv, message, capsys):
    code, seen = run(argv)
    assert (code, seen) == (2, [])
    assert message in capsys.readouterr().err


def test_help_shows_default_and_allowed_values(capsys):
    with pytest.raises(SystemExit) as caught:
        run(["--help"])
    assert caught.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "images per step, 100% of them (an integer >= 1; default 32)" in text
