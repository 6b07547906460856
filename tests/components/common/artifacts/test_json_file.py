"""A document from outside is read within limits, or refused in one line that names file and field."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass

import pytest

from components.common.artifacts.json_file import (
    MOST_BYTES,
    dump_json,
    read_json,
    read_object,
    read_record,
    write_atomic,
)
from components.common.runtime.errors import ArtifactError

SCHEMA = "lesionflow.example/1"


@dataclass(frozen=True)
class Inner:
    weight: float


@dataclass(frozen=True)
class Example:
    name: str
    parts: dict[str, Inner]


GOOD = {"schema": SCHEMA, "name": "ä", "parts": {"a": {"weight": 0.5}}, "further": 1}


def refused(tmp_path, text):
    path = tmp_path / "a.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ArtifactError) as caught:
        read_record(path, SCHEMA, Example, "make it again")
    said = str(caught.value)
    assert said.startswith(f"{path}: ")
    assert len(said.splitlines()) == 1 and len(said) < 600 and said.isprintable()
    return said.removeprefix(f"{path}: ")


def test_a_document_becomes_its_class(tmp_path):
    write_atomic(tmp_path / "a.json", dump_json(GOOD))
    assert read_record(tmp_path / "a.json", SCHEMA, Example, "") == Example("ä", {"a": Inner(0.5)})
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not readable as JSON (Expecting value"),
        ("{", "not readable as JSON ("),
        (b"\xff\xfe{}", "not readable as JSON ('utf-8' codec"),
        ("[" * 100_000, "lists and objects, expected 50000 at most"),
        ("[" * 40_000, "not readable as JSON (maximum recursion depth exceeded"),
        (f'{{"schema": "{SCHEMA}", "deep": {"[" * 70}{"]" * 70}}}', "it is more than 64 levels deep"),
        (f'{{"schema": "{SCHEMA}", "name": "a", "name": "b", "parts": {{}}}}', "key 'name' occurs twice"),
        ('{"parts": {"a\\u001b[31m": 1, "a\\u001b[31m": 2}}', r"key 'a\x1b[31m' occurs twice"),
        ('{"a": NaN}', "NaN is not a finite number"),
        ('{"a": -Infinity}', "-Infinity is not a finite number"),
        ('{"a": 1e999}', "1e999 is not a finite number"),
        (f'{{"a": {"9" * 5000}}}', "not readable as JSON (Exceeds the limit"),
        ('{"a": "\\ud800"}', "not readable as JSON ('utf-8' codec can't encode"),
        (b" " * (MOST_BYTES + 1), f"it has more than {MOST_BYTES} bytes"),
        ("[1]", f"expected schema '{SCHEMA}', received 'list'"),
        ('{"schema": "other/1"}', f"expected schema '{SCHEMA}', received 'other/1'"),
        (json.dumps({"schema": ["x" * 10_000] * 50}), f"expected schema '{SCHEMA}', received ["),
        (json.dumps({"schema": SCHEMA, "parts": {}}), "name: missing; make it again"),
        (json.dumps(GOOD | {"name": 5}), "name: Input should be a valid string, received 5; make it again"),
        (json.dumps(GOOD | {"name": None}), "name: Input should be a valid string, received None"),
        (json.dumps(GOOD | {"parts": []}), "parts: Input should be a valid dictionary, received []"),
        (json.dumps(GOOD | {"parts": {"a\x1b": {"weight": "x" * 9999}}}), r"parts.'a\x1b'.weight: Input should be a v"),
    ],
)
def test_what_is_wrong_is_named_in_one_line(tmp_path, text, words):
    assert words in refused(tmp_path, text)


def test_an_object_of_any_schema_is_read_within_the_same_limits(tmp_path):
    path = tmp_path / "a.json"
    for text, words in (("[1]", "expected a JSON object, received list"), ('{"a": NaN}', "not a finite number")):
        path.write_text(text)
        with pytest.raises(ArtifactError, match=words):
            read_object(path)
    path.write_text('{"a": 1}')
    assert read_object(path) == {"a": 1}


def test_a_folder_a_pipe_and_nothing_are_named(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name, words in (("pipe", "it is not a file"), ("folder", "it is not a file"), ("none", "no such file")):
        with pytest.raises(ArtifactError, match=words):
            read_json(tmp_path / name, SCHEMA)


@pytest.mark.parametrize("unit", ["[],", '{"a":{}},', '"ab",', "0.1,", "0,"])
def test_no_document_takes_more_than_64_mb(tmp_path, unit):
    path = tmp_path / "a.json"
    path.write_text("[" + unit * (MOST_BYTES // len(unit) - 2) + "0]")
    code = (
        "import resource, sys; from pathlib import Path\n"
        "from components.common.artifacts.json_file import read_json, ArtifactError\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try: read_json(Path(sys.argv[1]), 'x')\n"
        "except ArtifactError: print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
    unit_bytes = 1 if sys.platform == "darwin" else 1024
    assert int(done.stdout) * unit_bytes < 64 * 2**20


def test_a_number_that_is_not_finite_is_not_written():
    with pytest.raises(ValueError, match="Out of range"):
        dump_json({"auc": float("nan")})


def test_a_write_that_fails_leaves_nothing(tmp_path):
    (tmp_path / "taken").mkdir()
    with pytest.raises(OSError, match="taken"):
        write_atomic(tmp_path / "taken", "x")
    assert [p.name for p in tmp_path.iterdir()] == ["taken"]
