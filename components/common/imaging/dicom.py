"""The JPEG inside a DICOM file, byte for byte, and what the file says of the patient.

Taken out is encapsulated JPEG (processes 1, 2 and 4; one frame in any number of fragments, PS3.5 section A.4 and 8.2.1)
of VL Photographic and Dermoscopic Photography objects. Everything else has more than one way to RGB, or is no
photograph of skin. Needs pydicom, the extra `dicom`.
"""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from components.common.imaging.kinds import RefusedError

INSTALL = "pip install 'lesionflow[dicom]'"
# Attributes of PS3.15 table E.1-1 (basic confidentiality profile) that photographs carry; names of persons (VR PN) and
# private attributes are counted besides.
_KEYWORDS = """
    AccessionNumber AcquisitionDate AcquisitionDateTime AcquisitionTime AdditionalPatientHistory AdmissionID
    AdmittingDate ContentDate ContentTime CountryOfResidence DeviceSerialNumber DeviceUID EthnicGroup
    FrameOfReferenceUID ImageComments InstanceCreationDate InstanceCreationTime InstitutionAddress
    InstitutionName InstitutionalDepartmentName IssuerOfPatientID MedicalRecordLocator MilitaryRank Occupation
    OtherPatientIDs OtherPatientIDsSequence PatientAddress PatientBirthDate PatientBirthTime PatientComments
    PatientInsurancePlanCodeSequence PatientReligiousPreference PatientTelecomInformation
    PatientTelephoneNumbers PersonAddress PersonTelephoneNumbers ProtocolName ReferencedPatientSequence
    RegionOfResidence SOPInstanceUID SeriesDate SeriesDescription SeriesInstanceUID SeriesTime StationName
    StudyDate StudyDescription StudyID StudyInstanceUID StudyTime
"""
_IDENTIFYING = frozenset(_KEYWORDS.split())


@dataclass(frozen=True, slots=True)
class Wrapping:
    """What a DICOM file says besides its picture.

    Attributes:
        patient_id: PatientID, with the issuer behind it where one is named; empty where there is none.
        identifying: keywords of other identifying attributes that hold a value, sorted.
        burned_in: whether the file says that text is burned into its pixels.
    """

    patient_id: str
    identifying: tuple[str, ...]
    burned_in: bool


def is_dicom(data: bytes) -> bool:
    """Whether data is a DICOM file with its preamble (PS3.10 section 7.1)."""
    return data.startswith(b"DICM", 128)


def take_out(data: bytes) -> tuple[bytes, Wrapping]:
    """The JPEG of a DICOM file as it was put in, and what the file says besides.

    Raises:
        RefusedError: damaged, of another kind, or pydicom is not installed.
    """
    pydicom = _pydicom()
    try:
        dataset = pydicom.dcmread(io.BytesIO(data))
        _check_kind(dataset)
        jpeg = _one_frame(dataset)
        wrapping = _wrapping(dataset)
    except RefusedError:
        raise
    except Exception as error:  # pydicom raises whatever the damaged part leads to, also when a value is first read
        said = " ".join(str(error).split())[:120] or type(error).__name__
        raise RefusedError("corrupt", f"the DICOM file is damaged ({said})") from error
    if not jpeg.startswith(b"\xff\xd8"):
        raise RefusedError("corrupt", "the DICOM file says JPEG, and its pixel data does not begin as one")
    # a fragment has an even number of bytes: behind an odd one stands a zero (PS3.5 section A.4)
    return (jpeg[:-1] if jpeg.endswith(b"\xff\xd9\0") else jpeg), wrapping


@cache
def _pydicom() -> Any:
    """The package, told not to warn about values that are not read.

    Raises:
        RefusedError: not installed.
    """
    try:
        import pydicom
        import pydicom.encaps
    except ImportError as error:
        raise RefusedError("unsupported", f"a DICOM file; to read it: {INSTALL}") from error
    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", module="pydicom")
    return pydicom


def _check_kind(dataset: Any) -> None:
    uid = _pydicom().uid
    kind = uid.UID(str(dataset.get("SOPClassUID", "") or dataset.file_meta.get("MediaStorageSOPClassUID", "")))
    modality = str(dataset.get("Modality", "") or "none")
    if kind not in (uid.VLPhotographicImageStorage, uid.DermoscopicPhotographyImageStorage):
        raise RefusedError(
            "unsupported",
            f"a DICOM object of class {kind.name or 'none'}, modality {modality}; VL Photographic and Dermoscopic "
            "Photography images are read",
        )
    syntax = uid.UID(str(dataset.file_meta.get("TransferSyntaxUID", "")))
    if syntax not in (uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit):
        raise RefusedError(
            "unsupported",
            f"a DICOM file with pixel data as {syntax.name or 'an unknown transfer syntax'}; baseline JPEG is read",
        )
    frames = str(dataset.get("NumberOfFrames", "") or 1)
    if frames != "1":
        raise RefusedError("unsupported", f"a DICOM file with {frames} frames; one is read")
    colours = str(dataset.get("PhotometricInterpretation", ""))
    if colours in ("MONOCHROME1", "PALETTE COLOR"):
        raise RefusedError("unsupported", f"a DICOM file with colours as {colours}; RGB, YBR and MONOCHROME2 are read")


def _one_frame(dataset: Any) -> bytes:
    if "PixelData" not in dataset:
        raise RefusedError("corrupt", "the DICOM file holds no pixel data; it may be cut off")
    frames: Iterator[bytes] = _pydicom().encaps.generate_frames(bytes(dataset.PixelData), number_of_frames=1)
    return next(frames)


def _wrapping(dataset: Any) -> Wrapping:
    patient = str(dataset.get("PatientID", "") or "").strip()
    issuer = str(dataset.get("IssuerOfPatientID", "") or "").strip()
    found: set[str] = set()
    for element in dataset.iterall():
        if element.keyword == "PatientID" or element.is_empty:
            continue
        if element.tag.is_private:
            found.add("private")
        elif element.VR == "PN" or element.keyword in _IDENTIFYING:
            found.add(element.keyword)
    burned_in = str(dataset.get("BurnedInAnnotation", "")).strip().upper() == "YES"
    return Wrapping(f"{patient}\n{issuer}" if patient and issuer else patient, tuple(sorted(found)), burned_in)
