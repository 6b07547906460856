"""TensorBoard scalars: the numbers of `history.csv`, one point an epoch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf


def scalar_writer(folder: Path) -> Callable[[Mapping[str, Any]], None]:
    """A function that writes one epoch's row into an event file of `folder`."""
    writer = tf.summary.create_file_writer(str(folder))

    def write(row: Mapping[str, Any]) -> None:
        with writer.as_default():
            for name, value in row.items():
                if name != "epoch":
                    tf.summary.scalar(name, float(value), step=row["epoch"])
        writer.flush()

    return write
