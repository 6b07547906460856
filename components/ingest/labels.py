"""From diagnosis codes to labels: versioned policies in YAML files.

Which diagnoses count as malignant is a clinical choice, so it is neither in the code nor in the data:
a policy names every code it knows, and a code it does not know is never guessed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from components.common.runtime import yaml_text
from components.common.runtime.errors import ConfigError

DEFAULT_POLICY = "ham10000"
_FOLDER = Path(__file__).with_name("label_policies")
_GROUPS = ("malignant", "benign", "excluded")


@dataclass(frozen=True)
class LabelPolicy:
    """Which diagnosis means what.

    Attributes:
        name: what the policy is called.
        version: raised whenever a code moves.
        malignant: diagnosis codes with label 1.
        benign: diagnosis codes with label 0.
        excluded: codes that are known and left out of training and evaluation.
    """

    name: str
    version: int
    malignant: tuple[str, ...]
    benign: tuple[str, ...]
    excluded: tuple[str, ...] = ()

    @cached_property
    def _labels(self) -> dict[str, int]:
        return {**dict.fromkeys(self.malignant, 1), **dict.fromkeys(self.benign, 0)}

    def label(self, dx: str) -> int | None:
        """1 for malignant, 0 for benign, None for a code that is excluded or unknown."""
        return self._labels.get(dx)

    def knows(self, dx: str) -> bool:
        """Whether the policy says anything about `dx`."""
        return dx in self._labels or dx in self.excluded

    def record(self) -> dict[str, Any]:
        """The policy as JSON: name, version and the codes of each group."""
        return {"name": self.name, "version": self.version, **{g: list(getattr(self, g)) for g in _GROUPS}}


def policy_names() -> list[str]:
    """Names of the policies that come with lesionflow."""
    return sorted(path.stem for path in _FOLDER.glob("*.yaml"))


def load_label_policy(name_or_path: str | Path) -> LabelPolicy:
    """The policy of that name, or in that YAML file (a path or a URI).

    Raises:
        ConfigError: no such policy, or the file is not one; the message names the field.
    """
    text = str(name_or_path)
    if text in policy_names():
        return _parse((_FOLDER / f"{text}.yaml").read_text(encoding="utf-8"), text)
    if not text.lower().endswith((".yaml", ".yml")):
        known = ", ".join(policy_names())
        raise ConfigError(f"label_policy: received {text!r}; allowed: one of {known}, or the path of a YAML file")
    return _parse(_read(text), text)


def _read(uri: str) -> str:
    from components.common.storage.store import read_bytes

    try:
        return read_bytes(uri).decode("utf-8")
    except FileNotFoundError:
        raise ConfigError(f"label_policy: received {uri!r}; there is no such file") from None
    except UnicodeDecodeError:
        raise ConfigError(f"label_policy: {uri} is not UTF-8 text; expected a YAML file") from None


def _parse(text: str, source: str) -> LabelPolicy:
    try:
        value = yaml_text.load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"label_policy: {source} is not YAML ({' '.join(str(error).split())})") from None
    if not isinstance(value, dict):
        raise ConfigError(f"label_policy: {source} holds {type(value).__name__}; expected name, version, {_GROUPS}")
    unknown = sorted(str(key) for key in set(value) - {"name", "version", *_GROUPS})
    if unknown:
        raise ConfigError(f"label_policy: {source}: unknown field {unknown[0]!r}; known are name, version, {_GROUPS}")
    name, version = value.get("name"), value.get("version")
    if not isinstance(name, str) or not name.strip():
        raise ConfigError(f"label_policy: {source}: name is {name!r}; expected text")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise ConfigError(f"label_policy: {source}: version is {version!r}; expected a whole number >= 1")
    groups = {group: _codes(value.get(group, []), group, source) for group in _GROUPS}
    _check_disjoint(groups, source)
    return LabelPolicy(name=name, version=version, **groups)


def _codes(value: Any, group: str, source: str) -> tuple[str, ...]:
    # YAML reads a bare `no` as False and 1 as a number: only text is a code
    if not isinstance(value, list) or not all(isinstance(code, str) and code.strip() for code in value):
        raise ConfigError(f"label_policy: {source}: {group} is {value!r}; expected a list of diagnosis codes (text)")
    if group != "excluded" and not value:
        raise ConfigError(f"label_policy: {source}: {group} is empty; expected at least one diagnosis code")
    return tuple(sorted(code.strip().lower() for code in value))


def _check_disjoint(groups: dict[str, tuple[str, ...]], source: str) -> None:
    seen: dict[str, str] = {}
    for group, codes in groups.items():
        for code in codes:
            if code in seen:
                raise ConfigError(f"label_policy: {source}: {code!r} is in both {seen[code]} and {group}; keep one")
            seen[code] = group
