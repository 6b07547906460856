"""Everything that decides how training goes on, in one file that is whole or absent.

Keras's own BackupAndRestore forgets the best value and the waiting counters, so a resumed run overwrites
its best model with a worse one (keras#17012). This file holds them all, and belongs to one configuration
and one set of records, by hash.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.common.artifacts import write_atomic
from components.common.errors import ArtifactError

NAME = "training_state.npz"
Arrays = list[npt.NDArray[Any]]


@dataclass
class State:
    """Where training stands after a whole epoch.

    Attributes:
        epoch: epochs done.
        weights: all weights of the network, in Keras's order.
        optimizer: all variables of the optimizer, step counter and loss scale among them.
        best: weights of the best epoch so far.
        best_value: its average precision.
        wait: epochs since then.
        scale: factor on the learning rate.
        stale: epochs the plateau schedule has waited.
        recovered: whether NaN has already been recovered from once.
        history: one row an epoch.
    """

    epoch: int = 0
    weights: Arrays = field(default_factory=list)
    optimizer: Arrays = field(default_factory=list)
    best: Arrays = field(default_factory=list)
    best_value: float = -1.0
    wait: int = 0
    scale: float = 1.0
    stale: int = 0
    recovered: bool = False
    history: list[dict[str, Any]] = field(default_factory=list)


_LISTS = ("weights", "optimizer", "best")


def save_state(folder: Path, state: State, fingerprint: str) -> None:
    """Writes the state atomically; `fingerprint` says to which configuration and records it belongs."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {f"{name}/{i:04d}": array for name in _LISTS for i, array in enumerate(getattr(state, name))}
    plain = {name: value for name, value in vars(state).items() if name not in _LISTS}
    plain["fingerprint"] = fingerprint
    buffer = io.BytesIO()
    np.savez(buffer, plain=np.frombuffer(json.dumps(plain).encode(), np.uint8), **arrays)
    write_atomic(folder / NAME, buffer.getvalue())


def load_state(folder: Path, fingerprint: str) -> State | None:
    """Reads the state, or None where there is none.

    Raises:
        ArtifactError: the state belongs to other records or another configuration, or is damaged.
    """
    path = folder / NAME
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as data:
            plain = json.loads(data["plain"].tobytes())
            lists = {name: [data[key] for key in sorted(data.files) if key.startswith(f"{name}/")] for name in _LISTS}
    except (OSError, ValueError, KeyError) as error:
        raise ArtifactError(f"{path}: not readable as a training state ({error}); remove it to start anew") from None
    received = plain.pop("fingerprint", None)
    if received != fingerprint:
        raise ArtifactError(
            f"{path}: belongs to records and configuration {received}, this run's are {fingerprint}; "
            "choose another checkpoint_dir, or remove the file to start anew"
        )
    return State(**{**plain, **lists})
