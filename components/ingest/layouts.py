"""Known tables: one YAML file per layout says what its columns mean and how labels are read.

A layout is recognised by its columns, whatever their case and order. Of several that fit the one with the most columns
of its own is taken. A table that no layout knows is read by the usual names of columns (`USUAL`), and any table by the
parameter `columns`, which says for each meaning the column that holds it.
"""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import Field

from components.common.runtime import yaml_text
from components.common.runtime.config import StepConfig
from components.common.runtime.errors import ConfigError, DataError

_FOLDER = Path(__file__).with_name("table_layouts")
# What a column can mean, and the names by which a table that no layout knows is read.
USUAL = {
    "image_id": (
        *("image_id", "image", "image_name", "isic_id", "filename", "file_name", "img_id", "img", "img_name"),
        *("image_file", "image_filename", "image_file_name", "image_path", "file", "file_path", "path", "picture"),
    ),
    "lesion_id": ("lesion_id", "lesion", "lesion_no", "lesion_number"),
    "patient_id": (
        *("patient_id", "patient", "patient_no", "patient_number", "patient_nr", "patient_code", "pat_id"),
        *("subject_id", "subject", "person_id"),
    ),
    "diagnosis": ("dx", "diagnosis"),
    "label": (
        "label",
        "target",
        "benign_malignant",
        "malignant",
        "is_malignant",
        "malignancy",
        "class",
        "ground_truth",
    ),
    "dx_type": ("dx_type", "diagnosis_confirm_type"),
    "age": ("age", "age_approx", "age_approximate"),
    "sex": ("sex", "gender"),
    "localization": ("localization", "anatom_site_general", "anatom_site_general_challenge", "site"),
    "dataset": ("dataset",),
    "licence": ("copyright_license", "license", "licence"),
    "image_type": ("image_type",),
    "skin_type": ("fitzpatrick_skin_type", "fitzpatrick", "skin_type"),
}
_LABELS_WITHOUT_HEADER = ({"benign", "malignant"}, {"0", "1", "0.0", "1.0"})
# Columns that hold patients in some tables and something else in others.
_PATIENT = frozenset({"mrn", "pid", "case", "caseid", "caseno", "casenumber", "participant", "participantid", "person"})
_PATIENT_LIKE = re.compile(
    r"(patient|patienten|pat|subject)(nr|num|id|key|hash|name|ref|reference|identifier|pseudonym)"
)
MEANINGS = {
    "image_id": "name of the image file, with or without suffix and folder",
    "lesion_id": "the lesion an image shows",
    "patient_id": "the patient",
    "diagnosis": "diagnosis, as a code or name that the label policy knows",
    "label": "benign or malignant in words or as 0 and 1, or a diagnosis",
    "dx_type": "how the diagnosis was made",
    "age": "age in years",
    "sex": "sex",
    "localization": "part of the body",
    "dataset": "where the image comes from",
    "licence": "licence of the image",
    "image_type": "kind of image, such as dermoscopic",
    "skin_type": "Fitzpatrick skin type, 1 to 6 or I to VI",
}


class Layout(StepConfig):
    """A known table.

    Attributes:
        title: the data set and where it is available.
        about: what a user should know.
        source: what the columns were taken from, and the publication.
        recognised_by: columns that are all there in such a table, and together in no other.
        without_header: the names of the columns of a file whose first row is not a header.
        columns: the column, or columns in order of preference, by meaning.
        one_hot: diagnosis by column, for tables with a column of 0 and 1 per diagnosis.
        one_hot_none: diagnosis of a row of zeros; without it such a row has none.
        words: further words in the label column: benign or malignant.
        decided_by: whether the label column or the diagnosis decides.
        policy: the label policy that fits the diagnoses.
    """

    title: str = Field(min_length=1)
    about: str = ""
    source: str = Field(min_length=1)
    recognised_by: list[str] = Field(default_factory=list)
    without_header: list[str] = Field(default_factory=list)
    columns: dict[str, str | list[str]]
    one_hot: dict[str, str] = Field(default_factory=dict)
    one_hot_none: str = ""
    words: dict[str, Literal["benign", "malignant"]] = Field(default_factory=dict)
    decided_by: Literal["label", "diagnosis"]
    policy: str = "ham10000"


@dataclass(frozen=True)
class Reading:
    """How one table is read.

    Attributes:
        layout: name of the layout, empty for a table that none knows.
        columns: the table's columns by meaning, in order of preference.
        one_hot: diagnosis by column.
        one_hot_none: diagnosis of a row of zeros.
        words: further label words.
        decided_by: label or diagnosis; empty where no layout says.
        policy: the label policy that fits.
        further_labels: columns that by their name could be the label as well.
    """

    layout: str
    columns: dict[str, list[str]]
    one_hot: dict[str, str] = field(default_factory=dict)
    one_hot_none: str = ""
    words: dict[str, str] = field(default_factory=dict)
    decided_by: str = ""
    policy: str = "ham10000"
    further_labels: list[str] = field(default_factory=list)

    @property
    def labelled(self) -> bool:
        """Whether the table says a label or a diagnosis."""
        return bool(self.one_hot) or "label" in self.columns or "diagnosis" in self.columns


@cache
def layouts() -> dict[str, Layout]:
    """Every known layout by name."""
    files = sorted(_FOLDER.glob("*.yaml"))
    return {path.stem: Layout.parse(yaml_text.load(path.read_text(encoding="utf-8"))) for path in files}


def without_header(first_rows: Sequence[Sequence[str]]) -> list[str] | None:
    """The names of the columns, if the first rows of a table are already data of a layout that has no header."""
    if first_rows and _key(first_rows[0][0]) in {_key(name) for name in _known()["image_id"]}:
        return None  # `image,malignant` is a header, though its last cell is a label as well
    for layout in layouts().values():
        names = layout.without_header
        if names and all(len(row) == len(names) for row in first_rows):
            said = {row[names.index("label")].lower() for row in first_rows}
            if any(said <= labels for labels in _LABELS_WITHOUT_HEADER):
                return names
    return None


def header_score(cells: Sequence[str], chosen: Iterable[str] = ()) -> int:
    """How many names of columns a row holds, those in `chosen` among them; 0 where none of them names the image."""
    keys = {_key(cell) for cell in cells} - {""}
    picked = {_key(name) for name in chosen}
    if not keys & (picked | {_key(name) for meaning in ("image_id", "lesion_id") for name in _known()[meaning]}):
        return 0
    found = len(keys & (picked | {_key(name) for names in _known().values() for name in names}))
    return found if found > 1 else 0


@cache
def _known() -> dict[str, set[str]]:
    """Every name of a column that is known, by meaning; one column per diagnosis under `one_hot`."""
    known = {meaning: set(names) for meaning, names in USUAL.items()} | {"one_hot": set()}
    for layout in layouts().values():
        for meaning, names in layout.columns.items():
            known[meaning] |= {names} if isinstance(names, str) else set(names)
        known["one_hot"] |= layout.one_hot.keys()
    return known


def reading_of(header: Sequence[str], chosen: Mapping[str, str], source: str) -> Reading:
    """Recognises a table by its columns.

    Args:
        header: the table's columns.
        chosen: column by meaning, as the parameter `columns` says; it comes before what a layout says.
        source: the table, for messages.

    Raises:
        ConfigError: `chosen` names a meaning or a column that is not there.
    """
    own: dict[str, str] = {}
    for column in sorted(header, key=lambda one: re.fullmatch(r"\w+", one) is None):  # plain names come first
        own.setdefault(_key(column) or column, column)
    picked = {meaning: [_column(meaning, name, header, source)] for meaning, name in chosen.items()}
    fitting = {name: layout for name, layout in layouts().items() if _names(layout) and _names(layout) <= own.keys()}
    if not fitting:
        return _usual(own, picked)
    name = max(fitting, key=lambda one: len(_names(fitting[one])))
    layout = fitting[name]
    columns = {meaning: _there(names, own) for meaning, names in layout.columns.items()}
    for meaning, names in USUAL.items():  # columns of a later edition, or joined to the table
        columns.setdefault(meaning, [] if meaning in ("label", "diagnosis") else _there(list(names), own))
    one_hot = {own[_key(column)]: dx for column, dx in layout.one_hot.items() if _key(column) in own}
    decided_by: str = layout.decided_by
    if "label" in picked or "diagnosis" in picked:  # the user says what decides
        decided_by = "label" if "label" in picked else "diagnosis"
        columns["label"] = [] if "label" not in picked else columns.get("label", [])
        one_hot = {}
    columns = {meaning: names for meaning, names in (columns | picked).items() if names}
    return Reading(name, columns, one_hot, layout.one_hot_none, dict(layout.words), decided_by, layout.policy)


def perhaps_patient(header: Sequence[str]) -> str:
    """A column that by its name may hold patients, and is not one of the usual names; empty where there is none."""
    return next((name for name in header if _key(name) in _PATIENT or _PATIENT_LIKE.fullmatch(_key(name))), "")


def no_image_column(header: Sequence[str], source: str) -> DataError:
    """The error of a table in which no column names the image."""
    near = _nearest(header, USUAL["image_id"]) or (header[0] if header else "")
    return DataError(
        f"{source}: no column names the image; received {_some(header)}; expected one of "
        f"{', '.join(USUAL['image_id'][:7])}, or set columns: {{image_id: {near}}}{_one_column(header)}"
    )


def no_label_column(header: Sequence[str], source: str) -> DataError:
    """The error of a table in which no column says a label or diagnosis."""
    meant = {_key(one) for meaning in USUAL if meaning not in ("label", "diagnosis") for one in USUAL[meaning]}
    free = [name for name in header if _key(name) not in meant]  # dx_type says how a diagnosis was made, not which
    near = _nearest(free, (*USUAL["label"], *USUAL["diagnosis"], "class", "category", "malignant", "type")) or "NAME"
    return DataError(
        f"{source}: no column holds a label or diagnosis; received {_some(header)}; expected dx, diagnosis, label, "
        f"target or a column in capitals per diagnosis with 0 and 1, or set columns: {{label: {near}}}"
        f"{_one_column(header)}"
    )


def _one_column(header: Sequence[str]) -> str:
    return "; separators are comma, semicolon, tab or |" if len(header) == 1 else ""


def _key(name: str) -> str:
    """A column's name as it is compared: `Image ID`, `imageId` and image_id are the same."""
    return re.sub(r"[\W_]+", "", name.lower())


def _names(layout: Layout) -> set[str]:
    return {_key(name) for name in layout.recognised_by or layout.without_header}


def _there(names: str | list[str], own: Mapping[str, str]) -> list[str]:
    wanted = [names] if isinstance(names, str) else names
    return list(dict.fromkeys(own[_key(name)] for name in wanted if _key(name) in own))


def _usual(own: Mapping[str, str], picked: Mapping[str, list[str]]) -> Reading:
    taken = {name for names in picked.values() for name in names}
    free = {lower: name for lower, name in own.items() if name not in taken}
    columns = {meaning: _there(list(names), free) for meaning, names in USUAL.items()} | dict(picked)
    further = [] if "label" in picked else columns["label"][1:]
    columns = {meaning: names[:1] for meaning, names in columns.items()}
    if "label" in picked or "diagnosis" in picked:
        columns |= {meaning: [] for meaning in ("label", "diagnosis") if meaning not in picked}
        further = []
    columns = {meaning: names for meaning, names in columns.items() if names}
    one_hot = {}
    if "label" not in columns and "diagnosis" not in columns:
        codes = [name for name in free.values() if name.isupper() and len(name) <= 8 and name not in _flat(columns)]
        one_hot = {name: name.lower() for name in codes} if len(codes) >= 2 else {}
    return Reading("", columns, one_hot, further_labels=further)


def _flat(columns: Mapping[str, list[str]]) -> set[str]:
    return {name for names in columns.values() for name in names}


def _column(meaning: str, name: str, header: Sequence[str], source: str) -> str:
    if meaning not in MEANINGS:
        near = difflib.get_close_matches(meaning, MEANINGS, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise ConfigError(f"columns: received the meaning {meaning!r}; {hint}allowed are {', '.join(MEANINGS)}")
    own = {_key(one): one for one in header} | {one.lower(): one for one in header}
    wanted = name.strip().lower()
    found = own.get(wanted) or own.get(_key(wanted) or wanted)
    if found is None:
        near_names = dict.fromkeys(own[one] for one in difflib.get_close_matches(wanted, own, n=3, cutoff=0.5))
        hint = f"did you mean {' or '.join(near_names)}? " if near_names else ""
        raise ConfigError(f"columns.{meaning}: {source} has no column {name!r}; {hint}it has {_some(header)}")
    return found


def _nearest(header: Sequence[str], wanted: Sequence[str]) -> str:
    """The column whose name is most like one of the wanted ones; empty where none is."""
    lower = {name.lower(): name for name in header if name}
    scored = [
        (difflib.SequenceMatcher(None, have, want).ratio() + (want in have or have in want), name)
        for have, name in lower.items()
        for want in wanted
    ]
    best = max(scored, default=(0.0, ""))
    return best[1] if best[0] >= 0.6 else ""


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - 20} more" if len(names) > 20 else ""
    return ", ".join(name[:40] for name in names[:20]) + more


def describe() -> str:
    """The reference page of all layouts, in Markdown."""
    lines = [_HEAD]
    for name, layout in layouts().items():
        lines += [f"## {layout.title}", "", layout.about, ""] if layout.about else [f"## {layout.title}", ""]
        lines += ["| meaning | column |", "|---|---|"]
        for meaning, names in layout.columns.items():
            shown = [names] if isinstance(names, str) else names
            lines.append(f"| {meaning} | {', else '.join(f'`{one}`' for one in shown)} |")
        if layout.one_hot:
            codes = ", ".join(f"`{column}`" for column in layout.one_hot)
            zeros = f"; a row of zeros is {layout.one_hot_none}" if layout.one_hot_none else ""
            lines.append(f"| diagnosis | one column each: {codes}{zeros} |")
        known = ", ".join(f"`{one}`" for one in layout.recognised_by) or "two columns without a header"
        policy = f", with label policy `{layout.policy}`" if layout.decided_by == "diagnosis" else ""
        lines += ["", f"Layout `{name}`, recognised by {known}. The {layout.decided_by} decides{policy}.", ""]
        lines += [f"Source: {layout.source}.", ""]
    meanings = [
        f"| {meaning} | {text} | {', '.join(f'`{name}`' for name in USUAL[meaning])} |"
        for meaning, text in MEANINGS.items()
    ]
    return "\n".join([*lines, _OTHER_TABLES, *meanings]) + "\n"


_HEAD = """# Table layouts

Generated from `components/ingest/table_layouts` by `make reference`; a test compares the two. To
add a layout, add a YAML file there and a fixture to `tests/components/ingest/test_layouts.py`, and generate this page
again.
"""
_OTHER_TABLES = """## Any other table

is read by the usual names of its columns, or by the parameter `columns`, which says for each meaning the column:
`columns: {image_id: filename, label: class, patient_id: case}` in a preset, or `--set 'columns={image_id: filename}'`.
Columns that mean nothing here are carried along as text, in lower case, for a split of your own.

| meaning | what | usual names |
|---|---|---|"""


if __name__ == "__main__":
    sys.stdout.write(describe())
