"""From diagnoses to labels: versioned policies in YAML files.

Which diagnoses count as malignant is a clinical choice, so it is neither in the code nor in the data: a policy names
every diagnosis it knows, by code or by name, and one that it does not know is never guessed. The names behind the codes
stand in `diagnoses.yaml`.
"""

from __future__ import annotations

import re
import sys
import textwrap
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import Field, field_validator, model_validator

from components.common.runtime import yaml_text
from components.common.runtime.config import StepConfig
from components.common.runtime.errors import ConfigError
from components.ingest.values import plain

AUTO = "auto"
_FOLDER = Path(__file__).with_name("label_policies")
_NAMES = Path(__file__).with_name("diagnoses.yaml")
_GROUPS = ("malignant", "benign", "excluded")
_IN_BRACKETS = re.compile(r"([^()]+) \(([^()]+)\)")


def _compared(diagnosis: str) -> str:
    """A diagnosis as it is compared: `basal_cell-carcinoma` is basal cell carcinoma."""
    return " ".join(re.sub(r"[_\s-]+", " ", diagnosis.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")).split())


class LabelPolicy(StepConfig):
    """Which diagnosis means what.

    Attributes:
        name: what the policy is called.
        version: raised whenever a diagnosis moves.
        about: what the choice rests on, and where it is unsure.
        malignant: diagnoses with label 1, as codes or names in lower case.
        benign: diagnoses with label 0.
        excluded: diagnoses that are known and left out of training and evaluation.
    """

    name: str = Field(min_length=1)
    version: int = Field(ge=1, strict=True)
    about: str = ""
    malignant: tuple[str, ...] = Field(min_length=1)
    benign: tuple[str, ...] = Field(min_length=1)
    excluded: tuple[str, ...] = ()

    @field_validator(*_GROUPS)
    @classmethod
    def _in_order(cls, codes: tuple[str, ...]) -> tuple[str, ...]:
        if not all(code.strip() for code in codes):
            raise ValueError("one of them is blank; allowed: codes or names of diagnoses")
        return tuple(sorted(plain(code) for code in codes))

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        seen: dict[str, str] = {}
        for group in _GROUPS:
            for code in getattr(self, group):
                if code in seen:
                    raise ValueError(f"{code!r} is in both {seen[code]} and {group}; keep one")
                seen[code] = group
        return self

    @cached_property
    def names(self) -> dict[str, tuple[str, ...]]:
        """Further names of its diagnoses, by code."""
        codes = (code for group in _GROUPS for code in getattr(self, group))
        return {code: _names_by_code()[code] for code in codes if code in _names_by_code()}

    @cached_property
    def _groups(self) -> dict[str, str]:
        """The group of every code and name; a name that two groups would claim is not known."""
        own = {diagnosis: group for group in _GROUPS for diagnosis in getattr(self, group)}
        claims: dict[str, set[str]] = {}
        for code, names in self.names.items():
            for name in names:
                claims.setdefault(_compared(name), set()).add(own[code])
        known = {name: groups.pop() for name, groups in claims.items() if len(groups) == 1}
        return known | {_compared(diagnosis): group for diagnosis, group in own.items()}

    def label(self, dx: str) -> int | None:
        """1 for malignant, 0 for benign, None for a diagnosis that is excluded or unknown."""
        return {"malignant": 1, "benign": 0}.get(self._group(dx))

    def knows(self, dx: str) -> bool:
        """Whether the policy says anything about `dx`."""
        return bool(self._group(dx))

    def _group(self, dx: str) -> str:
        """The group of the diagnosis itself or, of a hierarchical one (`Benign::Nevus`), of its most specific part.

        `Melanoma (MEL)` is known where name and code are, in the same group: what stands in brackets may as well say
        the opposite.
        """
        text = plain(dx)
        for part in (text, *(part.strip() for part in reversed(text.split("::")))):
            if _compared(part) in self._groups:
                return self._groups[_compared(part)]
            named = _IN_BRACKETS.fullmatch(part)
            both = {self._groups.get(_compared(one), "") for one in named.groups()} if named else {""}
            if len(both) == 1 and both != {""}:
                return both.pop()
        return ""

    def record(self) -> dict[str, Any]:
        """The policy as JSON: name, version, the diagnoses of each group, and their further names."""
        groups = {group: list(getattr(self, group)) for group in _GROUPS}
        names = {code: list(names) for code, names in sorted(self.names.items())}
        return {"name": self.name, "version": self.version, **groups, "names": names}


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
        known = ", ".join((AUTO, *policy_names()))
        raise ConfigError(f"label_policy: received {text!r}; allowed: one of {known}, or the path of a YAML file")
    return _parse(_read(text), text)


def policies_that_know(dx: str) -> list[str]:
    """Names of the policies that come with lesionflow and know this diagnosis."""
    return [name for name in policy_names() if load_label_policy(name).knows(dx)]


@cache
def _names_by_code() -> dict[str, tuple[str, ...]]:
    value: dict[str, list[str]] = yaml_text.load(_NAMES.read_text(encoding="utf-8"))
    return {code: tuple(plain(name) for name in names) for code, names in value.items()}


def _read(uri: str) -> str:
    from components.common.storage.store import read_bytes

    try:
        return read_bytes(uri).decode("utf-8")
    except FileNotFoundError as error:
        raise ConfigError(f"label_policy: received {uri!r}; there is no such file") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"label_policy: {uri} is not UTF-8 text; expected a YAML file") from error


def _parse(text: str, source: str) -> LabelPolicy:
    try:
        value = yaml_text.load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"label_policy: {source} is not YAML ({' '.join(str(error).split())})") from error
    if not isinstance(value, dict):
        fields = ", ".join(LabelPolicy.model_fields)
        raise ConfigError(f"label_policy: {source} holds {type(value).__name__}; expected {fields}")
    try:
        return LabelPolicy.parse(value)
    except ConfigError as error:
        raise ConfigError("\n".join(f"label_policy: {source}: {line}" for line in str(error).splitlines())) from error


def describe() -> str:
    """The reference page of the policies that come with lesionflow, in Markdown."""
    lines = [_HEAD]
    for policy in map(load_label_policy, policy_names()):
        lines += [f"## {policy.name}", "", policy.about, "", "| label | diagnosis | also called |", "|---|---|---|"]
        for group in _GROUPS:
            for code in getattr(policy, group):
                lines.append(f"| {group} | `{code}` | {', '.join(policy.names.get(code, ()))} |")
        lines += ["", f"Version {policy.version}.", ""]
    return "\n".join(lines)


def described_policies() -> str:
    """The policies for a terminal: what each counts as malignant, benign and neither, and on what that rests."""
    shown = []
    for policy in map(load_label_policy, policy_names()):
        groups = "; ".join(f"{group}: {', '.join(getattr(policy, group))}" for group in _GROUPS)
        shown += [
            f"    {policy.name}",
            *(
                textwrap.fill(text, 100, initial_indent=_INDENT, subsequent_indent=_INDENT)
                for text in (groups, policy.about)
            ),
        ]
    return "\n".join(shown)


_INDENT = " " * 8
_HEAD = """# Label policies

Generated from `components/ingest/label_policies` and `diagnoses.yaml` by `make reference`; a test compares the two.
A policy says which diagnoses are malignant, benign, or left out of training and evaluation; that is a clinical choice,
and each policy says what it rests on and where it is unsure. `label_policy: auto` takes the one that fits the table.
Write your own as a YAML file with `name`, `version`, `about`, `malignant`, `benign`, `excluded`; a diagnosis belongs to
exactly one list.
"""


if __name__ == "__main__":
    sys.stdout.write(describe())
