"""The outcome of one look at the cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Check:
    """One line of `lesionflow doctor`.

    Attributes:
        what: the thing looked at.
        state: ok; warning (a run may work all the same); failed (it would not).
        found: what is there.
        remedy: what to do about it; empty for ok.
    """

    what: str
    state: Literal["ok", "warning", "failed"]
    found: str
    remedy: str = ""


def ok(what: str, found: str) -> Check:
    """All is well."""
    return Check(what, "ok", found)


def warning(what: str, found: str, remedy: str) -> Check:
    """Something a run may survive, or that could not be looked at."""
    return Check(what, "warning", found, remedy)


def failed(what: str, found: str, remedy: str) -> Check:
    """Something that stops a run."""
    return Check(what, "failed", found, remedy)
