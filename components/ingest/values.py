"""What one cell of a table means: ids, ages, sexes, label words, and the words for nothing."""

from __future__ import annotations

import math
import re
import unicodedata

from components.common.storage import store

MAX_AGE = 120
AGES = f"a number of years from 0 to {MAX_AGE}, or nothing"
# What people, spreadsheets and data frames write where there is no value; compared in lower case.
_NOTHING = """
    - -- --- \N{EN DASH} \N{EM DASH} . .. ... ? ?? na n/a n.a. n.a #n/a #na <na> nan -nan nat
    none null (null) (blank) nil missing undefined unknown unk unspecified
    #n/d #nv #null! #value! #ref! #div/0! #name? #num! 1.#ind -1.#ind 1.#qnan -1.#qnan
"""
_NOT = ("available", "known", "specified", "reported", "applicable", "recorded", "provided", "given", "stated")
BLANK = frozenset({"", "#n/a n/a", *_NOTHING.split(), *(f"not {word}" for word in _NOT)})
# Words that say benign or malignant themselves.
WORDS = {
    **dict.fromkeys(("malignant", "1", "1.0", "true", "yes", "y", "positive", "pos"), 1),
    **dict.fromkeys(("benign", "0", "0.0", "false", "no", "n", "negative", "neg", "non-malignant", "not malignant"), 0),
}
UNDERSTOOD = "benign/malignant, 0/1, yes/no, true/false, positive/negative"
NO_LABEL = frozenset({"-1", "-1.0"})
_SEX = {
    **dict.fromkeys(("m", "male", "man", "masculine"), "male"),
    **dict.fromkeys(("f", "female", "woman", "w", "feminine"), "female"),
}
_SKIN_TYPES = {"i": "1", "ii": "2", "iii": "3", "iv": "4", "v": "5", "vi": "6"}
_YEARS = re.compile(
    r"[>\u2265]?=?\s*(\d{1,3}(?:[.,]\d{1,2})?)\s*(?:\+|and older|or older|and over|years?|yrs?|y|y\.?o\.?)?"
)
_FORBIDDEN = frozenset('\\/:*?"<>|')  # no file system, or no store, has them in names


class OddValueError(ValueError):
    """A cell that cannot mean what its column means."""


def is_blank(text: str) -> bool:
    """Whether a cell says that there is no value."""
    return text.lower() in BLANK


def image_id(text: str) -> tuple[str, str]:
    """The id in a cell, without suffix and in Unicode's composed form, and the folder in front of it.

    Raises:
        OddValueError: not the name of a file below a folder.
    """
    folder, _, name = unicodedata.normalize("NFC", text).replace("\\", "/").rpartition("/")
    if folder and (folder.startswith(("/", "~")) or ":" in folder or ".." in folder.split("/")):
        raise OddValueError
    suffix = store.suffix_of(name)
    if suffix in store.IMAGE_SUFFIXES:
        name = name[: -len(suffix)]
    plain = name.isprintable() and not _FORBIDDEN & set(name) and ".." not in name
    if not plain or not 0 < len(name) <= 200 or name[0] in " .=+-@" or name[-1] in " .":
        raise OddValueError
    return name, folder


def group_id(text: str) -> str:
    """A lesion or patient id; empty where there is none.

    Raises:
        OddValueError: control characters, or longer than an id can be.
    """
    if is_blank(text) or text in NO_LABEL:
        return ""  # many images of "unknown" are not one lesion
    if not text.isprintable() or len(text) > 200:
        raise OddValueError
    return unicodedata.normalize("NFC", text)


def age(text: str) -> float:
    """Years; NaN where there is no value. `90+` and `>90` are 90, `45 years` is 45, and `45,5` is 45.5.

    Raises:
        OddValueError: not a number, or out of range.
    """
    if is_blank(text):
        return math.nan
    written = _YEARS.fullmatch(text.lower())
    if written:
        text = written[1].replace(",", ".")
    try:
        years = float(text.replace("_", "?"))  # Python reads 1_0 as 10
    except ValueError as error:
        raise OddValueError from error
    if not 0 <= years <= MAX_AGE:  # also refuses infinity
        raise OddValueError
    return years


def sex(text: str) -> str | None:
    """The sex, male or female; None for any other word."""
    return _SEX.get(text.lower())


def skin_type(text: str) -> str | None:
    """Fitzpatrick skin type, 1 to 6; None for anything else."""
    word = text.lower().removeprefix("fst").removeprefix("type").strip()
    number = _SKIN_TYPES.get(word, word.removesuffix(".0"))
    return number if number in _SKIN_TYPES.values() else None


def plain(text: str) -> str:
    """Lower case with single spaces: how diagnoses and words are compared."""
    return " ".join(unicodedata.normalize("NFKC", text).lower().split())
