"""The command line as a whole: help everywhere, one name for one thing, old names with a warning."""

import argparse
import re
from pathlib import Path

import pytest

from components.calibrate.config import CalibrateConfig
from components.monitor.config import MonitorConfig
from pipelines.cli.main import build_parser, main

ROOT = Path(__file__).resolve().parents[3]


def leaves(parser, path=()):
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, inner in action.choices.items():
                yield (*path, name), inner
                yield from leaves(inner, (*path, name))


COMMANDS = dict(leaves(build_parser()))


@pytest.mark.parametrize("argv", [[], ["bundle"]])
def test_a_command_that_needs_another_prints_help(argv, capsys):
    assert main(argv) == 0
    assert "usage: lesionflow" in capsys.readouterr().out


def test_the_version_is_printed(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert re.fullmatch(r"lesionflow \d+\.\d+\.\d+\n", capsys.readouterr().out)


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_says_what_it_does_with_an_example_that_its_parser_takes(path):
    parser = COMMANDS[path]
    text = parser.format_help()
    assert parser.description.endswith(".")
    examples = re.findall(r"^  (lesionflow .*)$", text.partition("example:")[2], re.MULTILINE)
    assert examples
    for example in examples:
        assert example.split()[1 : 1 + len(path)] == list(path) or path == ("bundle",)
        words = [word.strip("'") for word in re.findall(r"'[^']*'|\S+", example)][1:]
        build_parser().parse_args(words)


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_no_help_shows_a_types_internal_name_or_a_flag_without_text(path):
    parser = COMMANDS[path]
    for action in parser._actions:
        assert action.help or isinstance(action, argparse._SubParsersAction), (path, action.dest)
    for word in ("<class", "Literal", "NoneType", "typing."):
        assert word not in parser.format_help()


def test_the_help_of_a_run_lists_its_parameters():
    text = COMMANDS["run",].format_help()
    assert "  target_sensitivity\n" in text
    assert "Training: maximum number of epochs" in " ".join(text.split())


def test_one_name_is_one_thing():
    for path, parser in COMMANDS.items():
        shown = {flag: a for a in parser._actions if a.help != argparse.SUPPRESS for flag in a.option_strings}
        assert "--config" not in shown, path
        for flag, word in (("--preset", "preset"), ("--cluster", "cluster"), ("--image-refs", "container references")):
            assert flag not in shown or word in shown[flag].help, path
        assert "--images" not in shown or path in (("run",), ("validate",))


@pytest.mark.parametrize(
    ("argv", "name", "value", "new"),
    [
        (["run", "--config", "sample", "--out", "o"], "preset", "sample", "--preset"),
        (["compile", "--config", "gke-t4", "--out", "o"], "cluster", "gke-t4", "--cluster"),
        (["upload", "--images", "i.yaml"], "image_refs", Path("i.yaml"), "--image-refs"),
    ],
)
def test_old_flags_count_one_more_version_with_a_warning(argv, name, value, new, capsys):
    assert getattr(build_parser().parse_args(argv), name) == value
    assert f"deprecated and will be removed in the next version; use {new}" in capsys.readouterr().err


def test_several_folders_follow_one_flag_or_several():
    parse = build_parser().parse_args
    assert parse(["run", "--out", "o", "--images", "a", "b", "--images", "c"]).images == ["a", "b", "c"]


def test_parameters_and_presets_are_listed(capsys):
    assert main(["parameters", "calibrate.delta"]) == 0
    assert capsys.readouterr().out.startswith("calibrate.delta\n")
    assert main(["presets"]) == 0
    assert {"ham10000-cpu", "ham10000-gpu", "sample"} <= set(capsys.readouterr().out.splitlines())
    assert main(["parameters", "lr"]) == 2
    assert "did you mean 'learning_rate'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "names", "default"),
    [
        ("monitor", set(MonitorConfig.model_fields), "default 100"),
        ("recalibrate", set(CalibrateConfig.model_fields) - {"calibration", "folds"}, ""),  # defaults: the bundle's own
    ],
)
def test_the_parameters_of_a_clinics_commands_come_from_their_fields(command, names, default, capsys):
    with pytest.raises(SystemExit):
        build_parser().parse_args([command, "--help"])
    _, _, notes = capsys.readouterr().out.partition("parameters (--set NAME=VALUE):\n")
    assert {line.strip() for line in notes.splitlines() if line.startswith("  ") and line[2] != " "} == names
    assert default in notes
    assert ("default" in notes) == bool(default)


def test_one_class_parses_every_command_line():
    made = [
        path.relative_to(ROOT).as_posix()
        for folder in ("components", "pipelines")
        for path in (ROOT / folder).rglob("*.py")
        if re.search(r"argparse\.ArgumentParser\(|\(argparse\.ArgumentParser\)", path.read_text(encoding="utf-8"))
    ]
    assert made == ["components/common/runtime/cli.py"]


def test_a_pipeline_without_images_is_refused_unless_it_is_only_looked_at(tmp_path, capsys):
    out = ["--out", str(tmp_path / "p.yaml")]
    assert main(["compile", *out]) == 2
    said = capsys.readouterr().err
    assert "images.data: missing; give --image-refs FILE" in said
    assert "--image-refs placeholder" in said
    assert not (tmp_path / "p.yaml").exists()
    assert main(["compile", "--image-refs", "placeholder", *out]) == 0
    assert "to look at" in capsys.readouterr().out
    assert main(["upload", "--image-refs", "placeholder", "--host", "http://127.0.0.1:1"]) == 2
    assert "images" in capsys.readouterr().err
    refs = ROOT / "tests" / "pipelines" / "cluster" / "image_refs.yaml"
    assert main(["compile", "--image-refs", str(refs), *out]) == 0
    assert "upload it" in capsys.readouterr().out
    assert "registry.example/lesionflow-gpu@sha256:" in (tmp_path / "p.yaml").read_text()


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["prdict"], "COMMAND: received 'prdict'; did you mean 'predict'? allowed: one of sample, run, "),
        (["verify", "b"], "COMMAND: received 'verify'; did you mean lesionflow bundle verify? allowed: one of sample"),
        (["run", "--out", "o"], "--metadata and --images: missing; give the table and the folders of its images"),
        (["run", "--out", "o", "--metadata", "t.csv"], "error: --images: missing; give the table"),
        (["doctor", "--bucket", "/b"], "--bucket: received '/b'; allowed: a gs:// or s3:// URI"),
        (["run", "--out", "o", "--prset", "sample"], "unrecognized arguments: --prset sample; did you mean --preset?"),
        (["compile", "--out", "o", "--cluster", "gke-t5"], "--cluster: received 'gke-t5'; did you mean 'gke-t4'?"),
        (["completion", "bsh"], "SHELL: received 'bsh'; did you mean 'bash'? allowed: one of bash, zsh"),
    ],
)
def test_a_mistyped_or_missing_command_flag_or_word_is_told_which_was_meant(argv, said, capsys):
    assert main(argv) == 2
    assert said in capsys.readouterr().err


def test_an_unknown_label_policy_is_refused_before_anything_is_written(tmp_path, capsys):
    (tmp_path / "table.csv").write_text("image_id,dx\n")
    (tmp_path / "images").mkdir()
    given = ["--metadata", str(tmp_path / "table.csv"), "--images", str(tmp_path / "images")]
    assert main(["run", *given, "--out", str(tmp_path / "out"), "--set", "label_policy=isc"]) == 2
    assert "label_policy: received 'isc'; allowed: one of auto, " in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
