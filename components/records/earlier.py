"""Records made earlier of the very same: every byte of them and of the images is hashed, nothing is decoded.

Kept is only what a build of today would write again byte for byte (docs/adr/0006). Whatever speaks against
that, the records are made anew.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from components.common.artifacts.atomic import clear_abandoned
from components.common.artifacts.folder import MANIFEST, open_artifact, read_json
from components.common.artifacts.record import SCHEMA
from components.common.runtime.errors import ArtifactError
from components.common.runtime.events import progress
from components.records.config import RecordsConfig
from components.records.integrity import Lost
from components.records.manifest import NAME, manifest_of, recipe
from components.records.prepare import Source, loss
from components.records.shards import Shard
from components.records.threads import in_order

log = logging.getLogger(__name__)


def earlier_manifest(
    config: RecordsConfig, sources: Mapping[str, Sequence[Source]], made_from: Mapping[str, str], out: Path
) -> dict[str, Any] | None:
    """The manifest of the records at `out` if a build would give the very same; None if it might not."""
    clear_abandoned(out)  # a process that was killed may have left the records beside their place
    if not (out / MANIFEST).is_file():
        return None
    try:
        manifest = _whole_manifest(recipe(config), made_from, out)
        lost = _lost_today(sources, {one["image_id"]: one["reason"] for one in manifest["lost"]}, config.workers)
        if manifest != manifest_of(config, sources, _shards(manifest), lost):
            raise ArtifactError(f"{NAME} counts otherwise")
    except (ArtifactError, OSError) as doubt:
        log.info("the records at %s are made anew: %s", out, doubt)
        return None
    return manifest


def _whole_manifest(wanted: Mapping[str, Any], made_from: Mapping[str, str], out: Path) -> dict[str, Any]:
    """The manifest of records that were made as `wanted` and are undamaged; what costs least is asked first."""
    if open_artifact(out, "records", verify=False).made_from != made_from:
        raise ArtifactError("they are of another split")
    manifest = read_json(out / NAME, SCHEMA)
    for name, value in wanted.items():
        if manifest.get(name) != value:
            raise ArtifactError(f"{name} was {manifest.get(name, 'not written down')} and is {value}")
    listed = open_artifact(out, "records").files
    for shard in (one for shards in _shards(manifest).values() for one in shards):
        if listed.get(shard.name) != shard.sha256:
            raise ArtifactError(f"{shard.name} is not the shard that {NAME} lists")
    return manifest


def _shards(manifest: Mapping[str, Any]) -> dict[str, list[Shard]]:
    return {name: [Shard.of(one) for one in split["shards"]] for name, split in manifest["splits"].items()}


def _lost_today(sources: Mapping[str, Sequence[Source]], known: Mapping[str, str], threads: int) -> list[Lost]:
    """Reads and hashes every image as a build does; the first that is otherwise than it was ends it."""
    lost = []
    with progress("records", sum(len(images) for images in sources.values())) as bar:
        for split, images in sources.items():
            for source, reason in in_order(images, loss, threads):
                if reason != known.get(source.image_id, ""):
                    was = known.get(source.image_id, "there")
                    raise ArtifactError(f"image {source.image_id} was {was} and is {reason or 'there'}")
                if reason:
                    lost.append(Lost(source.image_id, split, source.label, reason))
                bar.advance(note=split)
    return lost
