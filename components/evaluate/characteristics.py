"""Table 1: who is in training, validation and test."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pandas as pd

from components.common.artifacts.characteristics import Age, Characteristic, Characteristics, Level, Units
from components.common.artifacts.lineage import SplitName
from components.common.artifacts.split import Split
from components.common.statistics.age_bands import UNKNOWN, age_band
from components.evaluate.subgroups import TEXT_COLUMNS, pooled, rank, text_values

_NAMES: tuple[SplitName, ...] = get_args(SplitName)


def characteristics(split: Split) -> Characteristics:
    """Counts the usable images of each split by every column that slices are cut by."""
    rows = pd.concat([split.usable(name) for name in _NAMES], ignore_index=True)
    patients = "patient_id" in rows and bool((rows["patient_id"].fillna("") != "").any())
    columns, absent = [], []
    values = {"age": age_band(rows["age"].to_numpy())} if "age" in rows else {}
    values |= {name: text_values(rows[column].to_numpy()) for name, column in TEXT_COLUMNS.items() if column in rows}
    for name in ("age", *TEXT_COLUMNS):
        if name in values and (values[name] != UNKNOWN).any():
            columns.append(_characteristic(rows, name, pd.Series(pooled(values[name])), patients))
        else:
            absent.append(name)
    return Characteristics(
        all=_by_split(rows, pd.Series(True, rows.index), patients),
        malignant=_by_split(rows, rows["label"] == 1, patients),
        age={name: _age(rows.loc[rows["split"] == name, "age"]) for name in _NAMES} if "age" in rows else {},
        columns=columns,
        absent=absent,
    )


def _characteristic(rows: pd.DataFrame, name: str, values: pd.Series, patients: bool) -> Characteristic:
    counts = {UNKNOWN: 0} | {
        str(value): int(n) for value, n in values.value_counts().items()
    }  # what is missing is counted, also where nothing is
    ordered = sorted(counts, key=lambda value: rank(name, value, counts[value]))
    levels = [Level(value=value, counts=_by_split(rows, values == value, patients)) for value in ordered]
    return Characteristic(name=name, levels=levels)


def _by_split(rows: pd.DataFrame, among: pd.Series, patients: bool) -> dict[SplitName, Units]:
    return {name: _units(rows[among & (rows["split"] == name)], patients) for name in _NAMES}


def _units(part: pd.DataFrame, patients: bool) -> Units:
    known = part.loc[part["patient_id"].fillna("") != "", "patient_id"].nunique() if patients else None
    return Units(images=len(part), lesions=part["lesion_id"].nunique(), patients=known)


def _age(years: pd.Series) -> Age:
    known = years[np.isfinite(years) & (years > 0)]  # 0 is unknown as well, as in the bands
    if known.empty:
        return Age(lower=None, median=None, upper=None)
    lower, median, upper = (float(known.quantile(q)) for q in (0.25, 0.5, 0.75))
    return Age(lower=lower, median=median, upper=upper)
