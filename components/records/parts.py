"""A part of a large collection is prepared by a pod of its own; records then puts the parts together."""

from __future__ import annotations

from pathlib import Path

from components.common.artifacts.folder import new_artifact
from components.common.runtime.part import Part
from components.common.runtime.resources import return_large_blocks
from components.records.config import RecordsConfig
from components.records.part_files import part_facts, write_part
from components.records.run import open_sources
from components.records.writing import prepared


def run_part(config: RecordsConfig, split: Path, part: Part, out: Path) -> Path:
    """Prepares one part of the images of each split and writes the artifact `out`.

    Raises:
        DataError: ingest has already lost too many images.
    """
    return_large_blocks()
    sources, digest, weight = open_sources(config, split)
    with new_artifact(out, "records_part", {"split": digest}) as folder:
        mine = {name: images[part.slice(len(images))] for name, images in sources.items()}
        results = {name: prepared(images, config, weight) for name, images in mine.items()}
        write_part(folder, part, part_facts(config, digest), results)
    return out
