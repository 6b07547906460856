"""What lies under an image's name is named, whatever it is."""

import gzip

import pytest

from components.common.imaging.inspect import inspect
from components.common.imaging.kinds import UNKNOWN, format_of_name, real_format
from components.common.storage.store import IMAGE_SUFFIXES


def ftyp(major, *compatible):
    body = b"ftyp" + major + bytes(4) + b"".join(compatible)
    return (len(body) + 4).to_bytes(4, "big") + body + bytes(100)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (ftyp(b"heic", b"mif1", b"heic"), "heif"),
        (ftyp(b"heix"), "heif"),
        (ftyp(b"mif1", b"mif1", b"heic"), "heif"),
        (ftyp(b"msf1"), "heif"),
        (ftyp(b"mif1", b"avif", b"miaf"), "avif"),
        (ftyp(b"avif"), "avif"),
        (ftyp(b"avis"), "avif"),
        (bytes(128) + b"DICM" + bytes(100), "dicom"),
        (b"\xff\x0a" + bytes(100), "jpegxl"),
        (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(100), "jpegxl"),
        (b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(100), "jpeg2000"),
        (b"\xff\x4f\xff\x51" + bytes(100), "jpeg2000"),
        (b"II+\0" + bytes(100), "tiff"),
        (b"MM\0+" + bytes(100), "tiff"),
        (b"MM\0*" + bytes(100), "tiff"),
        (b"8BPS\0\1" + bytes(100), "psd"),
    ],
)
def test_other_image_formats_are_named(data, kind):
    assert real_format(data) == kind
    seen = inspect(data, "a.jpg")
    assert (seen.verdict, seen.reason) == ("mislabelled", f"the content is {kind}, the name says jpeg")
    seen = inspect(data, "a")
    assert (seen.verdict, seen.reason) == ("unsupported", f"format {kind}; JPEG and PNG are read")


@pytest.mark.parametrize(
    ("data", "phrase"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n", "a Git LFS pointer"),
        (b"\n  <!DOCTYPE HTML><html>Please sign in</html>", "a web page"),
        (b"\xef\xbb\xbf<html><body>404</body></html>", "a web page"),
        (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "XML"),
        (b"<Error><Code>NoSuchKey</Code></Error>", "XML"),
        (b'{"error": {"code": 403}}', "JSON"),
        (gzip.compress(b"picture"), "a gzip archive; unpack it"),
        (b"PK\3\4" + bytes(60), "a zip archive; unpack it"),
        (b"%PDF-1.7", "a PDF document"),
        (ftyp(b"mp42", b"isom"), "a video"),
        (bytes(500), "only zeros"),
        (b"Not Found", "text that begins with 'Not Found', not an image"),
        (b"upstream connect error or disconnect/reset before headers\n" * 3, "text that begins with 'upstream connect"),
        (b"BZh91AY&SY" + bytes(range(128, 200)), "a bzip2 archive; unpack it"),
        (bytes(range(128, 250)), "no known image format"),
    ],
)
def test_what_is_not_an_image_is_named_with_what_to_do(data, phrase):
    seen = inspect(data, "a.jpg")
    assert (seen.verdict, seen.format) == ("corrupt", "unknown")
    assert seen.reason.startswith(f"the content is {phrase}")


@pytest.mark.parametrize(
    ("name", "kind"), [("a.JFIF", "jpeg"), ("a.jpe", "jpeg"), ("a.heic", "heif"), ("a", "unknown")]
)
def test_a_suffix_promises_a_format(name, kind):
    assert format_of_name(name) == kind


def test_every_listed_suffix_promises_a_format():
    assert all(format_of_name(f"a{suffix}") != UNKNOWN for suffix in IMAGE_SUFFIXES)
