import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.common.artifacts.tfrecord import FRAME_BYTES, frame, masked_crc32c, read_tfrecord, scan_tfrecord
from components.common.runtime.errors import ArtifactError


def write(path, *records):
    path.write_bytes(b"".join(frame(one) for one in records))
    return path


def test_crc32c_is_the_published_one():
    # RFC 3720, B.4: crc32c of 32 zero bytes is 0x8a9136aa
    crc = 0x8A9136AA
    assert masked_crc32c(bytes(32)) == (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def test_a_frame_is_length_checksum_data_checksum():
    data = frame(b"abc")
    assert len(data) == 3 + FRAME_BYTES
    assert struct.unpack("<Q", data[:8]) == (3,)
    assert data[12:15] == b"abc"


@settings(max_examples=100, deadline=None)
@given(st.lists(st.binary(max_size=300), max_size=10))
def test_any_bytes_come_back(tmp_path_factory, records):
    path = write(tmp_path_factory.mktemp("t") / "a.tfrecord", *records)
    assert list(read_tfrecord(path)) == records


def test_every_flipped_byte_is_found_and_placed(tmp_path):
    records = [b"first", b"", b"third record"]
    whole = write(tmp_path / "a.tfrecord", *records).read_bytes()
    ends = [len(frame(b"first")), len(frame(b"first")) + FRAME_BYTES, len(whole)]
    for at in range(len(whole)):
        damaged = bytearray(whole)
        damaged[at] ^= 0x40
        path = tmp_path / "b.tfrecord"
        path.write_bytes(damaged)
        (bad, *_) = [one for one in scan_tfrecord(path) if one.damage]
        assert bad.number == sum(at >= end for end in ends)
        assert bad.start <= at < bad.end
        with pytest.raises(ArtifactError, match=rf"b.tfrecord: record {bad.number} \(bytes {bad.start} to {bad.end}\)"):
            list(read_tfrecord(path))


def test_every_cut_inside_a_record_is_found(tmp_path):
    whole = write(tmp_path / "a.tfrecord", b"first", b"second").read_bytes()
    border = len(frame(b"first"))
    for size in range(1, len(whole)):
        path = tmp_path / "b.tfrecord"
        path.write_bytes(whole[:size])
        if size == border:  # a whole record fewer: only a manifest can know
            assert list(read_tfrecord(path)) == [b"first"]
        else:
            with pytest.raises(ArtifactError, match="the file ends inside"):
                list(read_tfrecord(path))


def test_records_after_a_damaged_one_are_still_read(tmp_path):
    damaged = bytearray(write(tmp_path / "a.tfrecord", b"first", b"second", b"third").read_bytes())
    damaged[len(frame(b"first")) + 13] ^= 1
    (tmp_path / "a.tfrecord").write_bytes(damaged)
    assert [one.data for one in scan_tfrecord(tmp_path / "a.tfrecord")] == [b"first", b"", b"third"]
