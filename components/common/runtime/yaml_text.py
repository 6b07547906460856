"""YAML from a file that anybody may have written: plain values only, and no way to end the process by nesting."""

from __future__ import annotations

from typing import Any

import yaml


def load(text: str) -> Any:
    """The one document of `text`; no tags that make objects.

    Raises:
        yaml.YAMLError: not YAML, a tag, several documents, or nested too deeply to be read.
    """
    try:
        return yaml.safe_load(text)
    except RecursionError:
        raise yaml.YAMLError("nested too deeply") from None


def load_all(text: str) -> list[Any]:
    """As `load`, all documents of `text`."""
    try:
        return list(yaml.safe_load_all(text))
    except RecursionError:
        raise yaml.YAMLError("nested too deeply") from None
