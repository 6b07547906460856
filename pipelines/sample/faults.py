"""One of each thing that goes wrong with real image collections, planted on purpose."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from components.common.imaging.inspect import decode_rgb
from components.common.imaging.pixels import encode_jpeg, upright
from components.common.runtime.errors import ConfigError

Row = dict[str, str]
LEAST_IMAGES = 24
_ORIENTATION = 6  # stored turned by 90 degrees
_EXIF = (
    b"\xff\xe1\x00\x22Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01" + bytes([0, _ORIENTATION, 0, 0]) + bytes(4)
)


def plant_faults(images: Path, rows: list[Row]) -> dict[str, list[str]]:
    """Damages files in `images` and rows of the table in place, one image or lesion for each fault.

    Returns:
        The image ids each fault concerns.

    Raises:
        ConfigError: too few images for all of them.
    """
    if len(rows) < LEAST_IMAGES:
        raise ConfigError(f"--faults: needs {LEAST_IMAGES} images or more, received {len(rows)}; raise --lesions")
    single = [row for row in rows if sum(other["lesion_id"] == row["lesion_id"] for other in rows[:200]) == 1]
    spread = iter(single[:: max(1, len(single) // 16)] if len(single) >= 16 else rows)
    planted: dict[str, list[str]] = {}
    for fault, damage in _DAMAGES.items():
        row = next(spread)
        path = images / f"{row['image_id']}.jpg"
        damage(path)
        planted[fault] = [row["image_id"]]
    planted["duplicate_under_two_lesions"] = _duplicate(images, rows, next(spread))
    planted["lesion_with_two_diagnoses"] = _two_diagnoses(rows)
    unknown = next(spread)
    unknown["dx"] = "xyz"
    planted["unknown_diagnosis"] = [unknown["image_id"]]
    return planted


def _remove(path: Path) -> None:
    path.unlink()


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _truncate(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])


def _hole(path: Path) -> None:
    data = encode_jpeg(decode_rgb(path.read_bytes()), 98)  # large enough to hold the hole
    start = len(data) // 2 - 2048
    path.write_bytes(data[:start] + bytes(4096) + data[start + 4096 :])


def _png(path: Path) -> None:
    rgb = decode_rgb(path.read_bytes())
    path.write_bytes(cv2.imencode(".png", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))[1].tobytes())


def _grey(path: Path) -> None:
    grey = cv2.cvtColor(decode_rgb(path.read_bytes()), cv2.COLOR_RGB2GRAY)
    path.write_bytes(cv2.imencode(".jpg", grey)[1].tobytes())


def _cmyk(path: Path) -> None:
    import simplejpeg

    rgb = decode_rgb(path.read_bytes())
    inks = np.dstack([rgb, np.full(rgb.shape[:2], 255, np.uint8)])  # inverted inks, as Adobe writes them
    path.write_bytes(simplejpeg.encode_jpeg(np.ascontiguousarray(inks), 90, "CMYK", "444"))


def _turned(path: Path) -> None:
    stored = upright(decode_rgb(path.read_bytes()), 8)  # the inverse of what orientation 6 asks for
    data = encode_jpeg(stored, 92)
    path.write_bytes(data[:2] + _EXIF + data[2:])


_DAMAGES: dict[str, Callable[[Path], None]] = {
    "missing_file": _remove,
    "zero_bytes": _empty,
    "truncated": _truncate,
    "hole_of_zeros": _hole,
    "png_named_jpg": _png,
    "grey": _grey,
    "cmyk": _cmyk,
    "exif_rotated": _turned,
}


def _duplicate(images: Path, rows: list[Row], source: Row) -> list[str]:
    """The same bytes under an image id and a lesion id of their own, with the same diagnosis."""
    copy = source | {"image_id": source["image_id"] + "_again", "lesion_id": source["lesion_id"] + "_again"}
    (images / f"{copy['image_id']}.jpg").write_bytes((images / f"{source['image_id']}.jpg").read_bytes())
    rows.append(copy)
    return [source["image_id"], copy["image_id"]]


def _two_diagnoses(rows: list[Row]) -> list[str]:
    """Gives the last image of some lesion with several another diagnosis of the other class."""
    lesions: dict[str, list[Row]] = {}
    for row in rows:
        lesions.setdefault(row["lesion_id"], []).append(row)
    chosen = next(group for group in lesions.values() if len(group) > 1)
    chosen[-1]["dx"] = "nv" if chosen[0]["dx"] != "nv" else "mel"
    return [row["image_id"] for row in chosen]
