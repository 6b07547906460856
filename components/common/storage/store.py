"""Where bytes live: local folders, `gs://`, `s3://`. The only way to object storage.

Paths without a scheme and `file://` are local. Clients are imported when a remote URI is first used,
so a local run never pays for them; `gcs` and `s3` hold one client each.
"""

from __future__ import annotations

import logging
import os
import re
import secrets
import shutil
import threading
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Protocol
from urllib.parse import unquote, urlsplit

from components.common.runtime.errors import ConfigError
from components.common.storage.retry import StoredObject, bucket_and_object

log = logging.getLogger(__name__)

# What counts as an image by its name, and the format that the suffix promises. Formats that are refused later are
# listed all the same: a verdict about a file says more than "missing".
FORMATS = {
    **dict.fromkeys((".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".pjpeg", ".pjp"), "jpeg"),
    **dict.fromkeys((".png", ".apng"), "png"),
    **dict.fromkeys((".bmp", ".dib"), "bmp"),
    **dict.fromkeys((".tif", ".tiff", ".dng", ".cr2", ".nef", ".arw", ".pef"), "tiff"),  # raw files of TIFF's structure
    **dict.fromkeys((".cr3", ".orf", ".rw2", ".raf"), "camera raw"),
    **dict.fromkeys((".jxr", ".wdp"), "jpegxr"),
    **dict.fromkeys((".heic", ".heif", ".hif", ".heics"), "heif"),
    **dict.fromkeys((".avif", ".avifs"), "avif"),
    **dict.fromkeys((".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx"), "jpeg2000"),
    **dict.fromkeys((".psd", ".psb"), "psd"),
    **dict.fromkeys((".dcm", ".dicom", ".dic", ".ima"), "dicom"),
    ".gif": "gif",
    ".webp": "webp",
    ".jxl": "jpegxl",
    ".jls": "jpegls",
    ".ico": "ico",
    ".svg": "svg",
    ".tga": "tga",
}
IMAGE_SUFFIXES = FORMATS.keys()
# What makes an image of a file whose name says nothing, as DICOM files often have it (PS3.10 section 7.1).
_STARTS = ((128, b"DICM"), (0, b"\xff\xd8\xff"), (0, b"\x89PNG\r\n\x1a\n"))
SETTLED_NS = 10 * 10**9  # file systems count time in steps of up to 2 s, and another machine's clock may differ
SCHEMES = ("file", "gs", "s3")


class _Store(Protocol):
    def list(self, uri: str) -> Iterator[StoredObject]: ...
    def read(self, uri: str, version: str, size: int) -> bytes: ...
    def write(self, uri: str, source: Path) -> None: ...
    def exists(self, uri: str) -> bool: ...


def scheme_of(uri: str) -> str:
    """`file`, `gs` or `s3`.

    Raises:
        ConfigError: another scheme.
    """
    scheme, mark, _ = uri.partition("://")
    if not mark:
        return "file"
    if scheme not in SCHEMES:
        raise ConfigError(f"received {uri!r}; allowed: a local path, file://, gs://bucket/prefix or s3://bucket/prefix")
    return scheme


def is_local(uri: str) -> bool:
    """Whether `uri` is a path on this machine."""
    return scheme_of(uri) == "file"


def local_path(uri: str) -> Path:
    """The path behind a local URI."""
    return Path(unquote(urlsplit(uri).path)) if uri.startswith("file://") else Path(uri).expanduser()


def windows_path(uri: str) -> str:
    """What to do about a Windows path, as the end of a sentence; empty for any other path, and on Windows."""
    found = re.match(r"([A-Za-z]):[\\/]|\\\\", uri)
    if not found or os.name == "nt":
        return ""
    if not found[1]:
        return "is a Windows network path, which cannot be read here; mount the share and give its folder"
    inside = uri[3:].replace("\\", "/")
    return f"is a Windows path; under WSL it is /mnt/{found[1].lower()}/{inside}"


def suffix_of(name: str) -> str:
    """`.jpg` of `a.JPG`, empty where there is none: as pathlib, which takes ten times as long a name."""
    stem, dot, suffix = name.rpartition(".")
    return f".{suffix.lower()}" if stem and dot else ""


def is_named(name: str) -> bool:
    """Whether a name has a suffix; the last number of `1.2.840.113619`, as DICOM files are called, is not one."""
    suffix = suffix_of(name)
    return bool(suffix) and not suffix[1:].isdecimal()


def stem_of(name: str) -> str:
    """The name of a file without its suffix, where it has one."""
    return name.rpartition(".")[0] if is_named(name) else name


def is_image(uri: str) -> bool:
    """Whether a file is an image by its name or, where that says nothing and it is local, by how it begins."""
    name = uri.rpartition("/")[2]
    if is_named(name):
        return suffix_of(name) in IMAGE_SUFFIXES
    if not is_local(uri):
        return False
    try:
        with local_path(uri).open("rb") as handle:
            start = handle.read(132)
    except OSError:
        return False
    return any(start.startswith(magic, at) for at, magic in _STARTS)


def list_images(root: str) -> list[StoredObject]:
    """Every image below `root`, listed once; hidden files and folders are left out.

    An image is what is named like one. Of local files without a suffix the first bytes are read.

    Raises:
        FileNotFoundError: there is no such folder, bucket or prefix.
        StorageError: storage refused or kept failing.
    """
    return sorted((item for item in _store(root).list(root) if is_image(item.uri)), key=lambda item: item.uri)


def list_misfits(root: str) -> dict[str, str]:
    """What is below a local `root` and is not an image file, by path.

    A folder, a pipe or a broken link that is named like an image comes with what it is, a file of another kind with
    an empty text.
    """
    if not is_local(root) or not local_path(root).is_dir():
        return {}
    found = {}
    for item in _entries(local_path(root)):
        if item.is_file():
            if not is_image(item.path):
                found[item.path] = ""
        elif suffix_of(item.name) in IMAGE_SUFFIXES:
            found[item.path] = not_a_file(Path(item.path))
    return found


def not_a_file(path: Path) -> str:
    """What something is that is not a file, as the end of a sentence; empty for a file and where nothing is."""
    if os.path.islink(path) and not os.path.exists(path):  # noqa: PTH110, PTH114 - pathlib raises for a long name
        return f"is a broken link (to {os.readlink(path)})"  # noqa: PTH115 - readlink() normalises
    if os.path.isdir(path):  # noqa: PTH112
        return "is a folder"
    if not os.path.exists(path) or os.path.isfile(path):  # noqa: PTH110, PTH113
        return ""
    kinds = {"a named pipe": path.is_fifo, "a socket": path.is_socket}
    return f"is {next((name for name, found in kinds.items() if found()), 'a device')}, not a file"


def file_problem(uri: str) -> str:
    """Why there is no file or object at a URI, as the end of a sentence."""
    known = (windows_path(uri) or not_a_file(local_path(uri))) if is_local(uri) else ""
    if not known and any(mark in uri for mark in "*?["):
        return "is a pattern, not a file"
    return known or "does not exist"


def list_files(root: str) -> list[StoredObject]:
    """Every file or object below `root`, by URI; hidden ones are left out.

    Raises:
        FileNotFoundError: there is no such folder, bucket or prefix.
        StorageError: storage refused or kept failing.
    """
    return sorted(_store(root).list(root), key=lambda item: item.uri)


def read_bytes(uri: str) -> bytes:
    """All bytes of a file or object.

    Raises:
        FileNotFoundError: it is not there.
        StorageError: storage refused or kept failing.
    """
    return _store(uri).read(uri, "", -1)


def read_object(item: StoredObject) -> bytes:
    """`read_bytes` of a listed object, which must have the size and checksum it was listed with."""
    return _store(item.uri).read(item.uri, item.version, item.size)


def exists(uri: str) -> bool:
    """Whether a file, folder, object or non-empty prefix is there."""
    return _store(uri).exists(uri)


def fetch(uri: str, folder: Path) -> Path:
    """A local copy of a file: the file itself where it is local, else a download into `folder`."""
    if is_local(uri):
        path = local_path(uri)
        if not path.is_file():
            raise FileNotFoundError(f"{uri} {file_problem(uri)}")
        return path
    target = folder / PurePosixPath(bucket_and_object(uri)[1]).name
    data = read_bytes(uri)
    folder.mkdir(parents=True, exist_ok=True)
    scratch = folder / f".{secrets.token_hex(6)}.partial"
    scratch.write_bytes(data)
    scratch.replace(target)
    return target


def upload(path: Path, uri: str) -> None:
    """Copies a file, or a folder with everything in it, to `uri`."""
    if path.is_dir():
        for file in sorted(p for p in path.rglob("*") if p.is_file()):
            _store(uri).write(join(uri, file.relative_to(path).as_posix()), file)
    else:
        _store(uri).write(uri, path)


def join(uri: str, name: str) -> str:
    """`name` below `uri`."""
    return f"{uri.rstrip('/')}/{name}"


def _store(uri: str) -> _Store:
    scheme = scheme_of(uri)
    with _client_lock:
        if scheme not in _clients:
            _clients[scheme] = _client(scheme)
        return _clients[scheme]


def _client(scheme: str) -> _Store:
    if scheme == "gs":
        from components.common.storage.gcs import GcsStore

        return GcsStore()
    if scheme == "s3":
        from components.common.storage.s3 import S3Store

        return S3Store()
    return _Local()


class _Local:
    def list(self, uri: str) -> Iterator[StoredObject]:
        root = local_path(uri)
        if not root.is_dir():
            raise FileNotFoundError(f"{uri}: no such folder")
        settled = time.time_ns() - SETTLED_NS
        dangling = list[str]()
        for entry in _entries(root):
            if entry.is_file():
                found = entry.stat()
                yield StoredObject(entry.path, entry.name, found.st_size, _stamp(found, settled))
            elif entry.is_symlink() and not os.path.exists(entry.path):  # noqa: PTH110 - called for every link
                dangling.append(entry.path)
        if dangling:
            log.warning("%s: %d broken links, the first is %s", uri, len(dangling), min(dangling))

    def read(self, uri: str, version: str, size: int) -> bytes:
        plain = uri if uri.startswith("/") else local_path(uri)
        with open(plain, "rb", buffering=0) as handle:  # noqa: PTH123 - a Path costs as much as the reading
            return handle.read()

    def write(self, uri: str, source: Path) -> None:
        target = local_path(uri)
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = target.with_name(f".{secrets.token_hex(6)}.partial")
        shutil.copyfile(source, scratch)
        scratch.replace(target)

    def exists(self, uri: str) -> bool:
        return os.path.exists(local_path(uri))  # noqa: PTH110 - pathlib raises for a long name


def _entries(root: Path) -> Iterator[os.DirEntry[str]]:
    """Everything below a folder that is not hidden, and not itself a folder to be searched unless named like an image.

    Each real folder is searched once, and links last, so that a folder that is also there by itself is listed under
    its own name.
    """
    top = os.path.abspath(root)  # noqa: PTH100 - resolve() would follow links and rename the source
    waiting, links = deque([top]), deque[str]()
    seen = {_folder(parent) for parent in (root.resolve(), *root.resolve().parents)}  # a link to one above is a loop
    while waiting or links:
        folder = waiting.pop() if waiting else links.popleft()
        if folder != top and _folder(folder) in seen:
            continue
        seen.add(_folder(folder))
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                is_folder = entry.is_dir()
                if is_folder:
                    (links if entry.is_symlink() else waiting).append(entry.path)
                if not is_folder or suffix_of(entry.name) in IMAGE_SUFFIXES:
                    yield entry


def _folder(path: str | Path) -> tuple[int, int]:
    """What makes a folder the same one under another name."""
    found = os.stat(path)  # noqa: PTH116 - called for every folder
    return found.st_dev, found.st_ino


def _stamp(found: os.stat_result, settled: int) -> str:
    if found.st_mtime_ns > settled or found.st_ctime_ns > settled:
        return ""
    return f"{found.st_size}-{found.st_mtime_ns}-{found.st_ctime_ns}-{found.st_ino}"


_clients: dict[str, _Store] = {}
_client_lock = threading.Lock()
