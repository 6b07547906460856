"""TensorBoard scalars: the numbers of `history.csv`, one point an epoch.

TensorFlow 2.21 writes summaries only where the tensorboard package is installed; an event file is a
TFRecord of `Event` messages, so it is written here without it, and without the wall clock.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from components.common.tfrecord import frame

_NAME = "events.out.tfevents.0000000000.lesionflow"
_FILE_VERSION = "brain.Event:2"


def scalar_writer(folder: Path) -> Callable[[Mapping[str, Any]], None]:
    """A function that appends one epoch's row to an event file of `folder`; validation and training are two groups."""
    from tensorflow.core.framework.summary_pb2 import Summary
    from tensorflow.core.util.event_pb2 import Event

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / _NAME
    path.write_bytes(frame(Event(file_version=_FILE_VERSION).SerializeToString()))

    def write(row: Mapping[str, Any]) -> None:
        values = [Summary.Value(tag=_tag(name), simple_value=float(row[name])) for name in row if name != "epoch"]
        event = Event(step=int(row["epoch"]), summary=Summary(value=values))
        with path.open("ab") as handle:
            handle.write(frame(event.SerializeToString()))

    return write


def _tag(name: str) -> str:
    return f"validation/{name.removeprefix('val_')}" if name.startswith("val_") else f"training/{name}"
