"""JSON documents: read within limits and held against their schema, written whole.

A document may come from anybody who can write to the store, so it is refused where it is larger or deeper than any of
ours, says a key twice, or holds a number that is not finite.
"""

from __future__ import annotations

import json
import math
import reprlib
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, ClassVar, Never, Self, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    Strict,
    TypeAdapter,
    ValidationError,
    model_serializer,
    model_validator,
)

from components.common.runtime.errors import ArtifactError

MOST_BYTES = 4 * 2**20
LARGE_BYTES = 256 * 2**20  # of documents with an entry per image
_MOST_CONTAINERS = 50_000  # in one of at most MOST_BYTES: a hundred bytes of memory for two of text
_MOST_DEPTH = 64

T = TypeVar("T")
Number = Annotated[float, Strict()]
Count = Annotated[int, Strict(), Field(ge=0)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Document(BaseModel):
    """Base of documents and of their parts: unknown fields are refused, values never change, NaN is not a number."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class FileDocument(Document):
    """Base of documents with a file of their own; they say their schema there and wherever they are part of another.

    Attributes:
        FILE: name of the file.
        SCHEMA: what it must say.
        WAY_OUT: what to do where a file does not fit.
    """

    FILE: ClassVar[str]
    SCHEMA: ClassVar[str]
    WAY_OUT: ClassVar[str] = "export the bundle again"

    @model_validator(mode="before")
    @classmethod
    def _without_schema(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        if value.get("schema", cls.SCHEMA) != cls.SCHEMA:
            raise ValueError(f"expected schema {cls.SCHEMA!r}, received {shown(value['schema'])}")
        return {name: one for name, one in value.items() if name != "schema"}

    @model_serializer(mode="wrap")
    def _with_schema(self, fields: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        return {"schema": self.SCHEMA, **fields(self)}

    def save(self, folder: Path) -> None:
        """Writes the file into `folder`; what was not given is not in it."""
        write_json(folder / self.FILE, self.model_dump(mode="json", exclude_unset=True))

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Reads the file in `folder`.

        Raises:
            ArtifactError: missing, not such a file, or a field is missing or of another type.
        """
        return read_record(folder / cls.FILE, cls.SCHEMA, cls, cls.WAY_OUT)


def dump_json(value: Any) -> str:
    """JSON with sorted keys; refuses NaN and infinity, which other readers would choke on.

    Raises:
        ValueError: a non-finite number.
        TypeError: a value that JSON does not know (a NumPy scalar, for example).
    """
    return json.dumps(value, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n"


def write_atomic(path: Path, data: bytes | str) -> None:
    """Writes a file under a scratch name beside it, then renames it into place."""
    scratch = path.with_name(f".{secrets.token_hex(6)}.partial")
    content = data.encode() if isinstance(data, str) else data
    try:
        scratch.write_bytes(content)
        scratch.replace(path)
    except BaseException as error:
        scratch.unlink(missing_ok=True)
        if isinstance(error, OSError):
            error.filename = str(path)
            error.add_note(f"{len(content):,} bytes are needed")
        raise


def write_json(path: Path, value: Any) -> None:
    """Writes `dump_json(value)` atomically."""
    write_atomic(path, dump_json(value))


def read_json(path: Path, schema: str, *, most: int = MOST_BYTES) -> dict[str, Any]:
    """Reads a JSON object whose `schema` field must be `schema`.

    Args:
        path: of the file.
        schema: what it must say.
        most: bytes it may have; above MOST_BYTES the number of its lists and objects is not limited either.

    Raises:
        ArtifactError: the file is missing, too large, not a JSON object, or has another schema.
    """
    value = _document(path, schema, most)
    received = value.get("schema") if isinstance(value, dict) else type(value).__name__
    if received != schema:
        raise ArtifactError(f"{path}: expected schema {schema!r}, received {shown(received)}")
    return dict(value)


def read_object(path: Path, *, most: int = MOST_BYTES) -> dict[str, Any]:
    """Reads a JSON object of any schema.

    Raises:
        ArtifactError: the file is missing, too large or not a JSON object.
    """
    value = _document(path, "JSON", most)
    if not isinstance(value, dict):
        raise ArtifactError(f"{path}: expected a JSON object, received {type(value).__name__}")
    return value


def read_record(
    path: Path, schema: str, kind: type[T], way_out: str, *, most: int = MOST_BYTES, complete: bool = False
) -> T:
    """Reads a JSON object of a schema into a dataclass or pydantic model.

    Args:
        path: of the file.
        schema: what it must say.
        kind: the class; fields that it does not know are ignored where it allows that.
        way_out: what to do where the file does not fit, for the error.
        most: bytes it may have.
        complete: for a dataclass: fields with a default must be there as well.

    Raises:
        ArtifactError: one line with the file and the field that is missing or of another type.
    """
    value = read_json(path, schema, most=most)
    del value["schema"]
    for name in getattr(kind, "__dataclass_fields__", ()) if complete else ():
        if name not in value:
            raise ArtifactError(f"{path}: {name}: missing; {way_out}")
    try:
        return TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(_printable(str(part)) for part in first["loc"]) or kind.__name__
        what = "missing" if first["type"] == "missing" else f"{first['msg']}, received {shown(first['input'])}"
        raise ArtifactError(f"{path}: {where}: {what}; {way_out}") from error
    except ArtifactError as error:  # of a check of its own
        raise ArtifactError(f"{path}: {error}") from error


def shown(value: Any) -> str:
    """A value from outside as an error shows it: short, on one line, without control characters."""
    return _SHORT.repr(value)


def _document(path: Path, what: str, most: int) -> Any:
    try:
        return parse_json(_content(path, most), most)
    except FileNotFoundError as error:
        raise ArtifactError(f"{path}: no such file; expected a {what} file there") from error
    except (ValueError, OSError, RecursionError) as error:
        raise ArtifactError(f"{path}: not readable as JSON ({_one_line(error)})") from error


def _content(path: Path, most: int) -> bytes:
    if path.exists() and not path.is_file():  # reading a pipe would wait for ever
        raise ValueError("it is not a file")
    with path.open("rb") as handle:
        data = handle.read(most + 1)
    if len(data) > most:
        raise ValueError(f"it has more than {most} bytes, expected {most} at most")
    return data


def parse_json(data: bytes, most: int = MOST_BYTES) -> Any:
    """A JSON value of any type, from bytes that came from outside.

    Raises:
        ValueError: not JSON in UTF-8, a number that is not finite, a key twice, too deep, or too many lists and objects
            for a document of `most` bytes.
        RecursionError: far too deep.
    """
    containers = data.count(b"[") + data.count(b"{")
    if most <= MOST_BYTES and containers > _MOST_CONTAINERS:
        raise ValueError(f"it has {containers} lists and objects, expected {_MOST_CONTAINERS} at most")
    value = json.loads(data.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_not_finite, parse_float=_finite)
    if b"\\u" in data:  # half of a surrogate pair cannot be written anywhere
        json.dumps(value, ensure_ascii=False).encode()
    _check_depth(value)
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"key {shown(next(name for name in names if names.count(name) > 1))} occurs twice")
    return found


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:20]} is not a finite number")
    return value


def _not_finite(text: str) -> Never:
    raise ValueError(f"{text} is not a finite number")


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(_MOST_DEPTH):
        level = [part for one in level for part in _parts(one) if isinstance(part, dict | list)]
        if not level:
            return
    raise ValueError(f"it is more than {_MOST_DEPTH} levels deep")


def _parts(value: Any) -> Any:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]


def _printable(text: str) -> str:
    return text if text.isprintable() and len(text) <= 80 else shown(text)


_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxlist, _SHORT.maxdict, _SHORT.maxstring, _SHORT.maxother = 2, 4, 4, 80, 80
