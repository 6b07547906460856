"""A part of a large collection is checked by a pod of its own; ingest then reads the verdicts instead of the images.

What a part hands on is a cache of verdicts, so an index made from parts has the bytes of one made in a single pod: a
verdict that is missing from the parts, or whose file has changed since, is made anew.
"""

from __future__ import annotations

import logging
from pathlib import Path

from components.common.artifacts.folder import new_artifact
from components.common.runtime.part import Part
from components.ingest.cache import Cache
from components.ingest.check import check_images
from components.ingest.config import IngestConfig
from components.ingest.run import look, threads_for

log = logging.getLogger(__name__)


def run_part(config: IngestConfig, metadata: str, images: list[str], part: Part, out: Path) -> Path:
    """Checks the images of one part of the table's rows and writes their verdicts as the artifact `out`.

    Args:
        config: as for ingest.
        metadata: as for ingest.
        images: as for ingest.
        part: which part of the rows.
        out: folder of the artifact.

    Raises:
        DataError: the table breaks the rules, or no image is found.
        ConfigError: see `ingest.run.run`.
    """
    seen = look(config, metadata, images)
    candidates = seen.candidates()[part.slice(len(seen.table.rows))]
    cache = Cache(rehash=config.rehash)
    if config.cache:
        cache.load(config.cache)
    with new_artifact(out, "index_part", {"metadata": seen.table.sha256}) as folder:
        count = sum(1 for _ in check_images(candidates, cache, threads_for(config, seen.roots)))
        cache.write_used(folder)
    log.info("part %d of %d: %d of %d images checked", part.number + 1, part.of, count, len(seen.table.rows))
    return out
