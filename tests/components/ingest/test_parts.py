"""A collection that several pods check gives the index of one pod, to the byte."""

import pytest

from components.common.runtime.part import Part
from components.ingest import check
from components.ingest.config import IngestConfig
from components.ingest.parts import run_part
from components.ingest.run import run
from pipelines.sample.generate import make_sample

CONFIG = IngestConfig(max_lost_pct=100)


def bytes_of(path):
    return {one.name: one.read_bytes() for one in path.iterdir()}


@pytest.fixture(scope="module")
def faulty(tmp_path_factory):
    """Images with one of each known fault, in two folders that share a name."""
    root = tmp_path_factory.mktemp("faulty")
    make_sample(root / "data", 40, 3, faults=True)
    (root / "more").mkdir()
    first = sorted((root / "data" / "images").glob("*.jpg"))[0]
    (root / "more" / first.name).write_bytes(first.read_bytes())
    given = (str(root / "data" / "metadata.csv"), [str(root / "data" / "images"), str(root / "more")])
    run(CONFIG, *given, root / "whole")
    return given, root / "whole"


@pytest.mark.parametrize("count", [1, 2, 5])
def test_the_index_of_parts_has_the_bytes_of_one_pods(faulty, tmp_path, count):
    given, whole = faulty
    parts = [run_part(CONFIG, *given, Part(i, count), tmp_path / f"part{i}") for i in range(count)]
    run(CONFIG, *given, tmp_path / "index", parts[::-1])
    assert bytes_of(tmp_path / "index") == bytes_of(whole)


def test_what_the_parts_have_checked_is_not_decoded_again(faulty, tmp_path, monkeypatch):
    given, whole = faulty
    parts = [run_part(CONFIG, *given, Part(i, 3), tmp_path / f"part{i}") for i in range(3)]
    monkeypatch.setattr(check.inspect, "inspect", lambda *_: pytest.fail("an image was decoded again"))
    run(IngestConfig(max_lost_pct=100, rehash=True), *given, tmp_path / "index", parts)
    assert bytes_of(tmp_path / "index")["index.parquet"] == bytes_of(whole)["index.parquet"]


def test_an_image_that_changes_after_its_part_is_judged_as_it_is(faulty, tmp_path):
    (table, folders), _ = faulty
    parts = [run_part(CONFIG, table, folders, Part(0, 1), tmp_path / "part")]
    copy = tmp_path / "images"
    make_sample(tmp_path / "other", 40, 4)
    copy = tmp_path / "other" / "images"
    run(CONFIG, table, [str(copy)], tmp_path / "alone")
    run(CONFIG, table, [str(copy)], tmp_path / "with", parts)
    assert bytes_of(tmp_path / "alone") == bytes_of(tmp_path / "with")
