"""How figures are named and written for people: one name per quantity, one way to write an estimate.

The report, the model card, both summaries and the registry take their words from here, so that a reader who has
understood a line in one finds the same line in the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from components.common.artifacts.estimate import HasInterval
from components.common.artifacts.index import Verdict
from components.common.artifacts.metrics import FigureName
from components.common.statistics.intervals import Interval

DASH = "\N{EN DASH}"

NAMES: Mapping[FigureName, str] = {
    "roc_auc": "ROC-AUC",
    "average_precision": "average precision",
    "average_precision_normalised": "average precision above chance (0 to 1)",
    "partial_auc": "partial AUC above sensitivity 0.80 (of 0.2)",
    "sensitivity_at_specificity_0.80": "sensitivity at specificity 0.80",
    "sensitivity_at_specificity_0.90": "sensitivity at specificity 0.90",
    "sensitivity_at_specificity_0.95": "sensitivity at specificity 0.95",
    "specificity_at_sensitivity_0.90": "specificity at sensitivity 0.90",
    "specificity_at_sensitivity_0.95": "specificity at sensitivity 0.95",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "predicted_positive_rate": "predicted positive rate",
    "ppv": "positive predictive value (PPV)",
    "npv": "negative predictive value (NPV)",
    "number_needed_to_biopsy": "referrals per malignant lesion found",
    "accuracy": "accuracy",
}
SLICES: Mapping[str, str] = {
    "sex": "sex",
    "age": "age",
    "site": "site of the lesion",
    "dx": "diagnosis",
    "dx_type": "diagnosis confirmed by",
    "source": "acquisition source",
    "skin_type": "skin type (Fitzpatrick)",
    "images per lesion": "images per lesion",
}
_WORDS: Mapping[str, str] = {**{str(name): words for name, words in NAMES.items()}, **SLICES}
_FORMS: Mapping[str, str] = {"number_needed_to_biopsy": "{:.2f}"}


def named(name: str) -> str:
    """The name a reader knows a figure or a slice by."""
    return _WORDS.get(name, name.replace("_", " "))


def heading(name: str) -> str:
    """The same, as the first words of a line."""
    words = named(name)
    return words[:1].upper() + words[1:]


def form_of(name: str) -> str:
    """How many digits a figure is written with, as a format string."""
    return _FORMS.get(name, "{:.3f}")


def estimate_text(found: HasInterval | Mapping[str, Any] | None, form: str = "{:.3f}", missing: str = DASH) -> str:
    """`0.876 (0.851 to 0.899)`; the value alone without an interval, `missing` without a value.

    >>> from components.common.artifacts.estimate import Estimate
    >>> estimate_text(Estimate(value=0.8761, lower=0.85, upper=0.9))
    '0.876 (0.850 to 0.900)'
    """
    if isinstance(found, Mapping):  # as JSON has it
        found = Interval(found["value"], found.get("lower"), found.get("upper"))
    if found is None or found.value is None:
        return missing
    text = form.format(found.value)
    if found.lower is None or found.upper is None:
        return text
    return f"{text} ({form.format(found.lower)} to {form.format(found.upper)})"


def percent_text(share: float | None, digits: int = 1) -> str:
    """`62.2 %`, with a space that does not break."""
    return DASH if share is None else f"{100 * share:.{digits}f}\N{NO-BREAK SPACE}%"


_MARKDOWN = {
    **{ord(mark): f"\\{mark}" for mark in "\\`*|[]"},
    ord("&"): "&amp;",
    ord("<"): "&lt;",
    ord(">"): "&gt;",
}


def one_line(text: str) -> str:
    """Text without line breaks, control characters and marks that turn the direction of writing."""
    return "".join(mark if mark.isprintable() else " " for mark in text)


def markdown_text(text: str) -> str:
    r"""Text from a table or another document, so that Markdown shows it as it is, in a table's cell too.

    >>> markdown_text("clinic a|b <img src=x>")
    'clinic a\\|b &lt;img src=x&gt;'
    """
    return one_line(text).translate(_MARKDOWN)


def markdown_code(text: str) -> str:
    """The same between backticks; a backtick inside becomes an apostrophe."""
    return "`" + one_line(text).replace("`", "'").replace("|", "\\|") + "`"


_DIAGNOSES = {
    "nv": "melanocytic nevus",
    "mel": "melanoma",
    "bcc": "basal cell carcinoma",
    "akiec": "actinic keratosis or Bowen's disease",
    "ak": "actinic keratosis",
    "scc": "squamous cell carcinoma",
    "bkl": "benign keratosis",
    "df": "dermatofibroma",
    "vasc": "vascular lesion",
}
_VALUES: Mapping[str, Mapping[str, str]] = {
    "dx": _DIAGNOSES,
    "dx_type": {
        "histo": "histology",
        "follow_up": "follow-up",
        "consensus": "expert consensus",
        "confocal": "confocal microscopy",
    },
    "images per lesion": {"1": "one image", "2": "two images", "3+": "three or more images"},
}


def value_words(column: str, value: str) -> str:
    """A table's value in words where the code is a common one: `mel (melanoma)`, `histology`.

    >>> value_words("dx", "mel"), value_words("site", "back"), value_words("sex", "unknown")
    ('mel (melanoma)', 'back', 'not recorded')
    """
    if value == "unknown":
        return "not recorded"
    words = _VALUES.get(column, {}).get(value.lower())
    if words is None:
        return value
    return f"{value} ({words})" if column == "dx" else words


REASONS: Mapping[str, str] = {
    Verdict.UNKNOWN_DIAGNOSIS: "diagnosis missing, or unknown to the label policy",
    Verdict.CONFLICTING_DIAGNOSIS: "images of one lesion, or of one picture, with different labels",
    Verdict.EXCLUDED_DIAGNOSIS: "diagnosis left out by the label policy",
    Verdict.MISSING: "no image file",
    Verdict.CORRUPT: "damaged image file",
    Verdict.MISLABELLED: "file of another format than its name says",
    Verdict.UNSUPPORTED: "kind of image that is not supported",
    Verdict.UNREADABLE: "image file could not be fetched",
    Verdict.DUPLICATE_CONFLICT: "two files with this id and different content",
    "not_dermoscopy": "unlike the dermoscopic images the bundle was trained on",
}


def reason_words(reason: str) -> str:
    """Why an image left, in words."""
    return REASONS.get(reason, reason.replace("_", " "))


# what a spreadsheet takes for the start of a formula, in the full-width forms of East Asian keyboards too
_FORMULA = tuple("=+-@\uff1d\uff0b\uff0d\uff20")


def spreadsheet_text(text: str) -> str:
    """Text for a CSV file that no spreadsheet takes for a formula (CWE-1236): an apostrophe before it where needed.

    >>> spreadsheet_text("=1+1"), spreadsheet_text("ISIC_0024306")
    ("'=1+1", 'ISIC_0024306')
    """
    line = one_line(text)
    return f"'{line}" if line.lstrip().startswith(_FORMULA) or line != text else line
