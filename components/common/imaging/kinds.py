"""What a file is by its content, whatever its name says: image formats, and what often lies in their place."""

from __future__ import annotations

from components.common.runtime.errors import DataError
from components.common.storage.store import FORMATS, suffix_of

UNKNOWN = "unknown"

_MAGIC = (
    (0, b"\xff\xd8\xff\xf7", "jpegls"),
    (0, b"\xff\xd8\xff", "jpeg"),
    (0, b"\x89PNG\r\n\x1a\n", "png"),
    (0, b"BM", "bmp"),
    (0, b"GIF8", "gif"),
    (0, b"II*\0", "tiff"),
    (0, b"MM\0*", "tiff"),
    (0, b"II+\0", "tiff"),  # BigTIFF
    (0, b"MM\0+", "tiff"),
    (0, b"II\xbc", "jpegxr"),
    (0, b"IIRO", "camera raw"),
    (0, b"IIU\0", "camera raw"),
    (0, b"FUJIFILMCCD-RAW", "camera raw"),
    (0, b"\0\0\1\0", "ico"),
    (0, b"v/1\1", "openexr"),
    (0, b"%!PS", "postscript"),
    (8, b"WEBP", "webp"),
    (0, b"\0\0\0\x0cjP  ", "jpeg2000"),
    (0, b"\xff\x4f\xff\x51", "jpeg2000"),  # a code stream without the JP2 boxes
    (0, b"\0\0\0\x0cJXL ", "jpegxl"),
    (0, b"\xff\x0a", "jpegxl"),
    (0, b"8BPS", "psd"),
    (128, b"DICM", "dicom"),
)
_AVIF = frozenset({b"avif", b"avis", b"avio", b"MA1A", b"MA1B"})
_RAW = frozenset({b"crx "})
# Brands of ISO/IEC 23008-12: pictures and sequences coded as HEVC, AVC, VVC, EVC, JPEG or JPEG 2000.
_HEIF = frozenset(
    b"heic heix hevc hevx heim heis hevm hevs mif1 mif2 mif3 msf1 miaf 1pic avci avcs vvic vvis evbi evmi evbs evms "
    b"jpeg jpgs j2ki j2is MiHB MiHE MiHA MiAn".split()
)
_STORE_ERROR = "often the error message of a store or server; download the file again"
_LFS = "a Git LFS pointer, not the file itself; run `git lfs pull`"
_ANNEX = "a git-annex pointer, not the file itself; run `git annex get`"
_WEB_PAGE = "a web page; download the file itself"
_ENCODED = "an image written as text (base64); decode it"
# What data that is not an image begins with; text in lower case.
_FOREIGN = (
    (b"version https://git-lfs", _LFS),
    (b"version https://hawser", _LFS),
    (b"/annex/objects/", _ANNEX),
    (b"../.git/annex/", _ANNEX),
    (b"../../.git/annex/", _ANNEX),
    (b"outs:", "a DVC pointer, not the file itself; run `dvc pull`"),
    (b"\x1f\x8b", "a gzip archive; unpack it"),
    (b"PK\3\4", "a zip archive; unpack it"),
    (b"PK\5\6", "an empty zip archive"),
    (b"BZh", "a bzip2 archive; unpack it"),
    (b"\xfd7zXZ\0", "an xz archive; unpack it"),
    (b"7z\xbc\xaf", "a 7z archive; unpack it"),
    (b"Rar!", "a RAR archive; unpack it"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard archive; unpack it"),
    (b"\x04\x22\x4d\x18", "an LZ4 archive; unpack it"),
    (b"%PDF", "a PDF document; export its images"),
    (b"\xd0\xcf\x11\xe0", "a document in an old Office format; export its images"),
    (b"\0\5\x16\7", "macOS metadata of another file (AppleDouble); copy the file itself"),
    (b"\0\0\0\1Bud1", "folder settings of macOS (.DS_Store)"),
    (b"book\0\0\0\0mark", "a macOS alias; copy the file itself"),
    (b"L\0\0\0\1\x14\2\0", "a Windows shortcut; copy the file itself"),
    (b"[internetshortcut]", "a Windows shortcut; download the file itself"),
    (b"\x89HDF", "HDF5; export its images"),
    (b"\x93NUMPY", "a NumPy array; export it as PNG"),
    (b"SQLite format 3", "an SQLite database"),
    (b"PAR1", "Parquet; export its images"),
    (b"\x1aE\xdf\xa3", "a video (Matroska or WebM)"),
    (b"\x08\0\5\0CS", "DICOM without the preamble that marks a file (DICM at byte 128); write it as a DICOM file"),
    (b"\x08\0\x08\0CS", "DICOM without the preamble that marks a file (DICM at byte 128); write it as a DICOM file"),
    (b"\x02\0\0\0UL", "DICOM without the preamble that marks a file (DICM at byte 128); write it as a DICOM file"),
    (b"\xc3\xbf\xc3\x98\xc3\xbf", "a JPEG that was copied as text; copy it as binary data"),
    (b"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd", "binary data that was copied as text; copy it as binary data"),
    (b"\x89PNG\n\x1a\n", "a PNG that was copied as text; copy it as binary data"),
    (b"\xef\xbf\xbdpng", "a PNG that was copied as text; copy it as binary data"),
    (b"data:image/", _ENCODED),
    (b"/9j/", _ENCODED),
    (b"ivborw0kggo", _ENCODED),
    (b"ffd8ff", "an image written as text (hexadecimal digits); decode it"),
    (b"http/1.", "a whole HTTP response; save only its body"),
    (b"<svg", "an SVG drawing; JPEG and PNG are read"),
    *(
        (start, _WEB_PAGE)
        for start in (b"<!doctype html", b"<html", b"<head", b"<body", b"<script", b"<!--", b"<h1", b"<?php")
    ),
    (b"<", f"XML, {_STORE_ERROR}"),
    (b"{", f"JSON, {_STORE_ERROR}"),
    (b"[", f"JSON, {_STORE_ERROR}"),
)
_MARKUP = b" \t\r\n\xef\xbb\xbf"  # white space and a byte order mark in front of it


class RefusedError(DataError):
    """An image that is not read: `verdict` is corrupt, mislabelled or unsupported, `reason` says why."""

    def __init__(self, verdict: str, reason: str) -> None:
        super().__init__(f"{verdict} image: {reason}")
        self.verdict, self.reason = verdict, reason


def real_format(data: bytes) -> str:
    """The image format by content: jpeg, png, heif, dicom, ... or unknown."""
    if data[4:8] == b"ftyp":
        return _box_format(data)
    return next((name for at, magic, name in _MAGIC if data.startswith(magic, at)), UNKNOWN)


def format_of_name(name: str) -> str:
    """The image format that a file name promises; unknown where its suffix says nothing."""
    return FORMATS.get(suffix_of(name), UNKNOWN)


def foreign_content(data: bytes) -> str:
    """What data of unknown format is and what to do about it, as a phrase; empty where that is not known either."""
    if not data.strip(b"\0"):
        return "only zeros"
    if data[4:8] == b"ftyp":
        return "a video (MP4 or QuickTime)"
    if data.startswith(b"RIFF"):
        return "a video or sound (RIFF)"
    if data.startswith(b"ustar", 257):
        return "a tar archive; unpack it"
    start = data[:512]
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        start = start.decode("utf-16", "ignore").encode()
    text = start.lstrip(_MARKUP).lower()
    if text.startswith(b"<?xml") and b"<svg" in text:
        return "an SVG drawing; JPEG and PNG are read"
    found = (phrase for begin, phrase in _FOREIGN if data.startswith(begin) or text.startswith(begin))
    return next(found, "") or _text(data)


def _text(data: bytes) -> str:
    """The beginning of a short text, which is what servers and stores answer instead of a file."""
    try:
        text = " ".join(data[:80].decode("utf-8", "ignore" if len(data) > 80 else "strict").split())
    except UnicodeDecodeError:
        return ""
    return f"text that begins with {text[:40]!r}, not an image" if len(text) >= 4 and text.isprintable() else ""


def _box_format(data: bytes) -> str:
    """Of a file that begins with an ISO base media `ftyp` box: by its major brand, then by the compatible ones."""
    size = min(int.from_bytes(data[:4], "big"), len(data), 256)
    brands = {data[8:12], *(data[at : at + 4] for at in range(16, size - 3, 4))}
    if brands & _AVIF:
        return "avif"
    if brands & _RAW:
        return "camera raw"
    return "heif" if brands & _HEIF else UNKNOWN
