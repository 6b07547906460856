"""Which tables are understood, and by which column names."""

from __future__ import annotations

from dataclasses import dataclass

from components.common.runtime.errors import DataError

# Our name -> names seen in the wild (HAM10000 on Dataverse and Kaggle, ISIC 2018 and 2019, ISIC archive).
ALIASES = {
    "image_id": ("image_id", "image", "image_name", "isic_id", "filename"),
    "lesion_id": ("lesion_id",),
    "dx": ("dx", "diagnosis"),
    "label": ("label", "target"),
    "dx_type": ("dx_type", "diagnosis_confirm_type"),
    "age": ("age", "age_approx"),
    "sex": ("sex",),
    "localization": ("localization", "anatom_site_general", "anatom_site_general_challenge", "site"),
    "dataset": ("dataset",),
}
# Columns of the index that a table cannot bring along.
RESERVED = frozenset(
    {"group_id", "uri", "sha256", "width", "height", "phash", "verdict", "reason", "format", "channels", "orientation",
     "size", "thumbnail", "malignant_label", "stated_label", "row"}
)  # fmt: skip


@dataclass(frozen=True)
class Layout:
    """What the columns of one table mean.

    Attributes:
        kind: diagnoses (one code a row), one_hot (a column for each code), label (0 / 1 or codes), facts (no label).
        named: our name by the table's own, for columns with a meaning of ours.
        codes: diagnosis code by column, kind one_hot only.
        extra: further columns, carried along as text.
    """

    kind: str
    named: dict[str, str]
    codes: dict[str, str]
    extra: tuple[str, ...]


def layout_of(header: list[str], source: str) -> Layout:
    """Recognises a table by its header.

    Raises:
        DataError: a column without a plain name, a column twice, or no image column.
    """
    odd = next((number for number, name in enumerate(header, start=1) if not name.isprintable()), 0)
    if odd:
        raise DataError(
            f"{source}: the name of column {odd} holds line breaks or control characters ({header[odd - 1][:80]!r}); "
            "expected a header of plain names; check the quotes of row 1"
        )
    lower = [name.strip().lower() for name in header]
    twice = next((name for name in lower if lower.count(name) > 1), None)
    if twice is not None:
        raise DataError(f"{source}: column {twice!r} is there more than once; expected each once")
    named: dict[str, str] = {}
    codes: dict[str, str] = {}
    for ours, names in ALIASES.items():
        found = next((name for name in names if name in lower), None)
        if found is not None:
            named[header[lower.index(found)]] = ours
    if "image_id" not in named.values():
        raise DataError(
            f"{source}: no column names the image; received {_some(header)}; "
            f"expected one of {', '.join(ALIASES['image_id'])}"
        )
    others = [name for name in header if name not in named]
    if "dx" in named.values():
        kind = "diagnoses"
    elif "label" in named.values():
        kind = "label"
    else:
        codes = {name: name.strip().lower() for name in others if name.strip().isupper() and len(name.strip()) <= 8}
        kind = "one_hot" if len(codes) >= 2 else "facts"
    extra = tuple(name for name in others if name not in codes)
    return Layout(kind, named, codes if kind == "one_hot" else {}, extra if kind == "one_hot" else tuple(others))


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 20} more" if len(names) > 20 else ""
    return ", ".join(name[:40] for name in names[:20]) + more
