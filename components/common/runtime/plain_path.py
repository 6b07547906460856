"""Paths for libraries that take a path for a pattern."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_MARKS = frozenset("*?[]{}\\")


@contextmanager
def plain_path(folder: Path) -> Iterator[Path]:
    """A path to an existing folder that holds no mark of a pattern.

    TensorFlow looks for the variables of a SavedModel by pattern: it finds none below `out [1]`, and with a backslash
    in the path none either. A link with a plain name, gone when this ends, leads around that.

    Yields:
        `folder` itself where it is plain, else a link to it in the folder for temporary files.
    """
    if not _MARKS & set(str(folder)):
        yield folder
        return
    usual = tempfile.gettempdir()
    with tempfile.TemporaryDirectory(dir="/tmp" if _MARKS & set(usual) else usual) as scratch:
        link = Path(scratch) / "folder"
        link.symlink_to(folder.resolve(), target_is_directory=True)
        yield link
