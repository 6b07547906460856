"""YAML from a file that anybody may have written: plain values, each key once, no crash."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import Any, TypeVar

import yaml

from components.common.runtime.errors import ConfigError

T = TypeVar("T")
_MERGE = "tag:yaml.org,2002:merge"


class _Loader(yaml.SafeLoader):
    """A safe loader that refuses a mapping with one key twice, where YAML would silently keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: dict[Any, int] = {}
        for key_node, _ in node.value:
            key, line = (key_node.tag, key_node.value), key_node.start_mark.line + 1
            if isinstance(key_node, yaml.ScalarNode) and key_node.tag != _MERGE:
                if key in seen:
                    found = f"{key_node.value!r} occurs twice, in line {seen[key]} and in line {line}; keep one"
                    raise yaml.YAMLError(found)
                seen[key] = line
        return super().construct_mapping(node, deep)


def load(text: str) -> Any:
    """The one document of `text`; no tags that make objects.

    Raises:
        yaml.YAMLError: not YAML, a tag, a key twice, several documents, or nested too deeply to be read.
    """
    return _guarded(lambda: yaml.load(text, _Loader))


def load_all(text: str) -> list[Any]:
    """As `load`, all documents of `text`."""
    return _guarded(lambda: list(yaml.load_all(text, _Loader)))


def _guarded(read: Callable[[], T]) -> T:
    try:
        return read()
    except RecursionError as error:
        raise yaml.YAMLError("nested too deeply") from error
    except (ValueError, OverflowError) as error:  # of a number with thousands of digits, or the 31st of February
        raise yaml.YAMLError(f"an invalid value ({' '.join(str(error).split())[:80]})") from error


def parse_assignments(items: Iterable[str], flag: str = "--set", example: str = "epochs=3") -> dict[str, Any]:
    """`name=value` pairs, each value read as YAML: `epochs=3`, `train.dropout=0.3`.

    Args:
        items: the pairs.
        flag: the flag they were given with.
        example: a pair, for the error.

    Raises:
        ConfigError: no `=`, or a value that is not YAML.
    """
    values: dict[str, Any] = {}
    for item in items:
        name, equals, text = item.partition("=")
        if not equals or not name.strip():
            raise ConfigError(f"{flag}: received {item!r}; allowed: name=value, such as {example}")
        try:
            values[name.strip()] = load(text)
        except yaml.YAMLError as error:
            raise ConfigError(
                f"{flag} {name}: received {text!r}; allowed: a YAML value, quoted if it is text"
            ) from error
    return values
