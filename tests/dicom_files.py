"""Real DICOM files for tests, made with pydicom."""

import io
from itertools import pairwise

import pydicom
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, JPEGBaseline8Bit, VLPhotographicImageStorage, generate_uid


def dicom_file(
    jpeg: bytes,
    *,
    sop_class: UID = VLPhotographicImageStorage,
    syntax: UID = JPEGBaseline8Bit,
    fragments: int = 1,
    offsets: bool = True,
    pixel_data: bytes | None = None,
    **attributes: object,
) -> bytes:
    """A DICOM file that holds `jpeg` in so many fragments, with or without a basic offset table."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = sop_class, generate_uid()
    meta.TransferSyntaxUID = syntax
    dataset = FileDataset(None, {}, file_meta=meta, preamble=bytes(128))
    dataset.SOPClassUID, dataset.SOPInstanceUID = sop_class, meta.MediaStorageSOPInstanceUID
    dataset.Modality, dataset.SamplesPerPixel, dataset.PhotometricInterpretation = "XC", 3, "YBR_FULL_422"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 8, 8, 7, 0
    dataset.PatientID, dataset.PatientName, dataset.PatientBirthDate = "4711", "Doe^Jane", "19700101"
    for name, value in attributes.items():
        setattr(dataset, name, value)
    if pixel_data is None:
        # whole fragments of even length, then the rest: what stands in the standard, unlike equal shares of odd ones
        size = len(jpeg) // fragments // 2 * 2
        cuts = [size * i for i in range(fragments)] + [len(jpeg)]
        parts = [jpeg[start:end] for start, end in pairwise(cuts)]
        dataset.PixelData = _items(parts, offsets=offsets) if fragments > 1 else encapsulate([jpeg], has_bot=offsets)
        dataset["PixelData"].VR = "OB"
        dataset["PixelData"].is_undefined_length = True
    elif pixel_data:
        dataset.PixelData = pixel_data
        dataset["PixelData"].VR = "OB"
        dataset["PixelData"].is_undefined_length = syntax.is_compressed
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()


def _items(parts: list[bytes], *, offsets: bool) -> bytes:
    """Pixel data as PS3.5 section A.4 writes it: an offset table, empty or of one frame, and the fragments."""
    tag = b"\xfe\xff\x00\xe0"
    table = (4).to_bytes(4, "little") + bytes(4) if offsets else bytes(4)
    padded = [part + bytes(len(part) % 2) for part in parts]
    return tag + table + b"".join(tag + len(part).to_bytes(4, "little") + part for part in padded)
