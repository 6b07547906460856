"""Ingest against an unchecked conversion, with a cache against without, and on a very large table.

Baseline of the first: cv2.imread, resize to 224, tf.io.TFRecordWriter: no check, no hash. CPU seconds of one
thread, on generated 600x450 images and, where they are, on the reference data's 200x150. Last, a table of 400,000
rows and 55 columns as SLICE-3D has them, whose images are not there: goal 15 s of two cores and 1 GB. Run it alone;
`table` as an argument measures the table only.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from components.common.imaging.inspect import decode_rgb
from components.common.imaging.pixels import encode_jpeg
from components.ingest.config import IngestConfig
from components.ingest.run import run
from pipelines.sample.generate import make_sample

REAL = Path(__file__).parents[3] / "shared" / "ham10000"
IMAGES = 600


def main() -> None:
    """Prints a line for each figure."""
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        large_table(folder / "table")
        if sys.argv[1:] == ["table"]:
            return
        compare("generated 600x450", *generated(folder / "data"), folder / "a")
        if REAL.is_dir():
            compare("reference 200x150", *reference(folder / "real"), folder / "b")


def large_table(folder: Path) -> None:
    """CPU seconds and peak memory of a process that ingests the table, with the one image that is there."""
    (folder / "images").mkdir(parents=True)
    (folder / "images" / "ISIC_0000000.jpg").write_bytes(encode_jpeg(np.full((60, 80, 3), 90, np.uint8), 90))
    facts = ["isic_id", "target", "patient_id", "age_approx", "sex", "tbp_tile_type", "copyright_license", "lesion_id"]
    numbers = np.random.default_rng(0).uniform(0, 100, 20_000).round(6).astype(str)
    with (folder / "table.csv").open("w") as table:
        table.write(",".join([*facts, *(f"tbp_lv_{i}" for i in range(55 - len(facts)))]) + "\n")
        for i in range(400_000):
            row = [f"ISIC_{i:07d}", str(int(i % 1000 == 0)), f"IP_{i // 400}", str(5 * (i % 18)), "male", "3D: white"]
            table.write(",".join([*row, "CC-BY", "", *numbers.take(np.arange(47 * i, 47 * i + 47) % 20_000)]) + "\n")
    arguments = ["--metadata", folder / "table.csv", "--images", folder / "images", "--out", folder / "out"]
    command = [sys.executable, "-m", "components.ingest", *map(str, arguments), "--max_lost_pct", "100"]
    subprocess.run(command, capture_output=True, check=True)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    sys.stdout.write(
        f"table of 400,000 rows and 55 columns: {used.ru_utime + used.ru_stime:.1f} CPU seconds, "
        f"{used.ru_maxrss / 1e3:.0f} MB at most\n"
    )


def generated(folder: Path) -> tuple[str, str, int]:
    """Sample pictures enlarged to HAM10000's full size, with a camera's grain."""
    sample = make_sample(folder, IMAGES * 3 // 4, 1)
    random = np.random.default_rng(0)
    for path in sample.folder.iterdir():
        large = cv2.resize(decode_rgb(path.read_bytes()), (600, 450), interpolation=cv2.INTER_CUBIC)
        grain = random.normal(0, 4, (450, 600, 1))
        path.write_bytes(encode_jpeg(np.clip(large + grain, 0, 255).astype(np.uint8), 90))
    time.sleep(11)  # a file changed in the last ten seconds is not taken as unchanged
    return str(sample.metadata), str(sample.folder), sample.images


def reference(folder: Path) -> tuple[str, str, int]:
    """The first part of the reference data with its rows of the table."""
    root = REAL / "HAM10000_images_part_1"
    names = {path.stem for path in root.iterdir()}
    head, *rows = (REAL / "HAM10000_metadata.csv").read_text().splitlines()
    kept = [row for row in rows if row.split(",")[1] in names]
    folder.mkdir()
    (folder / "table.csv").write_text("\n".join([head, *kept]) + "\n")
    return str(folder / "table.csv"), str(root), len(kept)


def compare(what: str, table: str, root: str, images: int, out: Path) -> None:
    """Ours, the baseline, and ours with a cache of the same images, each the best of three."""
    config = IngestConfig(threads=1)
    paths = [str(path) for path in sorted(Path(root).iterdir())][:images]
    first = min(cpu(partial(run, config, table, [root], out.with_name(f"{out.name}{i}"))) for i in range(3))
    kept = IngestConfig(threads=1, cache=str(out.with_name(f"{out.name}-cache")))
    run(kept, table, [root], out.with_name(f"{out.name}4"))
    stamped = min(cpu(partial(run, kept, table, [root], out.with_name(f"{out.name}{i}"))) for i in range(5, 8))
    base = min(cpu(lambda: convert(paths, out.with_suffix(".tfrecord"))) for _ in range(3))
    line = f"{what}: {images} images: ingest {images / first:.0f}/s, unchecked conversion {images / base:.0f}/s, "
    line += f"ratio {base / first:.2f}; with a cache {images / stamped:.0f}/s, {first / stamped:.1f} times the first"
    sys.stdout.write(f"{line}\n")


def convert(paths: list[str], target: Path) -> None:
    """The baseline: no check, half-read files become grey pixels."""
    import tensorflow as tf

    with tf.io.TFRecordWriter(str(target)) as writer:
        for path in paths:
            pixels = cv2.resize(cv2.imread(path), (224, 224))
            image = tf.train.Feature(bytes_list=tf.train.BytesList(value=[pixels.tobytes()]))
            writer.write(tf.train.Example(features=tf.train.Features(feature={"image": image})).SerializeToString())


def cpu(body: Callable[[], object]) -> float:
    """CPU seconds of this process."""
    started = time.process_time()
    body()
    return time.process_time() - started


if __name__ == "__main__":
    main()
