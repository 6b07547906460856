"""What a file is by its content, whatever its name says: image formats, and what often lies in their place."""

from __future__ import annotations

from components.common.storage.store import suffix_of

UNKNOWN = "unknown"

_MAGIC = (
    (0, b"\xff\xd8\xff", "jpeg"),
    (0, b"\x89PNG\r\n\x1a\n", "png"),
    (0, b"BM", "bmp"),
    (0, b"GIF8", "gif"),
    (0, b"II*\0", "tiff"),
    (0, b"MM\0*", "tiff"),
    (0, b"II+\0", "tiff"),  # BigTIFF
    (0, b"MM\0+", "tiff"),
    (8, b"WEBP", "webp"),
    (0, b"\0\0\0\x0cjP  ", "jpeg2000"),
    (0, b"\xff\x4f\xff\x51", "jpeg2000"),  # a code stream without the JP2 boxes
    (0, b"\0\0\0\x0cJXL ", "jpegxl"),
    (0, b"\xff\x0a", "jpegxl"),
    (0, b"8BPS", "psd"),
    (128, b"DICM", "dicom"),
)
_AVIF = frozenset({b"avif", b"avis"})
_HEIF = frozenset({b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs", b"mif1", b"msf1", b"mif2"})
_SUFFIXES = {
    ".jpg": "jpeg",
    ".jpeg": "jpeg",
    ".jpe": "jpeg",
    ".jfif": "jpeg",
    ".png": "png",
    ".bmp": "bmp",
    ".gif": "gif",
    ".tif": "tiff",
    ".tiff": "tiff",
    ".webp": "webp",
    ".heic": "heif",
    ".heif": "heif",
    ".avif": "avif",
    ".jp2": "jpeg2000",
    ".j2k": "jpeg2000",
    ".jxl": "jpegxl",
    ".psd": "psd",
    ".dcm": "dicom",
    ".dicom": "dicom",
}
_STORE_ERROR = "often the error message of a store or server; download the file again"
# What data that is not an image begins with; text in lower case.
_FOREIGN = (
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself; run `git lfs pull`"),
    (b"\x1f\x8b", "a gzip archive; unpack it"),
    (b"PK\3\4", "a zip archive; unpack it"),
    (b"BZh", "a bzip2 archive; unpack it"),
    (b"\xfd7zXZ\0", "an xz archive; unpack it"),
    (b"7z\xbc\xaf", "a 7z archive; unpack it"),
    (b"Rar!", "a RAR archive; unpack it"),
    (b"%PDF", "a PDF document; export its images"),
    (b"<!doctype html", "a web page; download the file itself"),
    (b"<html", "a web page; download the file itself"),
    (b"<svg", "an SVG drawing; JPEG and PNG are read"),
    (b"<?xml", f"XML, {_STORE_ERROR}"),
    (b"<error", f"XML, {_STORE_ERROR}"),
    (b"{", f"JSON, {_STORE_ERROR}"),
    (b"[", f"JSON, {_STORE_ERROR}"),
)
_MARKUP = b" \t\r\n\xef\xbb\xbf"  # white space and a byte order mark in front of it


def real_format(data: bytes) -> str:
    """The image format by content: jpeg, png, heif, dicom, ... or unknown."""
    if data[4:8] == b"ftyp":
        return _box_format(data)
    return next((name for at, magic, name in _MAGIC if data.startswith(magic, at)), UNKNOWN)


def format_of_name(name: str) -> str:
    """The image format that a file name promises; unknown where its suffix says nothing."""
    return _SUFFIXES.get(suffix_of(name), UNKNOWN)


def foreign_content(data: bytes) -> str:
    """What data of unknown format is and what to do about it, as a phrase; empty where that is not known either."""
    if not data.strip(b"\0"):
        return "only zeros"
    if data[4:8] == b"ftyp":
        return "a video (MP4 or QuickTime)"
    text = data[:512].lstrip(_MARKUP).lower()
    found = (phrase for start, phrase in _FOREIGN if data.startswith(start) or text.startswith(start))
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
    return "heif" if brands & _HEIF else UNKNOWN
