"""The picture in an image file, as everything after ingest knows it: JPEG or PNG bytes.

A JPEG or PNG file is its own picture; a DICOM file holds one. The index's sha256 is that of the picture, so the same
JPEG in a DICOM file and beside it is the same image, and the network sees the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

from components.common.imaging.dicom import Wrapping, is_dicom, take_out
from components.common.imaging.kinds import UNKNOWN, format_of_name
from components.common.storage import store


@dataclass(frozen=True, slots=True)
class Picture:
    """Bytes to be inspected under a name.

    Attributes:
        data: JPEG, PNG or whatever else the file is.
        name: the file's name; that of a JPEG for what was taken out of a DICOM file.
        wrapping: what the DICOM file says besides; None for any other file.
    """

    data: bytes
    name: str
    wrapping: Wrapping | None = None


def picture_in(data: bytes, name: str) -> Picture:
    """The picture in a file, which may be one itself.

    Args:
        data: the file's bytes.
        name: its name; a DICOM file under a name that says JPEG is left as it is, for inspection to say so.

    Raises:
        RefusedError: a DICOM file without a picture that is read.
    """
    if not is_dicom(data) or format_of_name(name) not in ("dicom", UNKNOWN):
        return Picture(data, name)
    jpeg, wrapping = take_out(data)
    return Picture(jpeg, f"{name}.jpg", wrapping)


def read_picture(uri: str) -> bytes:
    """The bytes of the picture in a file or object: those whose sha256 the index holds.

    Raises:
        FileNotFoundError: it is not there.
        StorageError: storage refused or kept failing.
        RefusedError: a DICOM file without a picture that is read.
    """
    data = store.read_bytes(uri)
    return take_out(data)[0] if is_dicom(data) else data
