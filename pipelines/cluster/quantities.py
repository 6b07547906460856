"""Kubernetes quantities as numbers: `500m`, `4Gi`, `2`."""

from __future__ import annotations

import re
from decimal import Decimal

_SUFFIX = {"": Decimal(1), "n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3")}
_SUFFIX |= {suffix: Decimal(1000) ** power for power, suffix in enumerate(("k", "M", "G", "T", "P", "E"), 1)}
_SUFFIX |= {suffix: Decimal(1024) ** power for power, suffix in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), 1)}
_QUANTITY = re.compile(r"^([+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?)([a-zA-Z]{0,2})$")


def number(quantity: str | int | float | None) -> Decimal:
    """The value of a quantity; 0 for none.

    >>> number("500m"), number("4Gi"), number(None)
    (Decimal('0.500'), Decimal('4294967296'), Decimal('0'))

    Raises:
        ValueError: not a quantity.
    """
    if quantity is None:
        return Decimal(0)
    found = _QUANTITY.match(str(quantity).strip())
    if found is None or found[2] not in _SUFFIX:
        raise ValueError(f"{quantity!r} is no Kubernetes quantity such as 500m or 4Gi")
    return Decimal(found[1]) * _SUFFIX[found[2]]


def gibibytes(value: Decimal) -> str:
    """A number of bytes in GiB, for people."""
    return f"{value / 1024**3:.1f} GiB"
