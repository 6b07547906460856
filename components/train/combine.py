"""One model of the several that a run has trained: their mean, or the best of them on validation."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.common.artifacts.folder import new_artifact
from components.common.artifacts.model import SELECTION, open_model, write_record
from components.common.runtime.config import READS
from components.common.runtime.errors import ArtifactError
from components.common.statistics.ranking import average_precision, roc_auc
from components.train import ensemble

_NAME = "member"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CombineResult:
    """The model that comes out of several."""

    out: Path
    figures: dict[str, float]


def run(models: Sequence[Path], planned: Sequence[str], how: str, out: Path) -> CombineResult:
    """Combines the models of a run's members.

    Args:
        models: a model artifact of each member, in any order.
        planned: the configuration that each member was given, with its name, as JSON text; their order counts.
        how: mean: the ensemble, as `lesionflow ensemble` makes it; best: the member of highest average precision
            on validation, unchanged, with a record of those it was chosen from.
        out: folder for the model artifact.

    Raises:
        ArtifactError: a model is damaged, or no model was trained as planned.
        ConfigError: fewer than two members.
    """
    ordered = _in_order(models, planned)
    if how == "best":
        return _best(list(ordered.values()), list(ordered), out)
    record = ensemble.run(list(ordered.values()), out).record["over_members"]
    figures = {name: found["after"] for name, found in record.items()}
    return CombineResult(out, figures | {f"members_{name}": found["before"] for name, found in record.items()})


def _in_order(models: Sequence[Path], planned: Sequence[str]) -> dict[str, Path]:
    """The folder of each member's model, by the member's name, in the order of the plan."""
    left = [(path, _without_nulls(open_model(path).training_config)) for path in models]
    found: dict[str, Path] = {}
    for text in planned:
        asked = json.loads(text)
        name = str(asked.pop(_NAME))
        asked.pop(READS, None)
        index = next((i for i, (_, trained) in enumerate(left) if trained == asked), None)
        if index is None:
            raise ArtifactError(
                f"member {name}: none of the {len(models)} models was trained with its parameters; they are of another "
                "run: train all members of this one again"
            )
        found[name] = left.pop(index)[0]
    if left:
        raise ArtifactError(f"{left[0][0]}: was trained with parameters of no member of this run; train again")
    return found


def _without_nulls(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _best(models: Sequence[Path], names: Sequence[str], out: Path) -> CombineResult:
    """The model with the highest average precision on validation; of equal ones the first."""
    opened = ensemble.open_members(models)
    label = opened.models[0].scores.label
    precision = [average_precision(label, logit) for logit in opened.logits]
    chosen = max(range(len(models)), key=precision.__getitem__)
    best = opened.models[chosen]
    record = {
        "members": [
            {"name": name, **ensemble.member_record(one)} for name, one in zip(names, opened.models, strict=True)
        ],
        "chosen": chosen,
        "chosen_by": "average_precision",
        "images": len(label),
    }
    with new_artifact(out, "model", {**best.model.artifact.made_from, **opened.digests}) as folder:
        for file in best.model.artifact.files:
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(best.path / file, folder / file)
        write_record(folder, SELECTION, record)
    log.info("best of %d members on validation: %s, average precision %.4f", len(models), names[chosen], max(precision))
    ranked = [roc_auc(label, logit) for logit in opened.logits]
    return CombineResult(
        out,
        {
            "average_precision": precision[chosen],
            "roc_auc": ranked[chosen],
            "members_average_precision": sum(precision) / len(precision),
            "members_roc_auc": sum(ranked) / len(ranked),
        },
    )
