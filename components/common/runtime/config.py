"""Typed, validated step parameters: pydantic models whose errors fit on one line.

Values come from a command line (strings), from YAML, or from KFP (where every number inside a dict
arrives as a float); pydantic's lax mode turns `"32"` and `32.0` into `32` and refuses `32.5`.
"""

from __future__ import annotations

import difflib
import reprlib
import typing
from collections.abc import Iterable, Mapping
from typing import Any, Literal, Self

import annotated_types
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from components.common.runtime.errors import ConfigError

_BOUNDS = {annotated_types.Ge: ("ge", ">="), annotated_types.Gt: ("gt", ">"),
           annotated_types.Le: ("le", "<="), annotated_types.Lt: ("lt", "<")}  # fmt: skip

# a value from a file can be of any size: YAML's aliases make gigabytes of a few lines
_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxlist, _SHORT.maxdict, _SHORT.maxstring, _SHORT.maxother = 3, 8, 8, 200, 200


class StepConfig(BaseModel):
    """Base of every step's parameters: unknown names are refused, values never change, NaN is no number."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, validate_default=True)

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> Self:
        """Validates `values`.

        Raises:
            ConfigError: one line for each bad parameter: its name, what was received, what is allowed.
        """
        try:
            return cls.model_validate(dict(values))
        except ValidationError as error:
            raise ConfigError("\n".join(_line(cls, item) for item in error.errors())) from None


def unknown_name(name: str, known: Iterable[str]) -> str:
    """The line for a parameter nobody knows, with the nearest known name when there is one."""
    names = sorted(known)
    near = difflib.get_close_matches(name.rpartition(".")[2], names, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"unknown parameter {name!r}: {hint}known are {', '.join(names)}"


def allowed(field: FieldInfo) -> str:
    """What a field accepts, in words: `one of a, b`, `a whole number >= 1`, `true or false`."""
    args = typing.get_args(field.annotation)
    options = [a for a in args if a is not type(None)]
    if typing.get_origin(field.annotation) is Literal:
        return "one of " + ", ".join(str(a) for a in args)
    kind = options[0] if len(options) == 1 else field.annotation
    words = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}.get(kind, str(kind))  # type: ignore[arg-type]
    bounds = [
        f"{sign} {_plain(getattr(m, attr))}"
        for m in field.metadata
        for cls, (attr, sign) in _BOUNDS.items()
        if isinstance(m, cls)
    ]
    return " ".join([words, " and ".join(bounds)]).strip() + (" or empty" if type(None) in args else "")


def _plain(number: float) -> str:
    return str(number) if isinstance(number, int) else f"{number:g}"


def _line(cls: type[BaseModel], item: ErrorDetails) -> str:
    name = ".".join(str(part) for part in item["loc"])
    owner, field = _locate(cls, item["loc"])
    if item["type"] == "extra_forbidden":
        return unknown_name(name, owner.model_fields)
    if item["type"] == "missing":
        return f"{name}: missing; give {allowed(field) if field else 'a value'}"
    if item["type"] == "value_error":  # a validator of ours: its message already says what is allowed
        message = str(item["ctx"]["error"])
        return f"{name}: received {_SHORT.repr(item['input'])}; {message}" if name else message
    return f"{name}: received {_SHORT.repr(item['input'])}; allowed: {allowed(field) if field else item['msg']}"


def _locate(cls: type[BaseModel], path: tuple[int | str, ...]) -> tuple[type[BaseModel], FieldInfo | None]:
    """The innermost model on `path` and the field of it that the path ends in, if it ends in one."""
    owner, field, inside = cls, None, False
    for part in path:
        inner = _model_in(field) if field else None
        items = field is not None and typing.get_origin(field.annotation) in (list, dict)
        if inner is not None and items and not inside:
            inside = True  # `part` is the index or the key of an item
            continue
        if inner is not None:
            owner = inner
        elif field is not None:  # a value inside a plain list or mapping
            return owner, None
        field, inside = owner.model_fields.get(str(part)), False
    return owner, field


def _model_in(field: FieldInfo) -> type[BaseModel] | None:
    """The model a field holds, by itself or as the items of a list or the values of a mapping."""
    for kind in (field.annotation, *typing.get_args(field.annotation)):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind
    return None
