"""The kinds of values in a cluster file: quantities, names and addresses as Kubernetes and KFP take them."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator

_MEBIBYTE = 1024**2
_CPUS, _CPU_WORDS = (Decimal("0.001"), Decimal(1024)), "CPUs from 0.001 to 1024, such as 2, 0.5 or 500m"
_BYTES, _BYTE_WORDS = (Decimal(_MEBIBYTE), Decimal(1024**5)), "bytes from 1Mi to 1Pi, such as 4Gi, 1.5Gi or 512Mi"


def _matching(pattern: str, words: str) -> Callable[[str], str]:
    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError(f"allowed: {words}")
        return value

    return check


def _quantity(value: object, limits: tuple[Decimal, Decimal], words: str) -> Decimal:
    from kubernetes.utils.quantity import parse_quantity  # a third of a second, which most commands can do without

    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"allowed: {words}")
    try:
        amount = Decimal(parse_quantity(str(value).strip()))
    except (ValueError, ArithmeticError) as error:
        raise ValueError(f"allowed: {words}") from error
    if not amount.is_finite() or not limits[0] <= amount <= limits[1]:
        raise ValueError(f"that is {f'{amount:f}'[:40]}; allowed: {words}")
    return amount


def _cpu(value: object) -> str:
    """CPUs as kfp takes them: a number, or whole thousandths with an `m`."""
    thousandths = _quantity(value, _CPUS, _CPU_WORDS) * 1000
    whole = thousandths.to_integral_value()
    if whole != thousandths:
        raise ValueError(f"that is {thousandths:f}m; allowed: {_CPU_WORDS}, whole thousandths")
    return f"{whole / 1000:f}" if whole % 1000 == 0 else f"{whole:f}m"


def _memory(value: object) -> str:
    """Bytes as kfp takes them: an integer with the largest binary suffix that fits, rounded up to a byte."""
    amount = int(_quantity(value, _BYTES, _BYTE_WORDS).to_integral_value(rounding="ROUND_CEILING"))
    for suffix, power in (("Ti", 4), ("Gi", 3), ("Mi", 2), ("Ki", 1)):
        if amount % 1024**power == 0:
            return f"{amount // 1024**power}{suffix}"
    return str(amount)


def _server(value: str) -> str:
    """The address of a server, with what is wrong about it named where that is one thing."""
    words = "http:// or https:// with a host and perhaps a port, without name, password and path (empty for none)"
    pattern = r"(https?://[^\s/@?#]+)?"
    if re.fullmatch(pattern, value):
        return value
    faults = {
        "a slash at the end": value.rstrip("/"),
        "a space around it": value.strip(),
        "capital letters in http": re.sub(r"^\w+://", lambda found: found[0].lower(), value),
        "no http:// in front": f"http://{value}",
    }
    fault = next((f"it has {name}; " for name, right in faults.items() if re.fullmatch(pattern, right)), "")
    raise ValueError(f"{fault}allowed: {words}")


Cpu = Annotated[str, BeforeValidator(_cpu)]
Memory = Annotated[str, BeforeValidator(_memory)]
ObjectName = Annotated[
    str,
    AfterValidator(
        _matching(
            r"([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?)?",
            "the name of a Kubernetes object: small letters, digits, - and . (empty for none)",
        )
    ),
]
LabelKey = Annotated[
    str,
    AfterValidator(
        _matching(
            r"([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?",
            "a Kubernetes key such as team or example.com/team",
        )
    ),
]
LabelValue = Annotated[
    str,
    AfterValidator(
        _matching(
            r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?",
            "a label value of at most 63 letters, digits, -, _ and .; quote numbers and true/false",
        )
    ),
]
ServerUrl = Annotated[str, AfterValidator(_server)]
ObjectUri = Annotated[
    str, AfterValidator(_matching(r"((gs|s3)://[^\s]+)?", "a gs:// or s3:// folder (empty for none)"))
]
MountPath = Annotated[
    str, AfterValidator(_matching(r"/[^\s:]+", "an absolute path without spaces and colons, such as /data"))
]
FileName = Annotated[
    str, AfterValidator(_matching(r"[-._a-zA-Z0-9]+", "a file name of letters, digits, -, _ and ., such as key.json"))
]
Region = Annotated[
    str, AfterValidator(_matching(r"[-a-z0-9]*", "small letters, digits and -, such as eu-west-1 (empty for none)"))
]
ResourceName = Annotated[
    str,
    AfterValidator(
        _matching(
            r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?",
            "an extended resource with its domain, such as nvidia.com/gpu or amd.com/gpu",
        )
    ),
]
