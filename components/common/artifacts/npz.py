"""Arrays of an .npz file, read without trusting it: no pickled objects, nothing allocated that is not in the file.

`numpy.load` allocates what a header of a few bytes promises, and a zip member may unpack to a thousand times its size.
Here header and member must agree, and both stay below a limit, before any array is made.
"""

from __future__ import annotations

import io
import math
import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from components.common.artifacts.json_file import write_atomic

MOST_BYTES = 2**30
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
_KINDS = "biufUS"  # numbers, truth values, text


def read_npz(path: Path, *, most: int = MOST_BYTES) -> dict[str, npt.NDArray[Any]]:
    """All arrays of a file, in its order.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: not an .npz file of numbers and text, damaged, or larger than `most`; says which array.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            total = sum(member.file_size for member in members)
            if total > most:
                raise ValueError(f"it unpacks to {total} bytes, expected {most} at most")
            if len({member.filename for member in members}) != len(members):
                raise ValueError("an array occurs twice")
            return {member.filename.removesuffix(".npy"): _array(archive, member) for member in members}
    except FileNotFoundError:
        raise
    except (OSError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(" ".join(str(error).split())[:200] or type(error).__name__) from error


def write_npz(path: Path, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Writes arrays of numbers and text atomically, so that `numpy.load` reads them; equal arrays give equal bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, np.ascontiguousarray(array), allow_pickle=False)
            # numpy.savez stamps the current time into the archive; a fixed date keeps the bytes equal
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0)), member.getvalue())
    write_atomic(path, buffer.getvalue())


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> npt.NDArray[Any]:
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{member.filename!r} is packed in a way that numpy does not use")
    with archive.open(member) as handle:
        try:
            shape, columns_first, dtype = _header(handle)
        except (ValueError, SyntaxError, tokenize.TokenError) as error:  # numpy parses a header as Python
            raise ValueError(f"{member.filename!r} is not an array of numbers or text") from error
        promised, there = math.prod(shape) * dtype.itemsize, member.file_size - handle.tell()
        if promised != there:
            raise ValueError(f"{member.filename!r} promises {promised} bytes and has {there}")
        data = handle.read(there + 1)  # up to the end, where zipfile compares the checksum
    if len(data) != there:
        raise ValueError(f"{member.filename!r} has {len(data)} bytes, expected {there}")
    array = np.frombuffer(data, dtype) if there else np.empty(0, dtype)
    return array.reshape(shape, order="F" if columns_first else "C")


def _header(handle: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(handle)
    if version not in _HEADERS:
        raise ValueError(f"version {version}")
    shape, columns_first, dtype = _HEADERS[version](handle)
    if dtype.kind not in _KINDS or dtype.itemsize == 0 or any(side < 0 for side in shape):
        raise ValueError(f"dtype {dtype}")
    return shape, columns_first, dtype
