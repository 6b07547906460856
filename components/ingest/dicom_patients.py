"""Patients of DICOM files: hashed with a salt that is not kept; other identifiers are dropped and counted."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pandas as pd

from components.common.runtime.words import counted
from components.ingest.check import Checked

_DIGITS = 16


def name_patients(
    rows: pd.DataFrame, checked: Sequence[Checked], salt: bytes = b""
) -> tuple[dict[str, Any], list[str]]:
    """Fills `patient_id` of rows whose DICOM file names the patient, where the table has no such column.

    Args:
        rows: the table's rows; changed.
        checked: what was found of each.
        salt: of the run; random where none is given. It is written nowhere: somebody who knows a PatientID cannot look
            for it among the hashes, and two runs hash the same patient differently.

    Returns:
        For the account, under `dicom`: images, patients, and how many files held each identifier that was dropped;
        nothing where there is no DICOM file. And notes.
    """
    found = [(at, item.wrapping) for at, item in enumerate(checked) if item.wrapping is not None]
    if not found:
        return {}, []
    salt = salt or secrets.token_bytes(32)
    names = {one.patient_id: _hashed(one.patient_id, salt) for _, one in found if one.patient_id}
    notes = []
    if "patient_id" in rows:
        notes.append("patients are those of the table; PatientID of the DICOM files is not used")
    elif names:
        rows["patient_id"] = pd.Series("", index=rows.index, dtype="str")
        for at, one in found:
            if one.patient_id:
                rows.loc[rows.index[at], "patient_id"] = names[one.patient_id]
        notes.append(f"patient_id is PatientID of the DICOM files, hashed: {counted(len(names), 'patient')}")
    dropped = Counter(keyword for _, one in found for keyword in one.identifying)
    burned_in = sum(one.burned_in for _, one in found)
    if burned_in:
        notes.append(f"{counted(burned_in, 'DICOM file')} with burned-in text (BurnedInAnnotation is YES)")
    account = {
        "images": len(found),
        "patients": len(names),
        "without_patient": sum(not one.patient_id for _, one in found),
        "burned_in": burned_in,
        "dropped": dict(sorted(dropped.items())),
    }
    return {"dicom": account}, notes


def _hashed(patient_id: str, salt: bytes) -> str:
    return hmac.new(salt, patient_id.encode(), hashlib.sha256).hexdigest()[:_DIGITS]
