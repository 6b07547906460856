"""Licences and kinds of image: counted where the table says them, and filtered by on demand."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd

from components.common.runtime.errors import DataError
from components.ingest.tables import Table
from components.ingest.values import plain

_VERSION = re.compile(r"[\s_-]*v?\d\.\d$")


def keep_only(table: Table, licences: Sequence[str], image_types: Sequence[str]) -> dict[str, Any]:
    """Counts licences and image types, and leaves rows of others than the given ones out of the table.

    Args:
        table: changed where there is something to leave out.
        licences: to keep; all where empty. `CC BY 4.0` and `cc-by` are the same.
        image_types: to keep; all where empty.

    Returns:
        For the account: `licences` and `image_types`, images of the whole table by each, where it says them.

    Raises:
        DataError: the table does not say what is filtered by, or nothing is left.
    """
    account: dict[str, Any] = {}
    for column, parameter, wanted, same in (
        ("licence", "licences", licences, licence),
        ("image_type", "image_types", image_types, plain),
    ):
        if column in table.rows:
            counts = table.rows[column].replace("", "unknown").value_counts()
            account[parameter] = {str(value): int(n) for value, n in sorted(counts.items())}
        if wanted:
            _keep(table, column, parameter, wanted, same)
    return account


def licence(text: str) -> str:
    """A licence as it is compared: without case, separators and version."""
    return re.sub(r"[\s_-]+", "", _VERSION.sub("", plain(text))).replace("creativecommons", "cc")


def _keep(table: Table, column: str, parameter: str, wanted: Sequence[str], same: Callable[[str], str]) -> None:
    if column not in table.rows:
        raise DataError(
            f"{parameter}: received {', '.join(wanted)}, and the table has no column for it; name the column: "
            f"columns: {{{column}: NAME}}, or leave {parameter} empty"
        )
    texts = table.rows[column]
    kinds = {same(one) for one in wanted}
    kept = texts.map({text: same(text) in kinds for text in texts.unique()}).astype(bool)
    if not kept.any():
        raise DataError(
            f"{parameter}: received {', '.join(wanted)}; no image of the table has one of these, it has "
            f"{', '.join(sorted(texts.unique())[:20])}"
        )
    left_out = int((~kept).sum())
    if left_out:
        table.notes.append(f"{left_out} of {len(texts)} images left out: {parameter} keeps only {', '.join(wanted)}")
        table.rows = pd.DataFrame(table.rows[kept]).reset_index(drop=True)
