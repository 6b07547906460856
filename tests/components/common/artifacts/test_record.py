import dataclasses
import subprocess
import sys
import textwrap

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.common.artifacts.record import FEATURES, Record, decode_record, encode_record, with_weight
from components.common.artifacts.tfrecord import frame
from components.common.runtime.errors import ArtifactError

ONE = Record(b"\xff\xd8jpeg", "ISIC_1", "HAM_1", "HAM_1", "mel", 1, 200, 150, 4.125)

texts = st.text(max_size=40)
records = st.builds(
    Record,
    st.binary(max_size=500),
    texts,
    texts,
    texts,
    texts,
    st.integers(-(2**63), 2**63 - 1),
    st.integers(0, 2**40),
    st.integers(0, 2**40),
    st.floats(width=32, allow_nan=False),
)


@settings(max_examples=200, deadline=None)
@given(records)
def test_any_record_comes_back(record):
    assert decode_record(encode_record(record)) == record


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_a_record_or_a_clear_error(data):
    try:
        decode_record(data)
    except ArtifactError as error:
        assert str(error).startswith("record ")


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 255))
def test_a_changed_byte_is_a_record_or_a_clear_error(at, value):
    data = bytearray(encode_record(ONE))
    data[at % len(data)] = value
    try:
        decode_record(bytes(data))
    except ArtifactError as error:
        assert str(error).startswith("record ")


def test_equal_records_are_equal_bytes():
    assert encode_record(ONE) == encode_record(dataclasses.replace(ONE))


def test_only_the_weight_changes_when_it_is_patched():
    assert decode_record(with_weight(encode_record(ONE), 2.5)) == dataclasses.replace(ONE, weight=2.5)


def test_tensorflow_reads_what_we_write_and_we_read_what_it_writes(tmp_path):
    path = tmp_path / "a.tfrecord"
    path.write_bytes(frame(encode_record(ONE)))
    script = """
        import sys, tensorflow as tf
        (raw,) = [r.numpy() for r in tf.data.TFRecordDataset(sys.argv[1])]
        example = tf.train.Example.FromString(raw)
        f = example.features.feature
        assert f["image"].bytes_list.value[0] == b"\\xff\\xd8jpeg"
        assert [f[n].bytes_list.value[0] for n in ("image_id", "lesion_id", "group_id", "dx")] == [
            b"ISIC_1", b"HAM_1", b"HAM_1", b"mel"]
        assert [f[n].int64_list.value[0] for n in ("label", "width", "height")] == [1, 200, 150]
        assert f["weight"].float_list.value[0] == 4.125 and len(f) == 9
        with tf.io.TFRecordWriter(sys.argv[2]) as writer:
            writer.write(example.SerializeToString())
    """
    back = tmp_path / "b.tfrecord"
    subprocess.run([sys.executable, "-c", textwrap.dedent(script), path, back], check=True, capture_output=True)
    from components.common.artifacts.tfrecord import read_tfrecord

    assert [decode_record(one) for one in read_tfrecord(back)] == [ONE]


def test_a_missing_feature_is_named():
    data = encode_record(ONE).replace(b"image_id", b"other_id")
    with pytest.raises(ArtifactError, match=r"lacks feature 'image_id'; expected image, image_id"):
        decode_record(data)
    assert FEATURES[-1] == "weight"  # with_weight relies on it
