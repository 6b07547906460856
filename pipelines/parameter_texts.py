"""What a person reads about parameters: the form of the Kubeflow UI, `--help`, `lesionflow parameters`, the reference.

All of it comes from the fields of the steps' configurations.
"""

from __future__ import annotations

import inspect
import textwrap
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_core import to_jsonable_python

from components.common.runtime.cli import default_text, described, field_help, value_text
from components.common.runtime.config import allowed
from components.ingest.labels import described_policies
from pipelines.parameters import FLAT, OPTION_CONFIGS, OPTIONS, current_name, field_of, option_names

# The first word of a text in the form, which the UI sorts by name only.
_GROUPS = {
    "ingest": "Data",
    "split": "Data",
    "records": "Data",
    "train": "Training",
    "calibrate": "Decision",
    "evaluate": "Gate",
    "gpu": "Cluster",
}
OPTIONS_TEXT = (
    'Options: every other parameter by the name of its step, as JSON, such as {"calibrate.delta": 0.1, '
    '"train.dropout": 0.3}; lesionflow parameters lists them'
)


@dataclass(frozen=True)
class ParameterText:
    """One parameter as a person reads about it.

    Attributes:
        name: as it is set, such as epochs or calibrate.delta.
        group: Data, Training, Decision, Gate or Cluster; for an option its step.
        description: what it is.
        allowed: what it accepts, in words.
        default: its default, or `required`.
    """

    name: str
    group: str
    description: str
    allowed: str
    default: str

    @property
    def line(self) -> str:
        """All of it but the name, on one line."""
        required = self.default == "required"
        takes = [] if self.allowed == "text" else [self.allowed]
        notes = "; ".join(takes if required else [*takes, f"default {self.default}"])
        return f"{self.group}{', required' if required else ''}: {self.description}" + (f" ({notes})" if notes else "")


def flat_texts() -> list[ParameterText]:
    """The parameters of the pipeline in the order of its signature, without `options`."""
    return [_flat_text(name, targets) for name, targets in FLAT.items()]


def option_texts() -> list[ParameterText]:
    """Everything that `options` takes, in the order of the steps."""
    return [_text(name, name.partition(".")[0], field_of(name)) for name in option_names()]


def described_parameters(name: str | None) -> str:
    """What `lesionflow parameters` prints: every parameter, those of a step, or one.

    Raises:
        ConfigError: `name` is neither a parameter nor a step.
    """
    texts = [*flat_texts(), *option_texts()]
    if name is None or name in OPTION_CONFIGS:
        shown = [text for text in texts if name in (None, _step_of(text.name))]
        return "\n".join(entry(text.name, text.line) for text in shown)
    found = [text for text in texts if text.name == current_name(name)]
    more = [described_policies()] if any(text.name == "label_policy" for text in found) else []
    return "\n".join([*(entry(text.name, text.line) for text in found), *more])


def _step_of(name: str) -> str:
    return (FLAT[name][0] if name in FLAT else name).partition(".")[0]


def entry(name: str, text: str, indent: int = 0) -> str:
    """A parameter in a terminal: its name, below it what it is."""
    margin = " " * (indent + 4)
    return f"{' ' * indent}{name}\n{textwrap.fill(text, 100, initial_indent=margin, subsequent_indent=margin)}"


def set_notes(fields: Mapping[str, FieldInfo], *, defaults: bool = True) -> str:
    """What the help of a command says of the parameters that its `--set` takes.

    Args:
        fields: by name.
        defaults: whether what is not given has the fields' own defaults.
    """
    texts = {
        name: field_help(one) if defaults else f"{described(one)} ({allowed(one)})" for name, one in fields.items()
    }
    return "\n".join(["parameters (--set NAME=VALUE):", *(entry(name, text, 2) for name, text in texts.items())])


def signature() -> inspect.Signature:
    """The pipeline's signature as kfp reads it: names, plain types, defaults."""
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    made = [
        inspect.Parameter(name, kind, annotation=plain_type(field), default=signature_default(field))
        for name, field in ((name, field_of(targets[0])) for name, targets in FLAT.items())
    ]
    return inspect.Signature([*made, inspect.Parameter(OPTIONS, kind, annotation=dict, default={})])


def docstring(about: str, defaults: Mapping[str, Any] | None = None) -> str:
    """A docstring in Google's style that describes every parameter of the pipeline, for the UI.

    Args:
        about: what the pipeline is for.
        defaults: values that stand in the form instead of the fields' own defaults.
    """
    lines = [f"{text.name}: {text.line}" for text in with_defaults(flat_texts(), defaults or {})]
    return "\n".join([about, "", "Args:", *(f"    {line}" for line in [*lines, f"{OPTIONS}: {OPTIONS_TEXT}"]), ""])


def with_defaults(texts: list[ParameterText], defaults: Mapping[str, Any]) -> list[ParameterText]:
    """The texts with the defaults of a compiled file, which a cluster file or a preset may set."""
    return [replace(text, default=value_text(defaults[text.name])) if text.name in defaults else text for text in texts]


def plain_type(field: FieldInfo) -> type:
    """The type that kfp knows for a field: str, int, float, bool, list or dict."""
    kinds = [kind for kind in _alternatives(field.annotation) if kind is not type(None)]
    kind = typing.get_origin(kinds[0]) or kinds[0]
    if kind is typing.Literal:
        return str
    return kind if kind in (str, int, float, bool, list, dict) else dict


def markdown() -> str:
    """The reference page: both kinds of parameters as tables."""
    parts = [_HEAD.format(count=len(FLAT) + 1)]
    parts += ["## Parameters of the pipeline", "", *_table(flat_texts()), f"| `{OPTIONS}` | {OPTIONS_TEXT} | | empty |"]
    for step in OPTION_CONFIGS:
        rows = [text for text in option_texts() if text.group == step]
        parts += ["", f"## Options of {step}", "", *_table(rows)]
    return "\n".join(parts) + "\n"


def _flat_text(name: str, targets: tuple[str, ...]) -> ParameterText:
    step, field = targets[0].partition(".")[0], field_of(targets[0])
    said = {described(field_of(target)): target.partition(".")[0] for target in reversed(targets)}
    one, *others = said
    text = "; ".join(f"{said[text]}: {text}" for text in reversed(said)) if others else one
    return ParameterText(name, _GROUPS[step], text, allowed(field), _default(field))


def _text(name: str, group: str, field: FieldInfo) -> ParameterText:
    return ParameterText(name, group, described(field), allowed(field), _default(field))


def _default(field: FieldInfo) -> str:
    return "required" if field.is_required() else default_text(field)


def signature_default(field: FieldInfo) -> Any:
    """A field's default as kfp reads it."""
    if field.is_required():
        return inspect.Parameter.empty
    return to_jsonable_python(field.get_default(call_default_factory=True))


def _alternatives(kind: Any) -> tuple[Any, ...]:
    is_union = typing.get_origin(kind) in (typing.Union, types.UnionType)
    return typing.get_args(kind) if is_union else (kind,)


def _table(rows: list[ParameterText]) -> Iterator[str]:
    yield "| name | what | allowed | default |"
    yield "|---|---|---|---|"
    for row in rows:
        group = f"{row.group}: " if row.name in FLAT else ""
        cells = (f"`{row.name}`", f"{group}{row.description}", row.allowed, row.default)
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


_HEAD = """# Parameters

<!-- Written by `python docs/write_parameters.py`, from the configurations of the steps; `make check` compares. -->

The pipeline has {count} parameters, the same in the form of the Kubeflow UI, in a preset and after `--set`. Everything
else is an option: an entry of the dictionary `options`, with the name of its step in front.

```sh long
lesionflow run ... --set epochs=12 --set calibrate.delta=0.1
```

```yaml
# a preset
epochs: 12
calibrate.delta: 0.1
```

In the UI the same option is written `{{"calibrate.delta": 0.1}}` in the field `options`. A value that is not allowed,
a name that is not known and values that contradict each other end a run in its first task, `check`.
"""
