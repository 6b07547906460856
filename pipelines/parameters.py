"""The pipeline's parameters, each written once: as a field of its step's configuration.

`FLAT` names the at most 20 that are parameters of the pipeline, which the Kubeflow UI shows as a form. Every other
parameter of every step is an entry of the dictionary `options`, with its step's name in front: `calibrate.delta`.
Names, types, defaults, texts and bounds are the fields'; a run is refused here exactly when a step would refuse it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic_core import to_jsonable_python

from components.calibrate.config import CalibrateConfig
from components.common.runtime.cli import warn_old_name
from components.common.runtime.config import StepConfig, nearest, unknown_name
from components.common.runtime.errors import ConfigError
from components.evaluate.config import EvaluateConfig
from components.export.config import ExportConfig
from components.ingest.config import IngestSources
from components.records.config import RecordsConfig
from components.split.config import SplitConfig
from components.train.config import TrainConfig
from pipelines.cluster_entries import Gpu
from pipelines.cluster_file import Cluster, load_yaml
from pipelines.members import SHARED, EnsembleConfig, Member, named, overrides_of, refuse_equal

PRESETS = Path(__file__).parent / "configs"
OPTIONS = "options"
STEP_CONFIGS: dict[str, type[StepConfig]] = {
    "ingest": IngestSources,
    "split": SplitConfig,
    "records": RecordsConfig,
    "train": TrainConfig,
    "calibrate": CalibrateConfig,
    "export": ExportConfig,
    "evaluate": EvaluateConfig,
}
# Parameters of the pipeline and the fields they set, as step.field; the first one gives type, default and place in
# the form. Required ones come first. With `options` they are at most 20.
FLAT: dict[str, tuple[str, ...]] = {
    "metadata": ("ingest.metadata",),
    "images": ("ingest.images",),
    "label_policy": ("ingest.label_policy",),
    "max_lost_pct": ("ingest.max_lost_pct", "records.max_lost_pct"),
    "recipe": ("split.recipe",),
    "seed": ("split.seed", "train.seed"),
    "image_size": ("train.image_size",),
    "architecture": ("train.architecture",),
    "weights": ("train.weights",),
    "epochs": ("train.epochs",),
    "batch_size": ("train.batch_size",),
    "learning_rate": ("train.learning_rate",),
    "calibration": ("calibrate.calibration",),
    "operating_point": ("calibrate.operating_point",),
    "target_sensitivity": ("calibrate.target_sensitivity",),
    "gate_conditions": ("evaluate.gate",),
    "champion": ("evaluate.champion",),
    "gpu_node_selector": ("gpu.node_selector",),
    "gpu_tolerations": ("gpu.tolerations",),
}
ENSEMBLE = "ensemble"
MEMBERS = f"{ENSEMBLE}.members"
# everything whose fields are options: the steps, and what decides how many trainings a run has
OPTION_CONFIGS: dict[str, type[StepConfig]] = {**STEP_CONFIGS, ENSEMBLE: EnsembleConfig}
_MODELS: dict[str, type[StepConfig]] = {**OPTION_CONFIGS, "gpu": Gpu}
_OLD_OPTIONS = "train_options"
# fields with one flat name; a field that shares its flat name can still be set alone, as an option
_OWN_NAME = {targets[0]: name for name, targets in FLAT.items() if len(targets) == 1}


@dataclass(frozen=True)
class RunParameters:
    """The parameters of a run, validated.

    Attributes:
        values: what the pipeline is given: every flat parameter and `options`, as JSON has them.
        steps: the configuration of each step; of train what its members start from.
        members: the trainings of a run that has several; empty for a single model.
        combine: what becomes of the members: mean or best.
    """

    values: dict[str, Any]
    steps: dict[str, StepConfig]
    members: tuple[Member, ...] = ()
    combine: str = "mean"

    @property
    def training(self) -> TrainConfig:
        """The configuration of train, which members start from."""
        return TrainConfig.model_validate(self.steps["train"])

    def step_values(self) -> dict[str, dict[str, Any]]:
        """Each step's configuration as JSON has it; without nulls, which KFP's local runner does not take."""
        dumped = {step: config.model_dump(mode="json") for step, config in self.steps.items()}
        return {
            step: {name: value for name, value in values.items() if value is not None}
            for step, values in dumped.items()
        }


def field_of(target: str) -> Any:
    """The pydantic field behind `step.field`."""
    step, _, name = target.partition(".")
    return _MODELS[step].model_fields[name]


def option_names() -> list[str]:
    """Every name that `options` takes, in the order of the steps."""
    named = [f"{step}.{name}" for step, config in OPTION_CONFIGS.items() for name in config.model_fields]
    return [name for name in named if name not in _OWN_NAME]


def preset_names() -> list[str]:
    """Names of the presets that come with lesionflow."""
    return sorted(path.stem for path in PRESETS.glob("*.yaml"))


def load_preset(name_or_path: str) -> dict[str, Any]:
    """Reads a preset by name (a file of `pipelines/configs`) or a YAML file of the user's.

    Raises:
        ConfigError: neither a known preset nor a readable file.
    """
    known = preset_names()
    path = PRESETS / f"{name_or_path}.yaml" if name_or_path in known else Path(name_or_path)
    if not path.is_file():
        near = nearest(path.stem, known)
        hint = f"did you mean {near!r}? " if near else ""
        raise ConfigError(
            f"--preset: received {name_or_path!r}; {hint}allowed: a YAML file, or one of {', '.join(known)}"
        )
    return load_yaml(path)


def merge(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Lays parameter sets over each other, the last one winning, entries of `options` one by one.

    Returns:
        Flat parameters by name and, where there are any, `options`.

    Raises:
        ConfigError: a name that is not a parameter.
    """
    merged: dict[str, Any] = {}
    options: dict[str, Any] = {}
    for layer in layers:
        for name, value in _entries(layer):
            if name in FLAT:
                merged[name] = value
                # a later flat value is meant for all fields it sets
                options = {key: old for key, old in options.items() if key not in FLAT[name]}
            else:
                options[name] = value
    return {**merged, OPTIONS: options} if options else merged


def validate(values: Mapping[str, Any], cluster_options: Mapping[str, Any] | None = None) -> RunParameters:
    """Validates a whole run against the configurations of its steps.

    Args:
        values: flat parameters and `options`; what is absent has its default.
        cluster_options: options that the cluster file sets; those of the run win.

    Raises:
        ConfigError: one line for each bad parameter; also for pairs that contradict each other.
    """
    unknown = [name for name in values if name not in FLAT and name != OPTIONS]
    if unknown:
        raise ConfigError("\n".join(_unknown(name) for name in unknown))
    given = _mapping(OPTIONS, values.get(OPTIONS) or {})
    faults = [fault for name in given if (fault := _option_fault(name))]
    options = {**(cluster_options or {}), **given}
    steps: dict[str, StepConfig] = {}
    for step in _MODELS:
        try:
            steps[step] = _step_config(step, values, options)
        except ConfigError as error:
            faults += str(error).splitlines()
    ensemble, base = steps.pop(ENSEMBLE, None), steps.get("train")
    members: list[Member] = []
    if isinstance(ensemble, EnsembleConfig) and isinstance(base, TrainConfig):
        try:
            members = _members(ensemble, base, values, options)
        except ConfigError as error:
            faults += str(error).splitlines()
    if faults:  # a value that two steps share is refused by both
        raise ConfigError("\n".join(dict.fromkeys(faults)))
    train, records = steps["train"], steps["records"]
    if "records.record_size" not in options and isinstance(train, TrainConfig):
        steps["records"] = records.model_copy(update={"record_size": min(train.height_width)})
    chosen = EnsembleConfig.model_validate(ensemble)
    typed = {step: config.model_dump(mode="json") for step, config in {**steps, ENSEMBLE: chosen}.items()}
    flat = {name: _at(typed, targets[0]) for name, targets in FLAT.items()}
    del steps["gpu"]
    flat[OPTIONS] = {name: _at(typed, name) for name in given}
    return RunParameters(flat, steps, tuple(members), chosen.combine)


def cluster_options(cluster: Cluster) -> dict[str, Any]:
    """What the cluster file says about parameters of the steps; a run's own options win over it."""
    chosen = {
        "ingest.cache": cluster.ingest_cache,
        "export.formats": list(cluster.serving.formats),
        "export.augmentation": cluster.serving.augmentation,
    }
    return {
        name: value for name, value in chosen.items() if value != field_of(name).get_default(call_default_factory=True)
    }


def member_count(values: Mapping[str, Any]) -> int:
    """How many trainings parameters, as `merge` lays them out, ask for; 0 for a single model."""
    asked = (values.get(OPTIONS) or {}).get(MEMBERS)
    if isinstance(asked, list):
        return len(asked)
    return int(asked) if isinstance(asked, int | float) else 0


def shown_name(target: str) -> str:
    """What a person sets to set `step.field`: its flat name, or the name of an option."""
    return next((name for name, targets in FLAT.items() if target in targets), target)


def default_of(name: str) -> Any:
    """The default of a flat parameter or an option as JSON has it; None where there is none, or no such name."""
    step, _, field = FLAT.get(name, (name,))[0].partition(".")
    found = _MODELS[step].model_fields.get(field) if step in _MODELS else None
    if found is None or found.is_required():
        return None
    return to_jsonable_python(found.get_default(call_default_factory=True))


def _entries(layer: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The entries of one layer under the names that count now: flat ones, and options as step.field."""
    for name, value in layer.items():
        if name == OPTIONS:
            for key, inner in _mapping(OPTIONS, value).items():
                yield current_name(str(key).removeprefix(f"{OPTIONS}.")), inner
        elif name == _OLD_OPTIONS:
            warn_old_name(_OLD_OPTIONS, "options, with names such as train.schedule")
            for key, inner in _mapping(_OLD_OPTIONS, value).items():
                yield current_name(f"train.{key}"), inner
        elif name.startswith(f"{_OLD_OPTIONS}."):
            new = f"train.{name.removeprefix(f'{_OLD_OPTIONS}.')}"
            warn_old_name(name, new)
            yield current_name(new), value
        else:
            yield current_name(name.removeprefix(f"{OPTIONS}.")), value


def current_name(name: str) -> str:
    """The flat name or `step.field` that `name` means.

    Raises:
        ConfigError: it means none, or more than one.
    """
    if name in FLAT:
        return name
    options = option_names()
    if name in _OWN_NAME or name in options:
        return _OWN_NAME.get(name, name)
    steps = [known for known in options if known.partition(".")[2] == name]
    if steps == [f"train.{name}"]:  # training options had no prefix once
        warn_old_name(name, steps[0])
        return steps[0]
    # how a table is read is said beside where it is, `columns: {image_id: filename}`; `members: 3` is as plain
    if steps in ([f"ingest.{name}"], [f"{ENSEMBLE}.{name}"]):
        return steps[0]
    if steps:
        raise ConfigError(f"unknown parameter {name!r}: did you mean {' or '.join(repr(one) for one in steps)}?")
    raise ConfigError(_unknown(name))


def _unknown(name: str) -> str:
    step, dot, _ = name.partition(".")
    if dot and step in OPTION_CONFIGS:
        return unknown_name(name, [f"{step}.{field}" for field in OPTION_CONFIGS[step].model_fields])
    near = nearest(name, [*FLAT, *option_names()])
    hint = f"did you mean {near!r}? " if near else ""
    return f"unknown parameter {name!r}: {hint}known are {', '.join(FLAT)}; lesionflow parameters lists all"


def _option_fault(name: str) -> str:
    """Why `name` cannot stand in `options`; empty where it can."""
    if name in _OWN_NAME:
        own = _OWN_NAME[name]
        return f"{OPTIONS}: received {name}, which is a parameter of the pipeline; allowed: {own} outside {OPTIONS}"
    return "" if name in option_names() else _unknown(name)


def _mapping(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ConfigError(
            f'{name}: received {value!r}; allowed: a mapping of names to values, {{"train.dropout": 0.3}}'
        )
    return value


def _step_config(step: str, values: Mapping[str, Any], options: Mapping[str, Any]) -> StepConfig:
    """One step's configuration out of flat values and options."""
    config = _MODELS[step]
    chosen, names = {}, {}
    for field in config.model_fields:
        target = f"{step}.{field}"
        names[field] = target if target in options else shown_name(target)
        if target in options:
            chosen[field] = options[target]
        elif names[field] in values:
            chosen[field] = values[names[field]]
    return config.parse(chosen, names)


def _members(
    ensemble: EnsembleConfig, base: TrainConfig, values: Mapping[str, Any], options: Mapping[str, Any]
) -> list[Member]:
    """Every member with its whole configuration.

    Raises:
        ConfigError: a line for each override that no member can have, or that its training would refuse.
    """
    found, faults = [], []
    for number, overrides in enumerate(overrides_of(ensemble, base)):
        try:
            config, fields = training_with(overrides, values, options)
        except ConfigError as error:
            faults += [f"{MEMBERS}.{number}: {line}" for line in str(error).splitlines()]
            continue
        found.append((config, fields))
    if faults:
        raise ConfigError("\n".join(faults))
    members = named(ensemble, found)
    refuse_equal(members)
    return members


def training_with(
    overrides: Mapping[str, Any], values: Mapping[str, Any], options: Mapping[str, Any]
) -> tuple[TrainConfig, list[str]]:
    """The configuration of one training of several, and the fields in which it replaces the run's.

    Args:
        overrides: parameters of training under any of their names.
        values: flat parameters of the run.
        options: its options.

    Raises:
        ConfigError: an override of something that all trainings share, or a value that training refuses.
    """
    own = {training_field(key): value for key, value in overrides.items()}
    config = _step_config("train", values, {**options, **{f"train.{name}": own[name] for name in own}})
    return TrainConfig.model_validate(config), list(own)


def training_field(name: str) -> str:
    """The field of training that an override means.

    Raises:
        ConfigError: a name that nobody knows, or of something that all members share.
    """
    field = name.removeprefix("train.")
    if field not in TrainConfig.model_fields:
        known = current_name(name)
        owner = FLAT.get(known, (known,))[0].partition(".")[0]
        raise ConfigError(
            f"received {name}, a parameter of {owner}, which runs once for all members; allowed: parameters of "
            "training, such as seed, architecture, weights or dropout"
        )
    if field in SHARED:
        raise ConfigError(f"received {name}, which members share: {SHARED[field]}; allowed: {name} for the whole run")
    return field


def _at(typed: Mapping[str, Mapping[str, Any]], target: str) -> Any:
    step, _, field = target.partition(".")
    return typed[step][field]
