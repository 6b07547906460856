"""Images that several pods prepare give the records of one pod, to the byte, and a wrong part is refused."""

import json

import pytest

from components.common.artifacts.folder import new_artifact
from components.common.runtime.errors import ArtifactError, ConfigError
from components.common.runtime.part import Part
from components.records.config import RecordsConfig
from components.records.parts import run_part
from components.records.run import run

CONFIG = RecordsConfig(record_size=30, shard_bytes=6_000)


def bytes_of(path):
    return {one.name: one.read_bytes() for one in path.iterdir()}


def parts_of(split, count, folder, config=CONFIG):
    return [run_part(config, split, Part(i, count), folder / f"part{i}of{count}") for i in range(count)]


@pytest.mark.parametrize("count", [1, 2, 5])
def test_the_records_of_parts_have_the_bytes_of_one_pods(data, tmp_path, count):
    split = data().artifact()
    run(CONFIG, split, tmp_path / "whole")
    run(CONFIG, split, tmp_path / "records", parts_of(split, count, tmp_path)[::-1])
    assert bytes_of(tmp_path / "records") == bytes_of(tmp_path / "whole")


def test_images_lost_since_ingest_and_their_weight_come_out_the_same(data, tmp_path):
    made = data()
    split = made.artifact()
    for split_name in ("train", "test"):
        made.file(made.rows.index[made.split == split_name][3]).unlink()
    run(CONFIG, split, tmp_path / "whole")
    run(CONFIG, split, tmp_path / "records", parts_of(split, 4, tmp_path))
    assert bytes_of(tmp_path / "records") == bytes_of(tmp_path / "whole")
    assert len(json.loads((tmp_path / "records" / "manifest.json").read_text())["lost"]) == 2


def test_more_parts_than_images_are_fine(data, tmp_path):
    split = data().artifact()
    run(CONFIG, split, tmp_path / "whole")
    run(CONFIG, split, tmp_path / "records", parts_of(split, 15, tmp_path))
    assert bytes_of(tmp_path / "records") == bytes_of(tmp_path / "whole")


def test_parts_that_do_not_belong_together_are_refused(data, tmp_path):
    split = data().artifact()
    parts = parts_of(split, 3, tmp_path)
    with pytest.raises(
        ArtifactError, match=r"received parts \[0, 2\] \(from 0\) of 3, expected all; prepare the missing"
    ):
        run(CONFIG, split, tmp_path / "out", [parts[0], parts[2]])
    with pytest.raises(ArtifactError, match="part 0 was given twice"):
        run(CONFIG, split, tmp_path / "out", [parts[0], parts[0]])
    with pytest.raises(
        ArtifactError, match=r"part 0 was made from .*'record_size': 30.*, expected .*'record_size': 24"
    ):
        run(RecordsConfig(record_size=24), split, tmp_path / "out", parts)
    assert not (tmp_path / "out").exists()


def test_a_part_whose_records_do_not_match_its_images_is_refused(data, tmp_path):
    split = data().artifact()
    (part,) = parts_of(split, 1, tmp_path)
    record = json.loads((part / "part.json").read_text())
    record["lost"]["train"] = {"0": "missing: said so"}
    with new_artifact(tmp_path / "edited", "records_part", {}) as folder:
        for path in part.iterdir():
            if path.suffix == ".tfrecord":
                (folder / path.name).write_bytes(path.read_bytes())
        (folder / "part.json").write_text(json.dumps(record))
    with pytest.raises(ArtifactError, match="more records than images"):
        run(CONFIG, split, tmp_path / "out", [tmp_path / "edited"])


def test_a_part_is_one_of_its_number():
    with pytest.raises(ConfigError, match="part: received 3 of 3; allowed: 0 to 2"):
        Part(3, 3)
    assert Part.parse('{"number": 1.0, "of": 4.0}') == Part(1, 4)
    for length in (0, 1, 7, 100):
        assert [i for k in range(4) for i in range(length)[Part(k, 4).slice(length)]] == list(range(length))
