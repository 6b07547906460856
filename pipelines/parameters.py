"""The pipeline's parameters: one flat set of names in the UI, in presets and on the command line.

Each name belongs to one or more steps; validation builds every step's own config from the flat
values, so a run is refused here, before anything starts, exactly when a step would refuse it later.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field

from components.calibrate.config import CalibrateConfig
from components.common.runtime import yaml_text
from components.common.runtime.config import StepConfig, unknown_name
from components.common.runtime.errors import ConfigError
from components.evaluate.config import EvaluateConfig
from components.ingest.config import IngestConfig
from components.records.config import RecordsConfig
from components.split.config import SplitConfig
from components.train.config import TrainConfig
from pipelines.cluster_file import load_yaml

PRESETS = Path(__file__).parent / "configs"


class Parameters(StepConfig):
    """Every pipeline parameter with the default that the compiled pipeline has; see `pipelines.dag`."""

    metadata: str = Field(min_length=1, description="URI of the table")
    images: list[str] = Field(min_length=1, description="URIs of the image folders")
    label_policy: str = "ham10000"
    max_lost_pct: float = 5.0
    recipe: str = "stratified"
    seed: int = 42
    image_size: str = "224x224"
    architecture: str = "efficientnet_lite0"
    weights: str = "none"
    epochs: int = 20
    batch_size: int = 32
    learning_rate: float = 4e-4
    train_options: dict[str, Any] = Field(default_factory=dict)
    calibration: str = "auto"
    operating_point: str = "lower_bound"
    target_sensitivity: float = 0.9
    gate_conditions: list[str] = Field(default_factory=list)
    champion: str = ""
    gpu_node_selector: dict[str, str] = Field(default_factory=dict)
    gpu_tolerations: list[dict[str, Any]] = Field(default_factory=list)


@dataclass(frozen=True)
class StepConfigs:
    """Each step's own view of the parameters, validated."""

    ingest: IngestConfig
    split: SplitConfig
    records: RecordsConfig
    train: TrainConfig
    calibrate: CalibrateConfig
    evaluate: EvaluateConfig


def load_preset(name_or_path: str) -> dict[str, Any]:
    """Reads a preset by name (a file of `pipelines/configs`) or a YAML file of the user's.

    Raises:
        ConfigError: neither a known preset nor a readable file.
    """
    known = {path.stem: path for path in PRESETS.glob("*.yaml")}
    path = known.get(name_or_path, Path(name_or_path))
    if not path.is_file():
        raise ConfigError(
            f"--config: received {name_or_path!r}; allowed: a YAML file, or one of {', '.join(sorted(known))}"
        )
    return load_yaml(path)


def parse_assignments(items: Iterable[str]) -> dict[str, Any]:
    """`name=value` pairs, each value read as YAML: `epochs=3`, `train_options.mixup=0.2`.

    Raises:
        ConfigError: no `=`, or a value that is no YAML.
    """
    values: dict[str, Any] = {}
    for item in items:
        name, equals, text = item.partition("=")
        if not equals or not name:
            raise ConfigError(f"--set: received {item!r}; allowed: name=value, such as epochs=3")
        try:
            values[name.strip()] = yaml_text.load(text)
        except yaml.YAMLError:
            raise ConfigError(f"--set {name}: received {text!r}; allowed: a YAML value, quoted if it is text") from None
    return values


def merge(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Lays parameter sets over each other, the last one winning.

    A name of a training option, alone or after `train_options.`, goes into `train_options`, whose
    layers are merged by name instead of replaced.

    Raises:
        ConfigError: a name that is neither a parameter nor a training option.
    """
    merged: dict[str, Any] = {"train_options": {}}
    options = set(TrainConfig.model_fields) - set(Parameters.model_fields)
    for layer in layers:
        for name, value in layer.items():
            option = name.removeprefix("train_options.")
            if name == "train_options":
                if not isinstance(value, dict):
                    raise ConfigError(f"train_options: received {value!r}; allowed: a mapping of names to values")
                merged["train_options"].update(value)
            elif option in options:
                merged["train_options"][option] = value
            elif name in Parameters.model_fields:
                merged[name] = value
            else:
                raise ConfigError(unknown_name(option, {*Parameters.model_fields, *options}))
    return merged


def validate(values: Mapping[str, Any]) -> tuple[Parameters, StepConfigs]:
    """Validates the whole run before anything is written.

    Raises:
        ConfigError: one line for each bad parameter; also for pairs that contradict each other.
    """
    known = {**values}
    plain = Parameters.parse({name: value for name, value in known.items() if name not in _TYPED_BY_STEPS})
    merged = {**plain.model_dump(), **known}
    clash = sorted(set(merged["train_options"]) & set(Parameters.model_fields))
    if clash:
        raise ConfigError(f"train_options.{clash[0]}: this is a pipeline parameter of its own; give {clash[0]} instead")
    train = TrainConfig.parse({**_pick(TrainConfig, merged), **merged["train_options"]})
    height, width = (int(side) for side in train.image_size.split("x"))
    configs = StepConfigs(
        ingest=IngestConfig.parse(_pick(IngestConfig, merged)),
        split=SplitConfig.parse(_pick(SplitConfig, merged)),
        records=RecordsConfig.parse({**_pick(RecordsConfig, merged), "record_size": min(height, width)}),
        train=train,
        calibrate=CalibrateConfig.parse(_pick(CalibrateConfig, merged)),
        evaluate=EvaluateConfig.parse({"gate": merged["gate_conditions"], "champion": merged["champion"]}),
    )
    json.dumps(merged)  # YAML can hold dates and sets; KFP cannot
    return Parameters.parse(merged), configs


def resolve_paths(parameters: Parameters) -> Parameters:
    """Makes local paths absolute, for a run on this machine, and checks that they are there.

    Raises:
        ConfigError: a table, image folder, weights or champion file that does not exist.
    """

    def local(name: str, text: str, *, folder: bool) -> str:
        if "://" in text:
            return text
        path = Path(text).expanduser().resolve()
        if not (path.is_dir() if folder else path.is_file()):
            raise ConfigError(f"{name}: received {text!r}, no such {'folder' if folder else 'file'}")
        return str(path)

    weights, champion = parameters.weights, parameters.champion
    return parameters.model_copy(
        update={
            "metadata": local("metadata", parameters.metadata, folder=False),
            "images": [local("images", root, folder=True) for root in parameters.images],
            "champion": champion and local("champion", champion, folder=False),
            "weights": weights if weights in ("none", "imagenet") else local("weights", weights, folder=False),
        }
    )


# The steps say better than the flat set what these may be, so their own configs check them.
_TYPED_BY_STEPS = frozenset(
    {"label_policy", "max_lost_pct", "recipe", "seed", "image_size", "architecture", "epochs", "batch_size",
     "learning_rate", "calibration", "operating_point", "target_sensitivity"}
)  # fmt: skip


def _pick(config: type[StepConfig], values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name in config.model_fields}
