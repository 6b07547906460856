"""Refuses output folders among images, where the next listing would take what is written for more images."""

from __future__ import annotations

import os
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from components.common.runtime.errors import ConfigError
from components.common.storage import store

_LOOKED_AT, _FEW = 200, 3


def refuse_inside(out: Path, roots: Iterable[str]) -> None:
    """Refuses an output folder inside an image root.

    Raises:
        ConfigError: `out` is a local root, or below one.
    """
    place = out.expanduser().resolve()
    for root in roots:
        if root.strip() and store.is_local(root.strip()):
            folder = store.local_path(root.strip()).resolve()
            if place == folder or folder in place.parents:
                raise ConfigError(f"--out: {out} lies inside the image root {root.strip()}; allowed: a folder outside")


def refuse_among_images(out: Path) -> None:
    """Refuses an output folder in a folder that consists of images.

    Raises:
        ConfigError: most of what lies beside `out` are image files.
    """
    place = next(parent for parent in out.absolute().parents if parent.is_dir())
    with os.scandir(place) as entries:
        names = [entry.name for entry in islice(entries, _LOOKED_AT) if not entry.name.startswith(".")]
    images = sum(store.suffix_of(name) in store.IMAGE_SUFFIXES for name in names)
    if images >= _FEW and images * 2 > len(names):
        raise ConfigError(f"--out: {out} lies in {place}, a folder of images; allowed: a folder outside")
