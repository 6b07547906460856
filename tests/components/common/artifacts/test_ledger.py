"""The test ledger: every opening is kept, also of two processes at once, in a folder and in a bucket."""

import json
import subprocess
import sys

import pytest

from components.common.artifacts import ledger
from components.common.artifacts.ledger import Opening, append, bundles_of, load_openings, save_openings, times_text
from components.common.runtime.errors import ArtifactError, ConfigError
from components.common.storage import store

WRITER = """
import sys
from components.common.artifacts.ledger import Opening, append
place, name = sys.argv[1:]
for k in range(40):
    append(place, Opening(split="s" * 64, bundle=f"{name}{k}", commit="c" * 40, time="2026-11-28T08:00:00Z"))
"""


def opening(bundle="b", split="s" * 64, time="2026-11-28T08:00:00Z"):
    return Opening(split=split, bundle=bundle, commit="c" * 40, time=time)


def test_an_opening_is_a_line_and_comes_back_with_those_before_it(tmp_path):
    place = tmp_path / "new" / "folder"
    assert append(str(place), opening("first")) == [opening("first")]
    assert append(str(place), opening("other", split="t" * 64)) == [opening("other", split="t" * 64)]
    assert append(f"file://{place}", opening("second")) == [opening("first"), opening("second")]
    lines = (place / "test_ledger.jsonl").read_text().splitlines()
    assert [json.loads(line)["bundle"] for line in lines] == ["first", "other", "second"]


def test_two_processes_that_append_at_once_lose_nothing(tmp_path):
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    writers = [subprocess.Popen([*command, name]) for name in ("a", "b")]
    assert [writer.wait() for writer in writers] == [0, 0]
    found = append(str(tmp_path), opening("last"))
    assert sorted(one.bundle for one in found) == sorted([f"{n}{k}" for n in "ab" for k in range(40)] + ["last"])


def test_a_line_that_a_full_disk_cut_off_does_not_swallow_the_next_one(tmp_path):
    file = tmp_path / "test_ledger.jsonl"
    append(str(tmp_path), opening("first"))
    file.write_bytes(file.read_bytes()[:-1])
    assert [one.bundle for one in append(str(tmp_path), opening("second"))] == ["first", "second"]


def test_what_is_not_an_opening_is_named(tmp_path):
    append(str(tmp_path), opening())
    with (tmp_path / "test_ledger.jsonl").open("a") as handle:
        handle.write('{"split": 3}\n')
    with pytest.raises(ArtifactError, match=r"test_ledger\.jsonl line 2: not an opening .* give another ledger"):
        append(str(tmp_path), opening())


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"ledger: received '.*file'; allowed: a folder, or a URI"):
        append(str(tmp_path / "file"), opening())


@pytest.mark.parametrize("kind", ["gcs", "s3"])
def test_in_a_bucket_each_opening_is_an_object_of_its_own(kind, request):
    bucket = request.getfixturevalue(kind)
    place = bucket.uri("ledger/")
    assert append(place, opening("first")) == [opening("first")]
    append(place, opening("other", split="t" * 64))
    found = append(place, opening("second", time="2026-11-28T09:00:00Z"))
    assert [one.bundle for one in found] == ["first", "second"]
    assert append(place, opening("first", time="2026-11-28T09:00:01Z"))[-1].bundle == "first"
    names = [item.name for item in store.list_files(bucket.uri(f"ledger/test_ledger/{'s' * 16}"))]
    assert len(names) == len(set(names)) == 3


def test_a_bucket_that_is_not_there_is_named(gcs):
    with pytest.raises(
        ConfigError, match=r"received 'gs://no-such-bucket-here/x'; allowed: .* below an existing bucket"
    ):
        append("gs://no-such-bucket-here/x", opening())


def test_openings_are_written_and_read(tmp_path):
    save_openings(tmp_path / ledger.FILE, [opening("a"), opening("b")])
    assert load_openings(tmp_path / ledger.FILE) == [opening("a"), opening("b")]
    assert load_openings(tmp_path / "absent.json") == []
    assert bundles_of([opening("b"), opening("a"), opening("b")]) == ["b", "a"]
    assert (times_text(1), times_text(3)) == ("once", "3 times")
