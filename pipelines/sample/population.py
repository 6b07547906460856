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

_AGE = {"nv": (46, 15), "bkl": (64, 14), "mel": (61, 15), "bcc": (67, 13), "akiec": (66, 11), "vasc": (51, 21),
        "df": (53, 13)}  # fmt: skip
_MALE = {"nv": 0.51, "bkl": 0.57, "mel": 0.62, "bcc": 0.62, "akiec": 0.68, "vasc": 0.49, "df": 0.55}
_TYPES = ("histo", "follow_up", "consensus", "confocal")
_TYPE = {"nv": (0.37, 0.55, 0.08, 0.0), "bkl": (0.70, 0.0, 0.24, 0.06), "vasc": (0.47, 0.0, 0.53, 0.0),
         "df": (0.48, 0.0, 0.52, 0.0)}  # fmt: skip
_SOURCES = ("vidir_molemax", "vidir_modern", "rosendahl", "vienna_dias")
_SOURCE = {"nv": (0.56, 0.27, 0.12, 0.05), "bkl": (0.11, 0.43, 0.45, 0.01), "mel": (0.02, 0.61, 0.31, 0.06),
           "bcc": (0.01, 0.41, 0.57, 0.01), "akiec": (0.0, 0.10, 0.90, 0.0), "vasc": (0.38, 0.58, 0.02, 0.02),
           "df": (0.26, 0.44, 0.26, 0.04)}  # fmt: skip
_SITES = ("back", "lower extremity", "trunk", "upper extremity", "abdomen", "face", "chest", "foot", "neck", "scalp",
          "hand", "ear", "genital", "acral")  # fmt: skip
_SITE = {
    "nv": (21, 22, 19, 10, 13, 2, 6, 4, 1, 0.7, 0.4, 0.3, 0.7, 0.1),
    "bkl": (18, 16, 7, 10, 4, 29, 7, 0.3, 3, 3, 0.2, 0.5, 0.2, 0),
    "mel": (29, 17, 4, 19, 6, 9, 6, 2, 3, 1, 0.2, 1.5, 0.1, 0),
    "bcc": (36, 11, 2, 10, 4, 20, 9, 1, 3, 4, 0.4, 0.3, 0, 0),
    "akiec": (9, 20, 0.4, 19, 1.5, 35, 4, 0.2, 3, 4, 4, 1, 0, 0),
    "vasc": (16, 19, 22, 8, 19, 6, 4, 0.5, 2, 1.5, 3.5, 0, 0, 0),
    "df": (2, 71, 0.3, 21, 3.5, 0, 0, 1.7, 0, 0, 0.4, 0, 0.9, 0),
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
    mean, deviation = _AGE[dx]
    age = float(np.clip(5 * round(random.normal(mean, deviation) / 5), 5, 85))
    sex = "male" if random.random() < _MALE[dx] else "female"
    site = _draw(random, _SITES, _SITE[dx])
    return Lesion(
        number=number,
        dx=dx,
        images=_images(dx, random),
        dx_type="histo" if dx in _MALIGNANT else _draw(random, _TYPES, _TYPE[dx]),
        age=float("nan") if unknown["age"] else age,
        sex="unknown" if unknown["sex"] else sex,
        site="unknown" if unknown["site"] else site,
        source=_draw(random, _SOURCES, _SOURCE[dx]),
    )


def _images(dx: str, random: np.random.Generator) -> int:
    more = random.random(3) < (_TWO_OR_MORE[dx], _THREE, _FOUR)
    return 1 + int(np.cumprod(more).sum())


def _draw(random: np.random.Generator, names: tuple[str, ...], shares: tuple[float, ...]) -> str:
    weights = np.asarray(shares, float)
    return str(random.choice(names, p=weights / weights.sum()))
