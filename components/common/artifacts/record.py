"""What one training record holds: feature names, schema version, and a `tf.train.Example` codec without TensorFlow.

The protobuf is small enough to write by hand: an Example is a map from feature name to one list of
bytes, floats or int64. Features are written in a fixed order (so equal records are equal bytes) and
`weight` comes last (so a class weight that changes late is four bytes to patch, not an image to redo).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

from components.common.artifacts.protobuf_wire import delimited, varint
from components.common.runtime.errors import ArtifactError

BYTES_FEATURES = ("image", "image_id", "lesion_id", "group_id", "dx")
INT_FEATURES = ("label", "width", "height")
FLOAT_FEATURES = ("weight",)
FEATURES = (*BYTES_FEATURES, *INT_FEATURES, *FLOAT_FEATURES)
_BYTES_LIST, _FLOAT_LIST, _INT_LIST = 1, 2, 3  # fields of Feature


@dataclass(frozen=True)
class Record:
    """One image prepared for training.

    Attributes:
        image: encoded image, EXIF orientation already applied unless original bytes were kept.
        image_id: unique id of the image.
        lesion_id: lesion it shows.
        group_id: lesion closed over near-duplicates; images of one group share a split.
        dx: diagnosis code.
        label: 1 = malignant, 0 = benign.
        width: pixels across, as stored.
        height: pixels down, as stored.
        weight: class weight of its label.
    """

    image: bytes
    image_id: str
    lesion_id: str
    group_id: str
    dx: str
    label: int
    width: int
    height: int
    weight: float


def encode_record(record: Record) -> bytes:
    """The record as a serialized `tf.train.Example`."""
    parts = [_entry("image", _BYTES_LIST, record.image)]
    parts += [_entry(name, _BYTES_LIST, getattr(record, name).encode()) for name in BYTES_FEATURES[1:]]
    parts += [_entry(name, _INT_LIST, varint(getattr(record, name))) for name in INT_FEATURES]
    parts += [_entry(name, _FLOAT_LIST, struct.pack("<f", getattr(record, name))) for name in FLOAT_FEATURES]
    return delimited(1, b"".join(parts))  # Example.features


def with_weight(example: bytes, weight: float) -> bytes:
    """The same serialized record with another class weight."""
    return example[:-4] + struct.pack("<f", weight)


def decode_record(example: bytes) -> Record:
    """Reads a serialized `tf.train.Example`, whoever wrote it, whatever the order of its features.

    Raises:
        ArtifactError: not such an Example; says which feature is missing or where parsing stopped.
    """
    try:
        features: dict[str, bytes | int | float] = {}
        for field, body in _fields(example):
            if field == 1:
                for _, entry in _fields(_bytes(body)):
                    pair = dict(_fields(_bytes(entry)))
                    features[_bytes(pair[1]).decode()] = _value(_bytes(pair[2]))
    except (IndexError, KeyError, ValueError, struct.error) as error:
        raise ArtifactError(f"record of {len(example)} bytes is not a tf.train.Example ({error!r})") from error
    missing = [name for name in FEATURES if name not in features]
    if missing:
        raise ArtifactError(f"record lacks feature {missing[0]!r}; expected {', '.join(FEATURES)}")
    for names, kind in ((BYTES_FEATURES, bytes), (INT_FEATURES, int), (FLOAT_FEATURES, float)):
        for name in names:
            if not isinstance(features[name], kind):
                received = type(features[name]).__name__
                raise ArtifactError(f"record feature {name!r} is {received}, expected {kind.__name__}")
    values: dict[str, Any] = dict(features)
    try:
        text = {name: values[name].decode() for name in BYTES_FEATURES[1:]}
    except UnicodeDecodeError as error:
        raise ArtifactError(f"record holds text that is not UTF-8 ({error})") from error
    numbers = {name: values[name] for name in (*INT_FEATURES, *FLOAT_FEATURES)}
    return Record(image=values["image"], **text, **numbers)


def _entry(name: str, kind: int, values: bytes) -> bytes:
    """One entry of `Features.feature`, a map<string, Feature>, whose feature is a list of that kind."""
    return delimited(1, delimited(1, name.encode()) + delimited(2, delimited(kind, delimited(1, values))))


def _fields(data: bytes) -> list[tuple[int, bytes | int]]:
    """The fields of one protobuf message in order: length-delimited as bytes, varint as int, 32 bit as bytes."""
    out: list[tuple[int, bytes | int]] = []
    at = 0
    while at < len(data):
        tag, at = _read_varint(data, at)
        field, kind = tag >> 3, tag & 7
        if kind == 0:
            value, at = _read_varint(data, at)
            out.append((field, value))
        elif kind in (2, 5):
            size, at = _read_varint(data, at) if kind == 2 else (4, at)
            if at + size > len(data):
                raise ValueError(f"field {field} wants {size} bytes at {at}, {len(data) - at} are there")
            out.append((field, data[at : at + size]))
            at += size
        else:
            raise ValueError(f"wire type {kind} at byte {at}")
    return out


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError(f"varint longer than 10 bytes at {at}")


def _bytes(value: bytes | int) -> bytes:
    if isinstance(value, int):
        raise ValueError("number where a message was expected")
    return value


def _value(feature: bytes) -> bytes | int | float:
    """The first value of a Feature, packed or not."""
    kind, body = _fields(feature)[0]
    _, value = _fields(_bytes(body))[0]
    if kind == _BYTES_LIST:
        return _bytes(value)
    if kind == _FLOAT_LIST:
        return float(struct.unpack_from("<f", _bytes(value))[0])
    number = value if isinstance(value, int) else _read_varint(value, 0)[0]
    return number - (1 << 64) if number >= 1 << 63 else number
