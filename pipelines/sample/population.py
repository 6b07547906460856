"""Who the generated lesions belong to: diagnoses, ages, sites and sources in about HAM10000's proportions.

The table carries the same shortcuts as the real one (everything malignant is confirmed by histology,
sources differ in their share of malignant lesions, gaps are mostly benign), so that what the report says
about them is exercised.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

COLUMNS = ("lesion_id", "image_id", "dx", "dx_type", "age", "sex", "localization", "dataset")

_LESIONS = {"nv": 5403, "bkl": 727, "mel": 614, "bcc": 327, "akiec": 228, "vasc": 98, "df": 73}
_ONE_OF_EACH_FROM = 20  # below this many lesions the rarest diagnoses may be absent
_TWO_OR_MORE = {"nv": 0.19, "bkl": 0.42, "mel": 0.55, "bcc": 0.45, "akiec": 0.36, "vasc": 0.37, "df": 0.45}
_THREE, _FOUR = 0.26, 0.06  # of those with one more

_AGE = {"nv": 46, "bkl": 64, "mel": 61, "bcc": 67, "akiec": 66, "vasc": 51, "df": 53}  # mean, in years
_AGE_DEVIATION = 14
_TYPES = ("histo", "follow_up", "consensus", "confocal")
_TYPE = {"nv": (0.37, 0.55, 0.08, 0.0), "bkl": (0.70, 0.0, 0.24, 0.06)}
_OTHER_TYPE = (0.48, 0.0, 0.52, 0.0)
_SOURCES = ("sample_camera_a", "sample_camera_b")  # the names say that the pictures are generated
_SECOND_SOURCE = {"nv": 0.25, "bkl": 0.55, "mel": 0.6, "bcc": 0.6, "akiec": 0.8, "vasc": 0.3, "df": 0.4}
_SITES = ("back", "lower extremity", "trunk", "upper extremity", "abdomen", "face")
_SITE = {
    "nv": (24, 25, 22, 12, 15, 2),
    "bkl": (22, 19, 9, 12, 4, 34),
    "mel": (35, 20, 5, 23, 7, 10),
    "bcc": (43, 13, 2, 12, 5, 25),
    "akiec": (11, 24, 1, 22, 2, 40),
    "vasc": (18, 21, 24, 9, 21, 7),
    "df": (2, 72, 1, 22, 3, 0),
}
_GAP = {"age": 0.008, "sex": 0.008, "site": 0.028}  # of the benign; a tenth of it among the malignant
_MALIGNANT = ("mel", "bcc", "akiec")


@dataclass(frozen=True)
class Lesion:
    """One generated lesion and the person it is on.

    Attributes:
        number: position in the population, from 0; it seeds the lesion's looks.
        dx: diagnosis code.
        images: how many pictures were taken of it.
        dx_type: how the diagnosis was confirmed.
        age: years in steps of five, NaN where unknown.
        sex: male, female or unknown.
        site: part of the body or unknown.
        source: where the pictures come from, which decides camera and light.
    """

    number: int
    dx: str
    images: int
    dx_type: str
    age: float
    sex: str
    site: str
    source: str


def population(lesions: int, seed: int) -> list[Lesion]:
    """`lesions` lesions in random order; the same ones for the same seed."""
    random = np.random.default_rng([seed, 0])
    codes = [dx for dx, n in diagnosis_counts(lesions).items() for _ in range(n)]
    return [_lesion(number, str(dx), random) for number, dx in enumerate(random.permutation(codes))]


def diagnosis_counts(lesions: int) -> dict[str, int]:
    """Lesions by diagnosis: HAM10000's shares by largest remainder, the rare ones at least once."""
    total = sum(_LESIONS.values())
    exact = {dx: lesions * n / total for dx, n in _LESIONS.items()}
    counts = {dx: int(share) for dx, share in exact.items()}
    for dx in sorted(exact, key=lambda code: counts[code] - exact[code])[: lesions - sum(counts.values())]:
        counts[dx] += 1
    if lesions >= _ONE_OF_EACH_FROM:
        for dx in (code for code, n in counts.items() if not n):
            counts[dx], counts["nv"] = 1, counts["nv"] - 1
    return counts


def _lesion(number: int, dx: str, random: np.random.Generator) -> Lesion:
    gap = 0.1 if dx in _MALIGNANT else 1.0
    unknown = {name: bool(random.random() < share * gap) for name, share in _GAP.items()}
    age = float(np.clip(5 * round(random.normal(_AGE[dx], _AGE_DEVIATION) / 5), 5, 85))
    sex = "male" if random.random() < 0.55 else "female"
    site = _draw(random, _SITES, _SITE[dx])
    return Lesion(
        number=number,
        dx=dx,
        images=_images(dx, random),
        dx_type="histo" if dx in _MALIGNANT else _draw(random, _TYPES, _TYPE.get(dx, _OTHER_TYPE)),
        age=float("nan") if unknown["age"] else age,
        sex="unknown" if unknown["sex"] else sex,
        site="unknown" if unknown["site"] else site,
        source=_SOURCES[int(random.random() < _SECOND_SOURCE[dx])],
    )


def _images(dx: str, random: np.random.Generator) -> int:
    more = random.random(3) < (_TWO_OR_MORE[dx], _THREE, _FOUR)
    return 1 + int(np.cumprod(more).sum())


def _draw(random: np.random.Generator, names: tuple[str, ...], shares: tuple[float, ...]) -> str:
    weights = np.asarray(shares, float)
    return str(random.choice(names, p=weights / weights.sum()))
