"""What one cell of a table means: ids, ages, sexes, label words, and the words for a missing value."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable, Mapping

from components.common.storage import store
from components.common.storage.sheet import BLANK

MAX_AGE = 120
AGES = f"a number of years from 0 to {MAX_AGE}, or an empty cell"
# Words that mean benign or malignant; the last lines are other languages.
WORDS = {
    **dict.fromkeys(
        ("malignant", "malign", "malignancy", "true", "yes", "y", "positive", "pos", "cancer", "cancerous"), 1
    ),
    **dict.fromkeys(("benign", "false", "no", "n", "negative", "neg"), 0),
    **dict.fromkeys(("nonmalignant", "non malignant", "not malignant", "non cancer", "non cancerous", "no cancer"), 0),
    **dict.fromkeys(("b\N{LATIN SMALL LETTER O WITH DIAERESIS}sartig", "boesartig", "ja", "oui", "si", "sim"), 1),
    **dict.fromkeys(("gutartig", "nein", "non", "nao"), 0),
    **dict.fromkeys(("maligne", "malin", "maligno", "maligna"), 1),
    **dict.fromkeys(("benigne", "benin", "benigno", "benigna"), 0),
}
# Abbreviations that mean a label only where the whole column consists of the two.
_PAIRS = ({"b": 0, "m": 1}, {"ben": 0, "mal": 1}, {"f": 0, "t": 1})
_TUMOUR = re.compile(r" (lesions?|tumou?rs?|neoplasms?)$")
_TWICE = re.compile(r"(.+?) ?[(=:/] ?([^()]+)\)?")  # `0 (benign)`, `1=malignant`
UNDERSTOOD = "benign/malignant, 0/1, yes/no, true/false, positive/negative"
NO_LABEL = frozenset({"-1", "-1.0"})
_SEX = {
    **dict.fromkeys(("m", "male", "man", "masculine", "mann", "homme", "hombre", "masculino", "maschio"), "male"),
    **dict.fromkeys(("m\N{LATIN SMALL LETTER A WITH DIAERESIS}nnlich", "maennlich", "masculin"), "male"),
    **dict.fromkeys(("f", "female", "woman", "w", "feminine", "frau", "weiblich", "femme"), "female"),
    **dict.fromkeys(("feminin", "mujer", "femenino", "feminino", "femmina"), "female"),
}
_SKIN_TYPES = {"i": "1", "ii": "2", "iii": "3", "iv": "4", "v": "5", "vi": "6"}
_NUMBER = r"(\d{1,3}(?:[.,]\d{1,2})?)"
# How much of a year a unit is, by the words for it; DICOM writes `045Y` and `006M` (PS3.5, value representation AS).
_UNITS = {
    1.0: "years?|yrs?|yr?|y\\.?o\\.?|year(?:s|-|s-| )old|jahre?|ans?|a\u00f1os?|anni|anos?",
    1 / 12: "months?|mos?|mths?|monate?",
    7 / 365.25: "weeks?|wks?|w|wochen?",
    1 / 365.25: "days?|d|tage?",
}
_UNIT = rf"\s*({'|'.join(_UNITS.values())})?"
_ABOUT = r"(?:~|\u2248|ca?\.|ca|circa|about|approx\.?|around|approximately)?\s*"
_OLDER = r"(?:\s*(?:\+|and older|or older|and over|and above|or more))?"
_AGE = re.compile(rf"{_ABOUT}(?:[>\u2265]=?|over|above|older than)?\s*{_NUMBER}{_OLDER}{_UNIT}{_OLDER}")
_YOUNGER = re.compile(
    rf"(?:[<\u2264]=?|under|below|up to|younger than|less than)\s*{_NUMBER}{_UNIT}"
    rf"|{_NUMBER}{_UNIT}\s*(?:and younger|or younger|and under|or less)"
)
_RANGE = re.compile(rf"{_NUMBER}\s*(?:-|\u2013|\u2014|\.\.|to|bis|until)\s*{_NUMBER}{_UNIT}")
_INTERVAL = re.compile(
    r"[\[(]\s*(\d{1,3}(?:\.\d+)?)\s*[,;-]\s*(\d{1,3}(?:\.\d+)?)\s*[\])]()"
)  # as pandas.cut writes it
_DECADE = re.compile(r"(\d0)'?s")
_DICOM_AGE = re.compile(r"(\d{3})m")
# The start of an absolute path: a Windows drive or share, or the root of Unix.
_ABSOLUTE = re.compile(r"\A([A-Za-z]:[\\/]+|\\\\+|/+(?=[^/]))")
_WHOLE = re.compile(r"[0-9]+\.0+")
_SCIENTIFIC = re.compile(r"\d([.,]\d+)?E\+\d+")
_FORBIDDEN = frozenset('\\/:*?"<>|')  # no file system, or no store, has them in names


class OddValueError(ValueError):
    """A cell that cannot mean what its column means."""


def is_blank(text: str) -> bool:
    """Whether a cell says that there is no value."""
    return text.lower() in BLANK


def image_id(text: str) -> tuple[str, str]:
    """The id in a cell, without suffix and in Unicode's composed form, and the folder in front of it.

    A path of another machine is a name with a folder in front: images are only looked for by name, below the roots.

    Raises:
        OddValueError: not the name of a file below a folder.
    """
    path = unicodedata.normalize("NFC", text)
    if "/" in path or "\\" in path:
        path = _ABSOLUTE.sub("", path).replace("\\", "/")
    folder, _, name = path.rpartition("/")
    if folder and (folder.startswith("~") or ":" in folder or ".." in folder.split("/")):
        raise OddValueError
    suffix = store.suffix_of(name)
    if suffix in store.IMAGE_SUFFIXES:
        name = name[: -len(suffix)]
    plain = name.isprintable() and not _FORBIDDEN & set(name) and ".." not in name
    if not plain or not 0 < len(name) <= 200 or name[0] in " .=+-@" or name[-1] in " .":
        raise OddValueError
    return name, folder


def labels_of(texts: Iterable[str], further: Mapping[str, int]) -> dict[str, int]:
    """What each distinct text of a label column says: 1 malignant, 0 benign, -1 neither.

    Args:
        texts: as `plain` makes them.
        further: words that a table's layout adds.
    """
    found = {text: further.get(text, _label(text.split("::")[0])) for text in texts}
    filled = found.keys() - {""}
    if sum(_is_code(text) for text in filled) > 1:  # numbers of classes, of which 0 and 1 are two
        found = {text: -1 if text.replace(".", "").isdecimal() else label for text, label in found.items()}
    pair = next((one for one in _PAIRS if filled == one.keys()), {})
    return found | pair


def _is_code(text: str) -> bool:
    plain_text = without_fraction(text)
    return plain_text.isdecimal() and int(plain_text) > 1


def _label(text: str) -> int:
    word = _bare(text)
    if word in WORDS:
        return WORDS[word]
    try:
        return {0.0: 0, 1.0: 1}.get(float(word.replace(",", ".").replace("_", "?")), -1)
    except ValueError:
        twice = _TWICE.fullmatch(word)
        both = {_label(part) for part in twice.groups()} if twice else {-1}
        return both.pop() if len(both) == 1 else -1


def _bare(text: str) -> str:
    """A word without accents and full stop, with spaces for hyphens, and without the `tumour` behind it."""
    plain_text = unicodedata.normalize("NFD", text)
    letters = "".join(one for one in plain_text if not unicodedata.combining(one) or one == "\u0308")
    word = unicodedata.normalize("NFC", letters).strip(" .")
    if any(one.isalpha() for one in word):
        word = " ".join(re.sub(r"[_-]", " ", word).split())
    return _TUMOUR.sub("", word)


def group_id(text: str) -> str:
    """A lesion or patient id; empty where there is none. A whole number that became `12.0` is 12 again.

    Raises:
        OddValueError: control characters, longer than an id can be, or a number whose digits a spreadsheet has cut.
    """
    if is_blank(text) or text in NO_LABEL:
        return ""  # many images of "unknown" are not one lesion
    if not text.isprintable() or len(text) > 200 or shortened(text):
        raise OddValueError
    return without_fraction(unicodedata.normalize("NFC", text).removeprefix("'"))


def without_fraction(text: str) -> str:
    """`12` of `12.0`, as which a table writes whole numbers in a column with gaps; other texts as they are."""
    return text.rpartition(".")[0] if _WHOLE.fullmatch(text) else text


def shortened(text: str) -> bool:
    """Whether a spreadsheet wrote a long number as 1.23E+11, which many numbers have in common."""
    return _SCIENTIFIC.fullmatch(text) is not None


def age(text: str) -> float:
    """Years; NaN where there is no value. `90+` and `>90` are 90, `45 years` is 45, `45,5` is 45.5, `18 months` is 1.5.

    A range counts as its middle: `45-50` is 47.5, and `<5` is 2.5. (That keeps a band of ages in the band it is of,
    where its upper bound would be in the next.)

    Raises:
        OddValueError: not a number, or out of range.
    """
    if is_blank(text):
        return math.nan
    found = _bounds(text.lower().strip())
    if found is None:
        try:
            years = float(text.replace("_", "?"))  # Python reads 1_0 as 10
        except ValueError as error:
            raise OddValueError from error
        found = (years, years)
    low, high = found
    if not 0 <= low <= high <= MAX_AGE:  # also refuses infinity
        raise OddValueError
    return (low + high) / 2


def is_age_range(text: str) -> bool:
    """Whether an age is a range, of which the middle is taken."""
    found = _bounds(text.lower().strip())
    return found is not None and found[0] < found[1]


def _bounds(text: str) -> tuple[float, float] | None:
    """The years between which an age lies, both the same where it is one number; None for a text of no known form."""
    if (one := _AGE.fullmatch(text)) is not None:
        years = _years(one[1], one[2])
        return years, years
    if (most := _YOUNGER.fullmatch(text)) is not None:
        return 0.0, _years(most[1] or most[3], most[2] or most[4])
    if (both := _RANGE.fullmatch(text) or _INTERVAL.fullmatch(text)) is not None:
        return _years(both[1], both[3]), _years(both[2], both[3])
    if (decade := _DECADE.fullmatch(text)) is not None:
        return float(decade[1]), float(decade[1]) + 10
    if (months := _DICOM_AGE.fullmatch(text)) is not None:
        return int(months[1]) / 12, int(months[1]) / 12
    return None


def _years(number: str, unit: str | None) -> float:
    words = (part for part, pattern in _UNITS.items() if re.fullmatch(pattern, unit or "years"))
    return float(number.replace(",", ".")) * next(words)


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
