"""The training feed against the usual generator, in one run and on one core: images a second at 224x224.

Baseline, as notebooks write it: `cv2.imread` of the file, RGB, resize, flip, rotation by a warp, zoom by crop and
resize, float32 in 0..1. Ours: every batch of `TrainFeed` from a real records artifact, which does flip, rotation,
zoom, translation, brightness and contrast; its one decoding pass counts as one of `EPOCHS`. Streamed: each image
is read and decoded anew. CPU seconds of the whole process, paired rounds, median of the ratios.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from components.common.artifacts.record import Record, encode_record
from components.common.artifacts.records_manifest import RecordsManifest, Shard, SplitRecords, write_manifest
from components.common.artifacts.tfrecord import frame
from components.common.imaging.inspect import decode_rgb
from components.common.imaging.pixels import encode_jpeg
from components.common.imaging.prepare import stored_image
from components.train.augmentation import Augmentation
from components.train.feed import TrainFeed
from components.train.records import load_split
from pipelines.sample.generate import make_sample

REAL = Path(__file__).parents[3] / "shared" / "ham10000" / "HAM10000_images_part_1"
IMAGES, SIDE, EPOCHS, BATCH, ROUNDS = 256, 224, 20, 32, 5
_GRAIN = 7.5  # grey levels; the files stay smaller than a camera's, which favours the baseline


def main() -> None:
    """Prints a block for each kind of file."""
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        compare("generated 600x450", camera_files(folder / "camera"), folder / "a")
        if REAL.is_dir():
            compare("reference 200x150", sorted(REAL.glob("*.jpg"))[:IMAGES], folder / "b")


def camera_files(folder: Path) -> list[Path]:
    """Sample pictures enlarged to HAM10000's full size, with a camera's grain."""
    sample = make_sample(folder, IMAGES, 1)
    random = np.random.default_rng(0)
    paths = sorted(sample.folder.iterdir())[:IMAGES]
    for path in paths:
        large = cv2.resize(decode_rgb(path.read_bytes()), (600, 450), interpolation=cv2.INTER_CUBIC)
        grain = random.normal(0, _GRAIN, (450, 600, 1))
        path.write_bytes(encode_jpeg(np.clip(large + grain, 0, 255).astype(np.uint8), 95))
    return paths


def compare(name: str, paths: list[Path], folder: Path) -> None:
    """Prints the figures of one kind of file."""
    write_records(paths, folder)
    size = (SIDE, SIDE)
    started = time.process_time()
    cached = load_split(folder, "train", size, "memory")
    decoding = time.process_time() - started
    streamed = load_split(folder, "train", size, "stream")
    feeds = [
        TrainFeed(data, BATCH, 0, Augmentation(), np.ones(2, np.float32), threads=1) for data in (cached, streamed)
    ]
    rng = np.random.default_rng(0)
    rounds = [[cpu_seconds(lambda: usual(paths, rng))] + [cpu_seconds(lambda f=feed: drain(f)) for feed in feeds]
              for _ in range(ROUNDS)]  # fmt: skip
    kilobytes = sum(path.stat().st_size for path in paths) / len(paths) / 1e3
    write(f"feed at {SIDE}x{SIDE} from {name} files of {kilobytes:.0f} kB, images/s of one core:")
    baseline = statistics.median(theirs for theirs, _, _ in rounds)
    write(f"  usual generator            {IMAGES / baseline:7.0f}")
    write(f"  ours, reading and decoding {IMAGES / decoding:7.0f}   once")
    for label, column, once in (("in memory", 1, decoding / EPOCHS), ("streamed", 2, 0.0)):
        ours = statistics.median(row[column] for row in rounds)
        ratio = statistics.median(row[0] / (row[column] + once) for row in rounds)
        text = f"of {EPOCHS} epochs, decoding included" if once else ""
        write(f"  ours, {label:<10}           {IMAGES / ours:7.0f}   ratio {ratio:.1f} {text}".rstrip())


def usual(paths: list[Path], rng: np.random.Generator) -> None:
    """One epoch of the generator that notebooks show."""
    for start in range(0, len(paths), BATCH):
        batch = []
        for path in paths[start : start + BATCH]:
            image = cv2.resize(cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB), (SIDE, SIDE))
            if rng.random() < 0.5:
                image = cv2.flip(image, 1)
            matrix = cv2.getRotationMatrix2D((SIDE / 2, SIDE / 2), rng.uniform(-180, 180), 1.0)
            image = cv2.warpAffine(image, matrix, (SIDE, SIDE), borderMode=cv2.BORDER_REFLECT_101)
            cut = int(SIDE * rng.uniform(0, 0.13)) // 2
            image = cv2.resize(image[cut : SIDE - cut, cut : SIDE - cut], (SIDE, SIDE))
            batch.append(image.astype(np.float32) / 255.0)
        np.stack(batch)


def drain(feed: TrainFeed) -> None:
    """One epoch of ours."""
    for _ in feed.epoch(0):
        pass


def cpu_seconds(work: Callable[[], None]) -> float:
    """CPU seconds of all threads of this process."""
    started = time.process_time()
    work()
    return time.process_time() - started


def write_records(paths: list[Path], folder: Path) -> None:
    """A records artifact with one training shard, stored as the records step stores training images."""
    folder.mkdir()
    with (folder / "train-00000-of-00001.tfrecord").open("wb") as shard:
        for path in paths:
            data = stored_image(path.read_bytes(), SIDE, 95, plain=True)
            shard.write(frame(encode_record(Record(data, path.stem, path.stem, path.stem, "nv", 0, 0, 0, 1.0))))
    shard = Shard("train-00000-of-00001.tfrecord", "", 0, len(paths), {"0": len(paths), "1": 0})
    counts = SplitRecords(len(paths), len(paths), 0, shard.label_counts, [shard])
    write_manifest(folder, RecordsManifest(SIDE, 95, {"nv": 0}, {}, {"train": counts}, [], 0, {}))


def write(line: str) -> None:
    """Prints one line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
