"""`fingerprints.npz` of a bundle: by what the images it was trained and chosen on are known again.

For every usable image of train and validation the sha256 of its file and its picture key, and the hashed ids of their
lesions, patients and groups. No pixels and no ids; but whoever has a list of ids can hash it and look which are there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from components.common.artifacts.index import PICTURE_KEY
from components.common.artifacts.json_file import shown
from components.common.artifacts.npz import read_npz, write_npz
from components.common.artifacts.split import Split
from components.common.bundle import layout
from components.common.imaging import picture_key
from components.common.runtime.errors import ArtifactError

SCHEMA = "lesionflow.fingerprints/1"
TRAINED, CHOSEN = 0, 1  # on: train, validation
BYTES, NEAR = "bytes", "near-duplicate"
_PARTS = {"train": TRAINED, "val": CHOSEN}
_ID_COLUMNS = ("lesion_id", "group_id", "patient_id")
_WIDTHS = {"sha256": 32, "picture": picture_key.BYTES, "part": 0, "ids": 16}

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Fingerprints:
    """What a bundle has seen.

    Attributes:
        sha256: (n, 32) of the image files, ascending.
        picture: (n, 32) picture keys; zeros where the index had no thumbnail.
        part: (n,) `TRAINED` or `CHOSEN`.
        ids: (m, 16) hashed ids, ascending.
    """

    sha256: Bytes
    picture: Bytes
    part: Bytes
    ids: Bytes

    def __len__(self) -> int:
        return len(self.sha256)

    @property
    def pictures_known(self) -> bool:
        """Whether near-duplicates can be recognised, not equal bytes alone."""
        return bool(self.picture.any())

    def seen(self, sha256: Iterable[str], picture: Bytes) -> pd.DataFrame:
        """Which images the bundle was trained or chosen on.

        Args:
            sha256: of n image files, in hex.
            picture: (n, 32) their picture keys.

        Returns:
            One row per image: `how` (`bytes`, `near-duplicate` or empty) and `part` (`train`, `val` or empty).
        """
        known = {one.tobytes(): row for row, one in enumerate(self.sha256)}
        row = np.array([known.get(bytes.fromhex(one), -1) for one in sha256], np.intp)
        how = np.where(row >= 0, BYTES, "")
        if self.pictures_known and len(picture):
            near, distance = picture_key.nearest(picture, self.picture)
            alike = (row < 0) & (distance <= picture_key.LIMIT)
            row, how = np.where(alike, near, row), np.where(alike, NEAR, how)
        names = {number: name for name, number in _PARTS.items()}
        part = [names[int(self.part[one])] if one >= 0 else "" for one in row]
        return pd.DataFrame({"how": how, "part": part}, dtype="str")

    def shared_ids(self, rows: pd.DataFrame) -> dict[str, list[str]]:
        """Lesions, groups and patients of a table that the bundle has seen, by column."""
        known = {one.tobytes() for one in self.ids}
        found = {}
        for column in (name for name in _ID_COLUMNS if name in rows):
            values = sorted(set(rows[column]) - {""})
            shared = [one for one in values if _hashed(column, one) in known]
            if shared:
                found[column] = shared
        return found

    def joined(self, chosen: Fingerprints) -> Fingerprints:
        """These and further images that the bundle was chosen on; what is known by both stays as it is here.

        Picture keys of the further images are left out where these have none: near-duplicates of the training images
        would not be recognised, and `pictures_known` must not say that they are.
        """
        known = {one.tobytes() for one in self.sha256}
        new = np.array([one.tobytes() not in known for one in chosen.sha256], bool)
        picture = chosen.picture if self.pictures_known else np.zeros_like(chosen.picture)
        sha256 = np.concatenate([self.sha256, chosen.sha256[new]])
        order = np.array(sorted(range(len(sha256)), key=lambda row: sha256[row].tobytes()), np.intp)
        ids = sorted({one.tobytes() for one in (*self.ids, *chosen.ids)})
        return Fingerprints(
            sha256=sha256[order],
            picture=np.concatenate([self.picture, picture[new]])[order],
            part=np.concatenate([self.part, np.full(int(new.sum()), CHOSEN, np.uint8)])[order],
            ids=np.frombuffer(b"".join(ids), np.uint8).reshape(-1, 16),
        )

    def save(self, folder: Path) -> None:
        """Writes `fingerprints.npz`."""
        arrays = {"schema": np.array([SCHEMA]), **{name: getattr(self, name) for name in _WIDTHS}}
        write_npz(folder / layout.FINGERPRINTS, arrays)


def fingerprints_of(split: Split) -> Fingerprints:
    """Fingerprints of the train and validation images that can be used."""
    everyone = pd.concat([split.usable(name).assign(part=number) for name, number in _PARTS.items()])
    return _made(everyone)


def fingerprints_chosen_on(rows: pd.DataFrame, picture: Bytes) -> Fingerprints:
    """Fingerprints of images of another site, for a bundle that is adjusted on them.

    Args:
        rows: of an index.
        picture: (n, 32) their picture keys.
    """
    return _made(rows.assign(part=CHOSEN, **{PICTURE_KEY: [one.tobytes().hex() for one in picture]}))


def _made(everyone: pd.DataFrame) -> Fingerprints:
    ids = {_hashed(name, one) for name in _ID_COLUMNS if name in everyone for one in set(everyone[name]) - {""}}
    rows = everyone.sort_values(["sha256", "part"], kind="stable").drop_duplicates("sha256")
    keys = rows[PICTURE_KEY] if PICTURE_KEY in rows else ["00" * picture_key.BYTES] * len(rows)
    return Fingerprints(
        sha256=_bytes(rows["sha256"], 32),
        picture=_bytes(keys, picture_key.BYTES),
        part=rows["part"].to_numpy(np.uint8),
        ids=np.frombuffer(b"".join(sorted(ids)), np.uint8).reshape(-1, 16),
    )


def read_fingerprints(bundle: Path) -> Fingerprints | None:
    """Reads the fingerprints in a bundle or a validation; None where it has none: made by version 0.1, or no split.

    Raises:
        ArtifactError: the file is damaged.
    """
    path = bundle / layout.FINGERPRINTS
    if not path.is_file():
        return None
    try:
        arrays = read_npz(path)
    except ValueError as error:
        raise ArtifactError(f"{path}: not readable as fingerprints ({error}); export the bundle again") from error
    schema = " ".join(map(str, arrays.pop("schema", np.array([])).ravel()))
    if schema != SCHEMA or set(arrays) != set(_WIDTHS):
        raise ArtifactError(f"{path}: expected {SCHEMA}, received {shown(schema)}; export again")
    n = arrays["part"].size
    for name, width in _WIDTHS.items():
        rows = arrays["ids"].size // width if name == "ids" else n
        expected = (rows, width) if width else (rows,)
        if arrays[name].dtype != np.uint8 or arrays[name].shape != expected:
            raise ArtifactError(f"{path}: {name} has shape {arrays[name].shape}, expected {expected}; export again")
    if not np.isin(arrays["part"], list(_PARTS.values())).all():
        raise ArtifactError(f"{path}: part holds other numbers than {sorted(_PARTS.values())}; export the bundle again")
    return Fingerprints(**arrays)


def keys_of(hexadecimal: Iterable[str]) -> Bytes:
    """(n, 32) picture keys from the index's column."""
    return _bytes(hexadecimal, picture_key.BYTES)


def _bytes(hexadecimal: Iterable[str], width: int) -> Bytes:
    return np.frombuffer(b"".join(bytes.fromhex(one) for one in hexadecimal), np.uint8).reshape(-1, width)


def _hashed(column: str, value: str) -> bytes:
    return hashlib.sha256(f"{column}\0{value}".encode("utf-8", "surrogatepass")).digest()[:16]
