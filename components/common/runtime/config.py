"""Typed, validated step parameters: pydantic models whose errors fit on one line.

Values come from a command line (strings), from YAML, or from KFP (where every number inside a dict
arrives as a float); pydantic's lax mode turns `"32"` and `32.0` into `32` and refuses `32.5`.
"""

from __future__ import annotations

import re
import reprlib
import types
import typing
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Annotated, Any, Literal, Self

import annotated_types
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from components.common.runtime.errors import ConfigError
from components.common.runtime.secrets import without_secrets

_BOUNDS = {
    annotated_types.Ge: ("ge", ">="),
    annotated_types.Gt: ("gt", ">"),
    annotated_types.Le: ("le", "<="),
    annotated_types.Lt: ("lt", "<"),
}
_WORDS: dict[Any, str] = {
    int: "an integer",
    float: "a number",
    bool: "true or false",
    str: "text",
    Any: "any value",
}

READS = "reads"
_KEY = "[key]"  # what pydantic puts behind the key of a mapping that it refuses
# a value from a file can be of any size: YAML's aliases make gigabytes of a few lines
_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxlist, _SHORT.maxdict, _SHORT.maxstring, _SHORT.maxother = 2, 6, 8, 200, 200


def _digest(value: str) -> str:
    if value and not re.fullmatch(r"[0-9a-fA-F]{64}", value):
        raise ValueError("allowed: 64 hexadecimal digits, as `lesionflow bundle verify` prints them, or empty")
    return value


BundleDigest = Annotated[
    str,
    AfterValidator(_digest),
    Field(
        description="the digest that the bundle must have, received separately from it; empty asks for none",
    ),
]


class StepConfig(BaseModel):
    """Base of every step's parameters: unknown names are refused, values never change, NaN is not a number."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, validate_default=True)

    @model_validator(mode="before")
    @classmethod
    def _nothing_is_empty_text(cls, values: Any) -> Any:
        """YAML reads `name:` and `--set name=` as null; for a text that is the empty text."""
        if not isinstance(values, dict):
            return values
        texts = {name for name, field in cls.model_fields.items() if field.annotation is str}
        return {name: "" if value is None and name in texts else value for name, value in values.items()}

    @field_validator("*", mode="before")
    @classmethod
    def _a_truth_value_is_not_a_number(cls, value: Any, info: ValidationInfo) -> Any:
        """YAML reads `yes` and `true` as a truth value, which pydantic would take for 1: one epoch, learning rate 1."""
        field = cls.model_fields[info.field_name or ""]
        kinds = {field.annotation, *typing.get_args(field.annotation)}
        if isinstance(value, bool) and kinds & {int, float} and bool not in kinds:
            raise ValueError(f"allowed: {allowed(field)}")
        return value

    @classmethod
    def parse(cls, values: Mapping[str, Any], names: Mapping[str, str] | None = None) -> Self:
        """Validates `values`.

        Args:
            values: by the names of the fields. The entry `reads` is left out: it holds digests of what the step will
                read from outside, which make a difference to a cache and none to the step.
            names: what errors call a field, where its user knows it by another name than its own.

        Raises:
            ConfigError: one line for each bad parameter: its name, what was received, what is allowed.
        """
        try:
            return cls.model_validate({name: value for name, value in values.items() if name != READS})
        except ValidationError as error:
            lines = [_line(cls, item, names or {}) for item in error.errors() if not _counts_refused(item)]
            raise ConfigError("\n".join(lines)) from error


def nearest(word: str, known: Iterable[str]) -> str:
    """The known word that `word` was probably meant to be; empty when none is near.

    Case, hyphens, underscores and the part before a dot do not count, and the initials of a name stand for it.

    >>> nearest("ResNet-50", ["small_cnn", "resnet50"])
    'resnet50'
    >>> nearest("lr", ["epochs", "learning_rate"])
    'learning_rate'
    """
    plain = {name: _plain(name.rpartition(".")[2]) for name in known}
    wanted = _plain(word.rpartition(".")[2])
    for name, text in plain.items():
        if wanted and wanted == text:
            return name
    for name in plain:
        if len(wanted) > 1 and wanted == "".join(part[:1] for part in re.split(r"[_-]", name.rpartition(".")[2])):
            return name
    near = get_close_matches(wanted, plain.values(), n=1)
    return next((name for name, text in plain.items() if near and text == near[0]), "")


def one_of(value: str, known: Iterable[str]) -> str:
    """What an error says is allowed where `value` is none of the `known` words, with the one probably meant."""
    names = list(known)
    return f"{_did_you_mean(value, names)}allowed: one of {', '.join(names)}"


def unknown_name(name: str, known: Iterable[str]) -> str:
    """The line for a parameter nobody knows, with the nearest known name when there is one."""
    names = sorted(known)
    return f"unknown parameter {name!r}: {_did_you_mean(name, names)}known are {', '.join(names)}"


def allowed(field: FieldInfo) -> str:
    """What a field accepts, in words: `one of a, b`, `an integer >= 1`, `true or false`."""
    bounds = [
        f"{sign} {_number(getattr(m, attr))}"
        for m in field.metadata
        for cls, (attr, sign) in _BOUNDS.items()
        if isinstance(m, cls)
    ]
    options = [a for a in typing.get_args(field.annotation) if a is not type(None)]
    optional = len(options) < len(typing.get_args(field.annotation))
    kind = options[0] if optional and len(options) == 1 else field.annotation
    text = " ".join([_in_words(kind), " and ".join(bounds)]).strip()
    return text + (" or empty" if optional else "")


def _in_words(kind: Any) -> str:
    """A type as a person would say it: `a list of text`, never the type's own name."""
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin is Literal:
        return "one of " + ", ".join(str(a) for a in args)
    if origin is typing.Annotated:
        return _in_words(args[0])
    if origin is types.UnionType:
        return " or ".join(_in_words(one) for one in args if one is not type(None))
    if origin in (list, tuple):
        if typing.get_origin(args[0]) is Literal:
            return f"a list, each entry {_in_words(args[0])}"
        inner = _in_words(args[0]).removeprefix("an ").removeprefix("a ")
        plural = {"integer": "integers", "number": "numbers", "mapping of names to values": "mappings"}
        return f"a list of {plural.get(inner, inner)}"
    is_mapping = origin is dict or kind is dict or (isinstance(kind, type) and issubclass(kind, BaseModel))
    return "a mapping of names to values" if is_mapping else _WORDS.get(kind, "a value of another kind")


def _did_you_mean(word: str, known: Iterable[str]) -> str:
    near = nearest(word, known)
    return f"did you mean {near!r}? " if near else ""


def _plain(word: str) -> str:
    return re.sub(r"[^a-z0-9]", "", word.lower())


def _number(number: float) -> str:
    return str(number) if isinstance(number, int) else f"{number:g}"


def _counts_refused(item: ErrorDetails) -> bool:
    """Whether a tuple is called too short only because its refused entries, each with its own line, do not count."""
    return item["type"] == "too_short" and item["ctx"]["actual_length"] < len(item["input"])


def _line(cls: type[BaseModel], item: ErrorDetails, names: Mapping[str, str]) -> str:
    name = ".".join(str(part) for part in item["loc"] if part != _KEY)
    first, dot, rest = name.partition(".")
    name = names.get(first, first) + dot + rest
    owner, field = _locate(cls, item["loc"])
    if item["type"] == "extra_forbidden":
        return unknown_name(name, owner.model_fields)
    if item["type"] == "missing":
        return f"{name}: missing; give {allowed(field) if field else 'a value'}"
    given = item["input"]
    received = f"{name}: received {'nothing' if given is None else without_secrets(_SHORT.repr(given))}"
    if item["type"] == "value_error":  # a validator of ours: its message already says what is allowed
        said = _with_names(str(item["ctx"]["error"]), cls, names)
        return f"{received}; {said}" if name else said
    if item["loc"][-1:] == (_KEY,) and item["type"] == "literal_error":
        known = re.findall(r"'([^']*)'", item["ctx"]["expected"])
        return f"{received}; {one_of(str(given), known)}"
    return received + (_expected(item, field) if field else f"; allowed: {item['msg']}")


def _expected(item: ErrorDetails, field: FieldInfo) -> str:
    """The end of a line: what the field takes instead of what it was given."""
    given, words = item["input"], allowed(field)
    if item["type"] == "literal_error" and isinstance(given, str):
        kind = next((k for k in (field.annotation, *typing.get_args(field.annotation)) if _is_literal(k)), None)
        return f"; {one_of(given, map(str, typing.get_args(kind)))}"
    if item["type"] in ("list_type", "dict_type") and isinstance(given, str):
        form = "[first, second]" if item["type"] == "list_type" else "{name: value}"
        return f", which is one text; allowed: {words}, written as {form}"
    if item["type"] == "string_type" and isinstance(given, int | float):
        example = "" if isinstance(given, bool) else f": '{given}'"  # YAML has read `no` as false
        return f", which is not text; write it in quotes{example}"
    if item["type"] in ("string_too_short", "too_short"):
        return f", which is empty; allowed: {words}, at least one"
    if item["type"] == "string_too_long":
        return f", which has {len(given)} characters; allowed: {words}, at most {item['ctx']['max_length']} characters"
    return f"; allowed: {words}"


def _is_literal(kind: Any) -> bool:
    return typing.get_origin(kind) is Literal


def _with_names(message: str, cls: type[BaseModel], names: Mapping[str, str]) -> str:
    """A validator writes `{field}` where it means a parameter: its user may know that by another name."""
    return re.sub(
        r"\{(\w+)\}",
        lambda found: names.get(found[1], found[1]) if found[1] in cls.model_fields else found[0],
        message,
    )


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
            return owner, field  # what the whole takes is what can be said
        field, inside = owner.model_fields.get(str(part)), False
    return owner, field


def _model_in(field: FieldInfo) -> type[BaseModel] | None:
    """The model a field holds, by itself or as the items of a list or the values of a mapping."""
    for kind in (field.annotation, *typing.get_args(field.annotation)):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind
    return None
