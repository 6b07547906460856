"""Verdicts about rows: which label a row has, and whether rows contradict each other.

Rules: where a table has diagnoses, the label policy decides by them, and rows whose diagnosis it does not know take
the table's label, if it has one. Where the table's layout says that the label decides, it is the other way round. A row
with neither gives unknown_diagnosis, a diagnosis that the policy excludes excluded_diagnosis (left out on purpose, so
not lost). A diagnosis that the policy does not know and many rows have stops the run: a class must not vanish.

Where images of one lesion, or files with the same bytes, have different labels, all of them get
conflicting_diagnosis: nobody can say which is right.
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from components.common.artifacts.index import Verdict
from components.common.runtime.errors import DataError
from components.common.runtime.words import counted
from components.ingest import values
from components.ingest.labels import AUTO, LabelPolicy, load_label_policy, policies_that_know
from components.ingest.tables import Table

# Rows with the same unknown diagnosis that are more than typing errors; two are enough where another policy
# knows it.
A_CLASS = 10
_UNDECIDED = ("indeterminate", "uncertain", "equivocal", "undetermined", "borderline")
_SHOWN = 5


def policy_of(name: str, table: Table) -> LabelPolicy:
    """The label policy of that name; `auto` is the one that fits the table."""
    return load_label_policy(table.reading.policy if name == AUTO else name)


def label_rows(
    table: Table, policy: LabelPolicy, *, chosen: bool, unknown_classes: bool = False
) -> tuple[pd.DataFrame, list[str]]:
    """The label of each row.

    Args:
        table: with `dx`, `said` and `stated_label`.
        policy: what it says of diagnoses.
        chosen: whether the user named the policy: it then decides wherever it knows the diagnosis.
        unknown_classes: whether a whole class may be unknown to the policy; its rows are then without a label.

    Returns:
        label (1 malignant, 0 benign, -1 none), verdict and reason (both empty where the row has a label), and notes.

    Raises:
        DataError: nothing in the table is a label, or a whole class of it is unknown to the policy.
    """
    rows = table.rows
    distinct = rows["dx"].unique()
    known = {dx: policy.knows(dx) for dx in distinct}
    by_policy = rows["dx"].map({dx: policy.label(dx) for dx in distinct}).fillna(-1).astype("int8")
    is_known = rows["dx"].map(known).astype(bool)
    stated = rows["stated_label"]
    both = "diagnosis" in table.reading.columns or bool(table.reading.one_hot)
    label_decides = (table.reading.decided_by == "label" and not chosen) or not both
    if label_decides:
        # a word for neither, in a column of words, is an answer: no diagnosis overrides it
        answered = (rows["said"] != "") if both else pd.Series(False, index=rows.index)
        label = stated.where((stated >= 0) | answered, by_policy)
        excluded = is_known & (by_policy < 0) & (label < 0) & ~answered
        if not chosen and (stated >= 0).mean() > 0.5:  # in a column of words it is an odd one
            excluded &= False
    else:
        label = by_policy.where(is_known, stated)
        excluded = is_known & (by_policy < 0)
    found = pd.DataFrame({"label": label.astype("int8"), "verdict": "", "reason": ""})
    found.loc[excluded, "verdict"] = str(Verdict.EXCLUDED_DIAGNOSIS)
    found.loc[excluded, "reason"] = rows.loc[excluded, "dx"].map(lambda dx: f"policy {policy.name} excludes {dx}")
    unknown = (label < 0) & ~excluded
    # what the row says: its label column where that decides, else its diagnosis
    text = rows["said"].where(rows["said"] != "", rows["dx"]) if label_decides else rows["dx"]
    text = text.where(text != "", rows["said"])
    _refuse_unknown_classes(table, policy, text, unknown, found["label"], allowed=unknown_classes)
    labels = "label" in table.reading.columns
    reasons = {one: _unknown(one, policy, labels=labels) for one in text[unknown].unique()}
    found.loc[unknown, "verdict"] = str(Verdict.UNKNOWN_DIAGNOSIS)
    found.loc[unknown, "reason"] = text[unknown].map(reasons)
    left_out = is_known & (by_policy < 0)
    notes = _notes(rows, found["label"], by_policy, left_out, policy, label_decides=label_decides) if both else []
    return found, notes


def conflicts_of_lesions(rows: pd.DataFrame, found: pd.DataFrame) -> list[str]:
    """Marks all images of lesions with different labels in `found`; returns notes."""
    labelled = rows[["lesion_id", "image_id", "dx"]].assign(label=found["label"])[found["label"] >= 0]
    by_lesion = labelled.groupby("lesion_id", sort=False)[["label", "dx"]].nunique()
    conflicting = by_lesion.index[by_lesion["label"] > 1]
    for lesion, images in labelled[labelled["lesion_id"].isin(conflicting)].groupby("lesion_id", sort=False):
        named = [f"{dx} ({image_id})" for dx, image_id in zip(images["dx"], images["image_id"], strict=True)]
        more = f" and {len(named) - 20} more" if len(named) > 20 else ""
        reason = f"images of lesion {lesion} have different labels: {', '.join(named[:20])}{more}"
        found.loc[images.index, ["verdict", "reason"]] = (str(Verdict.CONFLICTING_DIAGNOSIS), reason)
    several = by_lesion.index[(by_lesion["label"] == 1) & (by_lesion["dx"] > 1)]
    notes = []
    if len(several):
        number = counted(len(several), "lesion")
        notes.append(f"{number} with several diagnoses of the same label, the first is {several[0]}")
    largest = labelled["lesion_id"].value_counts()
    if len(largest) > 1 and len(rows) >= 20 and largest.iloc[0] > len(rows) / 10:
        notes.append(
            f"lesion {largest.index[0]} holds {largest.iloc[0]} of {len(rows)} images, which stay together in a split; "
            "check that this is an id and not a word for a missing one"
        )
    return notes


def conflicts_of_bytes(rows: pd.DataFrame, found: pd.DataFrame, sha256: pd.Series[str]) -> list[str]:
    """Marks images with the same bytes and different labels in `found`; returns notes.

    Args:
        rows: rows of the table.
        found: label, verdict and reason of each row.
        sha256: of each image's bytes; empty where they are not an image that can be read.
    """
    known = rows[["image_id", "dx"]].assign(label=found["label"], sha256=sha256)
    known = known[(known["label"] >= 0) & (known["sha256"] != "")]
    known = known[known["sha256"].duplicated(keep=False)]
    conflicting = same = 0
    first = ""
    for _, images in known.groupby("sha256", sort=False):
        if images["label"].nunique() == 1:
            same += len(images)
            first = first or str(images["image_id"].iloc[0])
            continue
        named = ", ".join(f"{dx} ({one})" for dx, one in zip(images["dx"], images["image_id"], strict=True))
        reason = f"files with the same bytes have different labels: {named}"
        found.loc[images.index, ["verdict", "reason"]] = (str(Verdict.CONFLICTING_DIAGNOSIS), reason)
        conflicting += len(images)
    notes = []
    if conflicting:
        notes.append(f"{conflicting} images have the same bytes as one with another label and are left out")
    if same:
        notes.append(f"{same} images have the same bytes as another one of the table, the first is {first}")
    return notes


def _refuse_unknown_classes(
    table: Table,
    policy: LabelPolicy,
    text: pd.Series[str],
    unknown: pd.Series[bool],
    label: pd.Series[int],
    *,
    allowed: bool,
) -> None:
    counts = {str(one): int(n) for one, n in text[unknown & (text != "")].value_counts().items()}
    column = (table.reading.columns.get("label") or table.reading.columns.get("diagnosis") or ["the diagnosis"])[0]
    if counts and not (label >= 0).any() and not any(policy.knows(one) for one in text.unique() if one):
        shown = ", ".join(f"{one!r} ({counted(n, 'row')})" for one, n in list(counts.items())[:_SHOWN])
        raise DataError(
            f"column {column}: no value says benign or malignant, and policy {policy.name} knows none: received "
            f"{shown}; accepted are {values.UNDERSTOOD} and the diagnoses of a label policy{_who_knows(counts)}; "
            "for other words write a policy, a YAML file with name, version, about, malignant, benign and excluded, "
            "and give it as label_policy"
        )
    classes = {
        one: n
        for one, n in counts.items()
        if not one.startswith(_UNDECIDED) and (n >= A_CLASS or (n >= 2 and policies_that_know(one)))
    }
    if classes and not allowed:
        each = "; ".join(
            f"{n} rows say {one.upper() if len(one) <= 8 else one}: {_advice(one)}"
            for one, n in list(classes.items())[:_SHOWN]
        )
        raise DataError(
            f"column {column}: a whole class of the table is unknown to policy {policy.name}. {each}. Choose a "
            "label_policy, or write one of your own that lists it as malignant, benign or excluded"
        )


def _advice(dx: str) -> str:
    names = policies_that_know(dx)
    if not names:
        return "no policy that comes with lesionflow knows it"
    return f"polic{'y' if len(names) == 1 else 'ies'} {', '.join(names)} know{'s' if len(names) == 1 else ''} it"


def _who_knows(diagnoses: Mapping[str, int]) -> str:
    names = sorted({name for dx in list(diagnoses)[:20] for name in policies_that_know(dx)})
    return f" (some are known to {', '.join(names)})" if names else ""


def _unknown(text: str, policy: LabelPolicy, *, labels: bool) -> str:
    if not text:
        return "the table has no label here" if labels else "the table has no diagnosis here"
    if text.startswith(_UNDECIDED):
        return f"{text!r} is neither benign nor malignant"
    known = ", ".join((*policy.malignant, *policy.benign, *policy.excluded))
    others = policies_that_know(text)
    hint = f"; {_advice(text)}" if others else ""
    label = f"is not a label ({values.UNDERSTOOD}), nor" if labels else "is not"
    return f"{text!r} {label} in policy {policy.name} ({known}){hint}"


def _notes(
    rows: pd.DataFrame,
    label: pd.Series[int],
    by_policy: pd.Series[int],
    left_out: pd.Series[bool],
    policy: LabelPolicy,
    *,
    label_decides: bool,
) -> list[str]:
    """What is to be said of a table that has diagnoses and labels."""
    stated = rows["stated_label"]
    if not (stated >= 0).any():
        return []
    other = rows.loc[(stated >= 0) & (by_policy >= 0) & (stated != by_policy), "image_id"]
    decides = "the label decides" if label_decides else f"policy {policy.name} decides by the diagnosis"
    against = f"policy {policy.name}" if label_decides else "the table's label"
    note = f"the table has diagnoses and labels; {decides}"
    if len(other):
        note += f", against {against} in {len(other)} rows, the first is {other.iloc[0]}"
    notes = [note]
    excluded = rows.loc[label_decides & (label >= 0) & left_out, "image_id"]
    if len(excluded):
        notes.append(
            f"{counted(len(excluded), 'row')} with a label although policy {policy.name} excludes the "
            f"diagnosis: the first is {excluded.iloc[0]} ({rows.loc[excluded.index[0], 'dx']}); "
            f"label_policy={policy.name} excludes them"
        )
    taken = rows.loc[(by_policy < 0) & (label >= 0), "image_id"]
    if len(taken) and not label_decides:
        notes.append(
            f"{counted(len(taken), 'row')} without a diagnosis that policy {policy.name} knows: the table's label is "
            f"used, the first is {taken.iloc[0]}"
        )
    return notes
