"""What a report shows besides figures: hashes, training curve, data quality, pictures.

It is gathered once, where images and model are at hand, and kept in `context.json`, so that the report can be made
again without them.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt

from components.common.artifacts.folder import Artifact
from components.common.artifacts.model import Model
from components.common.artifacts.policy import DecisionPolicy
from components.common.artifacts.records_manifest import RecordsManifest
from components.common.artifacts.scores import Scores
from components.common.artifacts.split import SplitRecord
from components.common.runtime.errors import LesionflowError

SCHEMA = "lesionflow.evaluation_context/1"
FILE = "context.json"
PICTURE_SIDE = 480  # most pixels on the short side
_LISTED = 50
_CURVES = ("loss", "val_loss", "val_average_precision", "val_roc_auc", "learning_rate", "lr")


def _pick_cases(scores: Scores, policy: DecisionPolicy, each: int) -> dict[str, npt.NDArray[np.intp]]:
    """Rows worth looking at: the most confident false negatives and false positives, the closest to the threshold.

    One image per lesion; ties go to the smaller image id.
    """
    predicted, answered = policy.decide(scores.logit), ~scores.not_dermoscopy
    wanted = {
        "missed": ((scores.label == 1) & ~predicted & answered, scores.logit),
        "false_alarms": ((scores.label == 0) & predicted & answered, -scores.logit),
        "borderline": (answered, np.abs(scores.logit - policy.threshold_logit)),
    }
    out = {}
    for name, (mask, key) in wanted.items():
        rows = np.flatnonzero(mask)
        rows = rows[np.lexsort((scores.image_id[rows], key[rows]))]
        _, first = np.unique(scores.lesion_id[rows], return_index=True)
        out[name] = rows[np.sort(first)][:each]
    return out


def case_records(
    scores: Scores,
    policy: DecisionPolicy,
    each: int,
    dx: npt.NDArray[np.str_] | None,
    uris: Mapping[str, str],
) -> dict[str, list[dict[str, Any]]]:
    """The cases with their ids, diagnosis, probability and picture (base64 JPEG; empty where it cannot be read).

    Args:
        scores: of the images.
        policy: the decision policy.
        each: number of cases of each kind.
        dx: (n,) diagnoses; None where the table has none.
        uris: address of each image by its id.
    """
    return {
        name: [
            {
                "image_id": str(scores.image_id[i]),
                "lesion_id": str(scores.lesion_id[i]),
                "dx": str(dx[i]) if dx is not None else "",
                "label": int(scores.label[i]),
                "probability": float(scores.probability[i]),
                "thumbnail": _picture(uris[str(scores.image_id[i])]),
            }
            for i in rows
        ]
        for name, rows in _pick_cases(scores, policy, each).items()
    }


def _picture(uri: str) -> str:
    """A JPEG of an image as base64, small enough for two dozen of them in one page."""
    from components.common.imaging import inspect, pixels
    from components.common.imaging.picture import read_picture

    try:
        small = pixels.shrink(inspect.decode_rgb(read_picture(uri)), PICTURE_SIDE)
        return base64.b64encode(pixels.encode_jpeg(small, 80)).decode()
    except LesionflowError:
        return ""  # a missing picture must not cost the report its numbers


def provenance(artifacts: Mapping[str, Artifact]) -> dict[str, Any]:
    """Digest of each artifact behind the numbers and of what it was made from."""
    return {name: {"digest": a.digest, "made_from": dict(sorted(a.made_from.items()))} for name, a in artifacts.items()}


def training(model: Model | None) -> dict[str, Any]:
    """What the model artifact records about its training: architecture, configuration, environment, curve."""
    if model is None:
        return {}
    out = {
        "model": model.facts.record(),
        "training_config": model.training_config,
        "environment": model.environment,
    }
    if model.history:
        names = [name for name in model.history[0] if name == "epoch" or name in _CURVES]
        out["history"] = {name: [_number(row[name]) for row in model.history] for name in names}
    return out


def data_quality(
    manifest: RecordsManifest | None, lost: list[dict[str, str]], unread: list[dict[str, str]], split: SplitRecord
) -> dict[str, Any]:
    """Examples of lost images, and the split's leakage audit; the lineage has the counts."""
    return {
        "lost": [asdict(one) for one in manifest.lost[:_LISTED]] if manifest is not None else [],
        "test_lost": lost[:_LISTED],
        "test_unreadable": unread[:_LISTED],
        "split": {
            "recipe": split.recipe,
            "seed": split.seed,
            "sha256": split.sha256,
            "counts": split.counts,
            "warnings": split.warnings,
            "audit": _audit(split.audit),
        },
    }


def _audit(audit: Mapping[str, Any]) -> dict[str, Any]:
    """The split's leakage audit with few examples, so that a report stays a report."""
    short = dict(audit)
    if "near_duplicates" in short:
        twins = short["near_duplicates"]
        short["near_duplicates"] = {**twins, "crossing_pairs": twins["crossing_pairs"][:_LISTED]}
    if "tables" in short:
        short["tables"] = {name: _shortened(table) for name, table in short["tables"].items()}
    return short


def _shortened(table: Mapping[str, Any]) -> dict[str, Any]:
    """A table of the audit without the values beyond the first `_LISTED`: a column may be free text."""
    if len(table) <= _LISTED:
        return dict(table)
    return dict(list(table.items())[:_LISTED]) | {"left_out": len(table) - _LISTED}


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if np.isfinite(value) else None
