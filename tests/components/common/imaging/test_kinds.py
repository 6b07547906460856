"""What lies under an image's name is named, whatever it is."""

import gzip

import pytest

from components.common.imaging.inspect import inspect
from components.common.imaging.kinds import format_of_name, real_format


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
        (ftyp(b"miaf"), "heif"),
        (ftyp(b"1pic", b"mif1"), "heif"),
        (ftyp(b"vvic"), "heif"),
        (ftyp(b"crx ", b"isom"), "camera raw"),
        (b"FUJIFILMCCD-RAW 0201" + bytes(100), "camera raw"),
        (b"II\xbc\1" + bytes(100), "jpegxr"),
        (b"\xff\xd8\xff\xf7" + bytes(100), "jpegls"),
        (b"%!PS-Adobe-3.0 EPSF", "postscript"),
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
        (gzip.compress(b"picture", mtime=0), "a gzip archive; unpack it"),
        (b"PK\3\4" + bytes(60), "a zip archive; unpack it"),
        (b"%PDF-1.7", "a PDF document"),
        (ftyp(b"mp42", b"isom"), "a video"),
        (bytes(500), "only zeros"),
        (b"Not Found", "text that begins with 'Not Found', not an image"),
        (b"upstream connect error or disconnect/reset before headers\n" * 3, "text that begins with 'upstream connect"),
        (b"BZh91AY&SY" + bytes(range(128, 200)), "a bzip2 archive; unpack it"),
        (bytes(range(128, 250)), "not a known image format"),
        (b"version https://hawser.github.com/spec/v1\n", "a Git LFS pointer"),
        (b"../.git/annex/objects/1/2/SHA256E-s3--00.jpg", "a git-annex pointer"),
        (b"outs:\n- md5: 00\n  path: a.jpg\n", "a DVC pointer"),
        (b"<!-- saved --><html>", "a web page"),
        ("<!DOCTYPE html><html>".encode("utf-16"), "a web page"),
        (b"<ListBucketResult><Name>b</Name>", "XML"),
        (b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg">', "an SVG drawing"),
        (b"\x28\xb5\x2f\xfd" + bytes(100), "a Zstandard archive"),
        (b"a.jpg" + bytes(252) + b"ustar\x0000" + bytes(200), "a tar archive"),
        (b"/9j/4AAQSkZJRgABAQ==", "an image written as text (base64)"),
        (b"data:image/png;base64,iVBORw0KGgo=", "an image written as text (base64)"),
        ("\u00ff\u00d8\u00ff\u00e0".encode() + bytes(range(128, 200)), "a JPEG that was copied as text"),
        (b"\xef\xbf\xbd" * 4 + b"JFIF", "binary data that was copied as text"),
        (b"\0\5\x16\7\0\2" + bytes(100), "macOS metadata of another file"),
        (b"\x08\0\5\0CS\x0a\0ISO_IR 100" + bytes(100), "DICOM without the preamble"),
        (b"RIFF\0\0\0\0AVI LIST" + bytes(100), "a video or sound"),
        (b"HTTP/1.1 200 OK\r\n\r\n\xff\xd8\xff", "a whole HTTP response"),
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
