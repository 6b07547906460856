"""TensorBoard scalars: the numbers of `history.csv`, one point per epoch.

TensorFlow 2.21 writes summaries only where the tensorboard package is installed, and a run on JAX has no
TensorFlow at all; an event file is a TFRecord of `Event` messages, so it is written here, without the wall clock.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from components.common.artifacts.protobuf_wire import delimited, varint
from components.common.artifacts.tfrecord import frame

_NAME = "events.out.tfevents.0000000000.lesionflow"
_FILE_VERSION = b"brain.Event:2"
# field numbers of tensorflow/core/util/event.proto and framework/summary.proto
_EVENT_STEP, _EVENT_FILE_VERSION, _EVENT_SUMMARY = 2, 3, 5
_SUMMARY_VALUE, _VALUE_TAG, _VALUE_SIMPLE = 1, 1, 2


def scalar_writer(folder: Path) -> Callable[[Mapping[str, Any]], None]:
    """A function that appends one epoch's row to an event file of `folder`; validation and training are two groups."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / _NAME
    path.write_bytes(frame(delimited(_EVENT_FILE_VERSION, _FILE_VERSION)))

    def write(row: Mapping[str, Any]) -> None:
        values = b"".join(_value(_tag(name), float(row[name])) for name in row if name != "epoch")
        step = varint(_EVENT_STEP << 3) + varint(int(row["epoch"]))
        with path.open("ab") as handle:
            handle.write(frame(step + delimited(_EVENT_SUMMARY, values)))

    return write


def _value(tag: str, number: float) -> bytes:
    simple = varint(_VALUE_SIMPLE << 3 | 5) + struct.pack("<f", number)
    return delimited(_SUMMARY_VALUE, delimited(_VALUE_TAG, tag.encode()) + simple)


def _tag(name: str) -> str:
    return f"validation/{name.removeprefix('val_')}" if name.startswith("val_") else f"training/{name}"
