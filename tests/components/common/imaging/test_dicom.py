"""The JPEG in a DICOM file comes out byte for byte; everything else is named."""

import numpy as np
import pytest

from components.common.imaging.dicom import take_out
from components.common.imaging.inspect import inspect
from components.common.imaging.kinds import RefusedError
from components.common.imaging.picture import picture_in, read_picture
from components.common.imaging.pixels import encode_jpeg
from components.common.runtime.errors import DataError

uid = pytest.importorskip("pydicom.uid", reason="the extra `dicom` is not installed")


@pytest.fixture(scope="module")
def jpeg():
    pixels = np.random.default_rng(3).integers(0, 255, (60, 80, 3)).astype(np.uint8)
    data = encode_jpeg(pixels, 90)
    return data if len(data) % 2 else data[:2] + b"\xff\xfe\0\3x" + data[2:]  # an odd number of bytes, so padded


@pytest.mark.parametrize("sop_class", [uid.VLPhotographicImageStorage, uid.DermoscopicPhotographyImageStorage])
@pytest.mark.parametrize("fragments", [1, 2, 5])
@pytest.mark.parametrize("offsets", [True, False])
@pytest.mark.parametrize("padding", [b"", b"\xff\xfe\0\4xy"])  # of odd and of even length
def test_a_jpeg_comes_out_as_it_was_put_in(dicom_file, jpeg, tmp_path, sop_class, fragments, offsets, padding):
    put_in = jpeg[:2] + padding + jpeg[2:]
    file = dicom_file(put_in, sop_class=sop_class, fragments=fragments, offsets=offsets)
    (tmp_path / "IM_1.dcm").write_bytes(file)
    assert take_out(file)[0] == put_in
    assert picture_in(file, "IM_1.dcm").data == put_in == read_picture(str(tmp_path / "IM_1.dcm"))
    picture = picture_in(file, "IM_1.dcm")
    seen, as_jpeg = inspect(picture.data, picture.name), inspect(put_in, "IM_1.jpg")
    assert (seen, seen.verdict) == (as_jpeg, "ok")


def test_a_jpeg_of_even_length_and_grey_comes_out_too(dicom_file, jpeg):
    put_in = jpeg[:2] + b"\xff\xfe\0\3x" + jpeg[2:]
    assert len(put_in) % 2 == 0
    file = dicom_file(put_in, PhotometricInterpretation="MONOCHROME2", SamplesPerPixel=1, NumberOfFrames=1)
    assert take_out(file)[0] == put_in


def test_what_the_file_says_of_the_patient_is_told_apart_from_the_picture(dicom_file, jpeg):
    _, wrapping = take_out(dicom_file(jpeg, IssuerOfPatientID="clinic", BurnedInAnnotation="YES", StudyDate="20240101"))
    assert (wrapping.patient_id, wrapping.burned_in) == ("4711\nclinic", True)
    assert {"PatientName", "PatientBirthDate", "StudyDate", "SOPInstanceUID"} <= set(wrapping.identifying)
    assert "PatientID" not in wrapping.identifying
    _, wrapping = take_out(dicom_file(jpeg, PatientID="", PatientName=""))
    assert (wrapping.patient_id, "PatientName" in wrapping.identifying) == ("", False)


PIXELS = bytes(60 * 80 * 3)


@pytest.mark.parametrize(
    ("how", "verdict", "reason"),
    [
        ({"sop_class": uid.CTImageStorage, "Modality": "CT"}, "unsupported", "CT Image Storage, modality CT"),
        ({"sop_class": uid.UID("1.2.840.10008.5.1.4.1.1.1"), "Modality": "CR"}, "unsupported", "modality CR"),
        ({"sop_class": uid.UID("1.2.840.10008.5.1.4.1.1.4"), "Modality": "MR"}, "unsupported", "modality MR"),
        ({"sop_class": uid.UID("1.2.840.10008.5.1.4.1.1.6.1"), "Modality": "US"}, "unsupported", "modality US"),
        ({"sop_class": uid.UID("1.2.840.10008.5.1.4.1.1.7"), "Modality": "OT"}, "unsupported", "Secondary Capture"),
        ({"syntax": uid.JPEG2000, }, "unsupported", "pixel data as JPEG 2000 Image Compression; baseline JPEG is read"),
        ({"syntax": uid.JPEGLosslessSV1}, "unsupported", "pixel data as JPEG Lossless"),
        ({"syntax": uid.RLELossless}, "unsupported", "pixel data as RLE Lossless"),
        ({"syntax": uid.ExplicitVRLittleEndian, "pixel_data": PIXELS}, "unsupported", "Explicit VR Little Endian"),
        ({"syntax": uid.ImplicitVRLittleEndian, "pixel_data": PIXELS}, "unsupported", "Implicit VR Little Endian"),
        ({"syntax": uid.DeflatedExplicitVRLittleEndian, "pixel_data": PIXELS}, "unsupported", "Deflated Explicit VR"),
        ({"NumberOfFrames": 3}, "unsupported", "a DICOM file with 3 frames; one is read"),
        ({"PhotometricInterpretation": "MONOCHROME1"}, "unsupported", "colours as MONOCHROME1"),
        ({"pixel_data": b""}, "corrupt", "holds no pixel data"),
    ],
)  # fmt: skip
def test_every_other_dicom_file_is_named(dicom_file, jpeg, how, verdict, reason):
    with pytest.raises(RefusedError) as caught:
        take_out(dicom_file(jpeg, **how))
    assert caught.value.verdict == verdict
    assert reason in caught.value.reason


def test_pixel_data_that_is_not_a_jpeg_is_named(dicom_file):
    with pytest.raises(RefusedError, match="says JPEG, and its pixel data does not begin as one"):
        take_out(dicom_file(b"\0\1" * 500))


def test_a_file_cut_off_anywhere_is_never_taken_for_whole(dicom_file, jpeg):
    file = dicom_file(jpeg, fragments=3)
    for size in [*range(132, len(file) - 10, 97), len(file) - 9]:
        try:
            data, _ = take_out(file[:size])
        except RefusedError as error:
            assert error.verdict in ("corrupt", "unsupported")
        else:
            assert data == jpeg or inspect(data, "a.jpg").verdict == "corrupt"


@pytest.mark.parametrize("seed", range(3))
def test_a_damaged_file_gives_a_verdict_and_no_other_error(dicom_file, jpeg, seed):
    random = np.random.default_rng(seed)
    file = dicom_file(jpeg, fragments=2)
    for _ in range(150):
        damaged = bytearray(file)
        for at in random.integers(132, min(len(file), 1200), 4):
            damaged[at] = random.integers(0, 256)
        try:
            picture = picture_in(bytes(damaged), "a.dcm")
        except RefusedError as error:
            assert "\n" not in str(error)
        else:
            inspect(picture.data, picture.name)


def test_a_dicom_file_that_is_named_jpeg_is_mislabelled_as_before(dicom_file, jpeg):
    picture = picture_in(dicom_file(jpeg), "a.jpg")
    assert inspect(picture.data, picture.name).reason == "the content is dicom, the name says jpeg"


def test_without_the_extra_one_line_says_how_to_install_it(dicom_file, jpeg, monkeypatch):
    from components.common.imaging import dicom

    file = dicom_file(jpeg)
    dicom._pydicom.cache_clear()
    monkeypatch.setitem(__import__("sys").modules, "pydicom", None)
    with pytest.raises(DataError, match=r"a DICOM file; to read it: pip install 'lesionflow\[dicom\]'"):
        take_out(file)
    dicom._pydicom.cache_clear()
