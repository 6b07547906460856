"""`manifest.json`: with what the records were made, what is in each split, and what was lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import cv2
import simplejpeg

from components.common.artifacts.class_weight import ClassWeight
from components.common.artifacts.record import SCHEMA
from components.common.imaging.inspect import INSPECTOR
from components.records.config import RecordsConfig
from components.records.integrity import Lost, tallies_of
from components.records.prepare import Source
from components.records.shards import Shard

NAME = "manifest.json"
# Raised whenever the same images and parameters may give other bytes: records made before are then not kept.
BUILD = 1


def recipe(config: RecordsConfig) -> dict[str, Any]:
    """All that decides the bytes of the shards, apart from the split artifact and the images it names."""
    return {
        "record_size": config.record_size,
        "jpeg_quality": config.jpeg_quality,
        "shard_bytes": config.shard_bytes,
        "made_with": {
            "build": BUILD, "inspector": INSPECTOR, "opencv": cv2.__version__, "simplejpeg": simplejpeg.__version__,
        },
    }  # fmt: skip


def manifest_of(
    config: RecordsConfig, sources: Mapping[str, Sequence[Source]], shards: Mapping[str, Sequence[Shard]],
    lost: Sequence[Lost],
) -> dict[str, Any]:  # fmt: skip
    """The content of `manifest.json`.

    Args:
        config: how the records were made.
        sources: images by split that should be there.
        shards: shards by split.
        lost: images that are not there.
    """
    tallies = tallies_of(sources, {one.image_id for one in lost})
    return {
        "schema": SCHEMA,
        **recipe(config),
        "dx_classes": dict(sorted((one.dx, one.label) for images in sources.values() for one in images)),
        "class_weight": ClassWeight(*tallies["train"].found).weights,
        "splits": {
            name: {
                "expected": sum(counts.expected),
                "found": sum(counts.found),
                "lost": sum(counts.lost),
                "label_counts": {"0": counts.found[0], "1": counts.found[1]},
                "shards": [shard.record() for shard in shards[name]],
            }
            for name, counts in tallies.items()
        },
        "lost": [asdict(one) for one in lost],
    }
