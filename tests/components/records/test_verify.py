import hashlib
import random

import numpy as np
import pytest

from components.common.artifacts.tfrecord import scan_tfrecord
from components.common.imaging.pixels import encode_jpeg
from components.records.__main__ import main
from components.records.config import RecordsConfig
from components.records.run import run
from components.records.verify import damages, verify


@pytest.fixture
def made(data, tmp_path):
    run(RecordsConfig(record_size=16, jpeg_quality=40, shard_bytes=4_000), data(20).artifact(), tmp_path / "out")
    return tmp_path / "out"


def test_whole_shards_pass(made):
    assert verify(made) == 20
    assert main(["verify", str(made)]) == 0


def test_any_flipped_byte_of_any_file_is_found_and_placed(made):
    chance = random.Random(1)
    for path in sorted(set(made.iterdir()) - {made / "artifact.json"}):
        whole = path.read_bytes()
        for at in chance.sample(range(len(whole)), min(40, len(whole))):
            damaged = bytearray(whole)
            damaged[at] ^= 1 << chance.randrange(8)
            path.write_bytes(damaged)
            found, _ = damages(made)
            assert found, (path.name, at)
            assert all(one.file == path.name for one in found)
            assert found[0].start <= at < found[0].end
            assert (found[0].record is not None) == (path.suffix == ".tfrecord")
        path.write_bytes(whole)
    assert damages(made)[0] == []


@pytest.fixture
def tiny(data, tmp_path):
    """Shards of two records of about 600 bytes each, so that every byte can be tried."""
    made = data(10)
    for i in range(10):
        made.file(i).write_bytes(encode_jpeg(np.full((16, 16, 3), 20 * i, np.uint8), 30))
    made.rows["sha256"] = [hashlib.sha256(made.file(i).read_bytes()).hexdigest() for i in range(10)]
    run(RecordsConfig(record_size=16, jpeg_quality=30, shard_bytes=1024), made.artifact(), tmp_path / "tiny")
    return tmp_path / "tiny"


def test_every_single_byte_of_a_shard_that_flips_is_found_in_its_record(tiny):
    path = sorted(tiny.glob("val-*.tfrecord"))[0]
    whole = path.read_bytes()
    ends = [frame.end for frame in scan_tfrecord(path)]
    assert len(ends) == 2
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ (1 << at % 8)]) + whole[at + 1 :])
        (first, *_), records = damages(tiny)
        number = next(i for i, end in enumerate(ends) if at < end)
        assert (first.file, first.record) == (path.name, number), at
        assert first.start <= at < first.end, at
        assert records < 10


def test_every_length_a_shard_can_be_cut_to_is_found_in_its_record(tiny):
    path = sorted(tiny.glob("val-*.tfrecord"))[0]
    whole = path.read_bytes()
    ends = [frame.end for frame in scan_tfrecord(path)]
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        (first, *_), records = damages(tiny)
        number = next(i for i, end in enumerate(ends) if size < end)
        assert (first.file, first.record) == (path.name, number), size
        assert first.start <= size <= first.end, size
        assert records < 10


def test_any_cut_is_found(made):
    chance = random.Random(2)
    for path in sorted(made.glob("*.tfrecord")):
        whole = path.read_bytes()
        for size in [0, len(whole) - 1, *chance.sample(range(len(whole)), 20)]:
            path.write_bytes(whole[:size])
            found, _ = damages(made)
            assert found[0].file == path.name
            assert found[0].start <= size <= found[0].end
        path.write_bytes(whole)


def test_added_exchanged_and_missing_shards_are_named(made):
    first, second = sorted(made.glob("train-*.tfrecord"))[:2]
    one, two = first.read_bytes(), second.read_bytes()
    first.write_bytes(one + two)
    assert damages(made)[0][0].what == "a record beyond the end of the shard"
    first.write_bytes(two)
    assert damages(made)[0][0].file == first.name
    first.unlink()
    assert damages(made)[0][0].what == "the file is missing"
    first.write_bytes(one)
    (made / "more.tfrecord").write_bytes(two)
    assert damages(made)[0][0].what == "not part of the artifact"


def test_the_command_names_shard_record_and_bytes(made, capsys):
    path = sorted(made.glob("val-*.tfrecord"))[0]
    data = bytearray(path.read_bytes())
    data[20] ^= 1
    path.write_bytes(data)
    assert main(["verify", str(made)]) == 1
    assert f"{path.name}: record 0, bytes 0 to " in capsys.readouterr().err
    assert main(["verify", str(made / "nowhere")]) == 1
