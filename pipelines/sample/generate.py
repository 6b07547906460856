"""`lesionflow sample`: generated images and their table, the same bytes for the same seed."""

from __future__ import annotations

import csv
import io
import math
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from components.common.artifacts.atomic import is_scratch, recover, replacing, resolved
from components.common.artifacts.json_file import LARGE_BYTES, read_json, write_atomic, write_json
from components.common.runtime.errors import ArtifactError, ConfigError
from components.common.runtime.events import progress
from components.common.runtime.resources import usable_cores
from pipelines.sample.population import COLUMNS, Lesion, population

MARKER = "sample.json"
SCHEMA = "lesionflow.sample/1"
_QUALITY = 90
_CHUNK = 16
_IN_PROCESS = 100  # fewer lesions are drawn faster than worker processes start


@dataclass(frozen=True)
class SampleResult:
    """What was generated."""

    path: Path
    metadata: Path
    folder: Path
    images: int
    lesions: int
    faults: dict[str, list[str]]


def make_sample(out: Path, lesions: int, seed: int, faults: bool = False, workers: int | None = None) -> SampleResult:
    """Draws `lesions` lesions, one to four pictures of each, and writes them with a table like HAM10000's.

    Args:
        out: folder to make; an earlier sample there is replaced.
        lesions: how many lesions.
        seed: equal seeds give equal bytes.
        faults: plant one of each known fault; sample.json lists them.
        workers: processes; all cores by default.

    Raises:
        ConfigError: fewer than one lesion, too few for the faults, or `out` cannot be written.
        ArtifactError: `out` holds something else.
    """
    if lesions < 1 or seed < 0:
        raise ConfigError(f"lesions, seed: received {lesions} and {seed}; allowed: at least 1 lesion, a seed from 0 on")
    out = resolved(out)
    _check_replaceable(out)
    with replacing(out) as scratch:
        (scratch / "images").mkdir()
        people = population(lesions, seed)
        _draw_all(people, seed, scratch / "images", workers or usable_cores())
        rows = _rows(people)
        planted = _plant(scratch / "images", rows) if faults else {}
        write_atomic(scratch / "metadata.csv", _table(rows))
        record = {"schema": SCHEMA, "lesions": lesions, "seed": seed, "images": len(rows), "faults": planted}
        write_json(scratch / MARKER, record)
    return SampleResult(out, out / "metadata.csv", out / "images", len(rows), lesions, planted)


def _check_replaceable(out: Path) -> None:
    try:
        recover(out)
        if not out.exists() or (out.is_dir() and all(is_scratch(entry.name) for entry in out.iterdir())):
            return
        read_json(out / MARKER, SCHEMA, most=LARGE_BYTES)
    except OSError as error:
        raise ConfigError(f"{out}: cannot be written ({error.strerror}); choose another --out") from error
    except ArtifactError as error:
        raise ArtifactError(f"{out}: already exists and is not a sample; choose another --out or remove it") from error


def _first_images(people: list[Lesion]) -> list[int]:
    """Number of each lesion's first image."""
    first, total = [], 0
    for lesion in people:
        first.append(total)
        total += lesion.images
    return first


def _draw_all(people: list[Lesion], seed: int, folder: Path, workers: int) -> None:
    work = list(zip(people, _first_images(people), strict=True))
    chunks = [work[i : i + _CHUNK] for i in range(0, len(work), _CHUNK)]
    with progress("sample images", sum(lesion.images for lesion in people)) as bar:
        if workers == 1 or len(people) < _IN_PROCESS:
            for chunk in chunks:
                bar.advance(_draw(chunk, seed, folder))
            return
        # spawn: the parent may have threads, and a forked copy of them can hang
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, mp_context=context) as pool:
            for drawn in pool.map(_draw, chunks, [seed] * len(chunks), [folder] * len(chunks)):
                bar.advance(drawn)


def _draw(chunk: list[tuple[Lesion, int]], seed: int, folder: Path) -> int:
    """Draws a few lesions; seeded one by one, so the division of the work does not matter."""
    import cv2
    import numpy as np

    from components.common.imaging.pixels import encode_jpeg
    from pipelines.sample.drawing import draw_patch, take_picture
    from pipelines.sample.looks import draw_looks

    cv2.setNumThreads(1)
    drawn = 0
    for lesion, first in chunk:
        random = np.random.default_rng([seed, 1, lesion.number])
        patch = draw_patch(draw_looks(lesion.dx, random), random)
        for picture in range(lesion.images):
            rgb = take_picture(patch, lesion.source, random)
            (folder / f"{image_id(first + picture)}.jpg").write_bytes(encode_jpeg(rgb, _QUALITY))
            drawn += 1
    return drawn


def image_id(number: int) -> str:
    """Id of the image with that number; the prefix keeps it apart from any real one."""
    return f"SAMPLE_{number:07d}"


def _rows(people: list[Lesion]) -> list[dict[str, str]]:
    rows = []
    for lesion, first in zip(people, _first_images(people), strict=True):
        person = asdict(lesion)
        age = "" if math.isnan(lesion.age) else f"{lesion.age:.1f}"
        shared = {"lesion_id": f"LESION_{lesion.number:06d}", "localization": lesion.site, "dataset": lesion.source}
        for picture in range(lesion.images):
            row = {**person, **shared, "age": age, "image_id": image_id(first + picture)}
            rows.append({name: str(row[name]) for name in COLUMNS})
    return rows


def _plant(images: Path, rows: list[dict[str, str]]) -> dict[str, list[str]]:
    from pipelines.sample.faults import plant_faults

    return plant_faults(images, rows)


def _table(rows: list[dict[str, str]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
