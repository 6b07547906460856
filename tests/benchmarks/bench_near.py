"""Near-duplicates against perceptual hashes of all pairs: `python tests/benchmarks/bench_near.py [PICTURES ...]`.

Pictures are HAM10000's, a changed copy of every second one (the changes docs/reference/data.md names, in turn) and,
to make up the number, disjoint tiles of all of them. The baseline is a 64-bit hash of the discrete cosine transform
of each picture and of its turned and mirrored copies, two of them at most 8 bits apart; it compares all pairs and
stops where that takes minutes. Printed are wall and CPU seconds, the share of planted copies found, and pairs between
pictures of two lesions that are not planted copies: HAM10000 itself holds nine that are found. Goals: seconds at
10,000, no quadratic growth.
"""

from __future__ import annotations

import csv
import math
import resource
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from components.common.imaging.inspect import decode_rgb
from components.common.imaging.pixels import encode_jpeg
from components.common.imaging.thumbnail import make_thumbnail, read_thumbnail
from components.split.near_duplicates.match import match

REAL = Path(__file__).parents[3] / "shared" / "ham10000"
COMPARED = 20_000  # pictures up to which the baseline runs
BITS = 8


def recoded(image):
    return decode_rgb(encode_jpeg(image, 50))


def shrunk(image):
    return cv2.resize(image, (image.shape[1] // 3, image.shape[0] // 3), interpolation=cv2.INTER_AREA)


def cropped(image, side):
    """A tenth of height and width away, at one corner or all round."""
    height, width = (length // 10 for length in image.shape[:2])
    y, x = (0, 0) if side == "corner" else (height // 2, width // 2)
    return image[y : y + image.shape[0] - height, x : x + image.shape[1] - width]


def brightened(image, factor):
    return np.clip(image * factor, 0, 255).astype(np.uint8)


CHANGES = {
    "quality 50": recoded,
    "a third": shrunk,
    "turned 90": np.rot90,
    "turned 180": partial(np.rot90, k=2),
    "turned 270": partial(np.rot90, k=3),
    "mirrored": lambda image: image[:, ::-1],
    "cropped at a corner": partial(cropped, side="corner"),
    "cropped all round": partial(cropped, side="all"),
    "brighter": partial(brightened, factor=1.15),
    "darker": partial(brightened, factor=0.85),
}


def main() -> None:
    """Prints lines for each number of pictures."""
    if not REAL.is_dir():
        say("near-duplicates: the reference data is not there, nothing to measure on")
        return
    cv2.setNumThreads(1)
    for rows in [int(one) for one in sys.argv[1:]] or [15_000]:
        measure(rows)


def measure(rows: int) -> None:
    """One number of pictures."""
    lesions, thumbnails, planted = make_pictures(rows)
    (left, right, _), wall, cpu = timed(lambda: match(thumbnails))
    found = set(zip(left.tolist(), right.tolist(), strict=True))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    say(f"{len(thumbnails)} pictures: near-duplicates {wall:.1f} s, CPU {cpu:.1f} s, process at most {peak:.1f} GB")
    report("ours", found, planted, lesions)
    if len(thumbnails) > COMPARED:
        return
    pairs, their_wall, their_cpu = timed(lambda: hashed_pairs(thumbnails))
    say(f"hashes of all pairs: {their_wall:.1f} s, CPU {their_cpu:.1f} s: {their_cpu / cpu:.2f}x our CPU time")
    report("hashes", pairs, planted, lesions)


def report(whose: str, found: set[tuple[int, int]], planted: dict[tuple[int, int], str], lesions: list[str]) -> None:
    """How many of the planted copies were found, and what else."""
    between = sum(lesions[a] != lesions[b] for a, b in found)
    missed = [change for pair, change in planted.items() if pair not in found]
    worst = {change: missed.count(change) for change in sorted(set(missed))}
    say(f"  {whose}: {len(planted) - len(missed)} of {len(planted)} planted copies found, missed {worst or 'none'}")
    say(f"  {whose}: {len(found)} pairs, {between} between lesions")


def make_pictures(rows: int) -> tuple[list[str], list[bytes], dict[tuple[int, int], str]]:
    """Lesion and thumbnail of each picture, and which pairs are planted by which change."""
    with (REAL / "HAM10000_metadata.csv").open() as handle:
        table = list(csv.DictReader(handle))
    files = {path.stem: path for path in REAL.glob("HAM10000_images_part_*/*.jpg")}
    table = table[:rows]
    copies = len(table) // 2 if rows > len(table) else 0
    grid = math.ceil(math.sqrt(max(rows - len(table) - copies, 0) / len(table)))
    names = list(CHANGES)

    def read(i: int) -> tuple[bytes, bytes | None, list[bytes]]:
        image = decode_rgb(files[table[i]["image_id"]].read_bytes())
        changed = CHANGES[names[i // 2 % len(names)]](image) if copies and i % 2 == 0 else None
        copy = None if changed is None else make_thumbnail(np.ascontiguousarray(changed))
        return make_thumbnail(image), copy, [make_thumbnail(tile) for tile in tiles(image, grid)]

    with ThreadPoolExecutor(2) as pool:
        read_all = list(pool.map(read, range(len(table))))
    pictures = [(i, whole) for i, (whole, _, _) in enumerate(read_all)]
    copied = [(i, copy) for i, (_, copy, _) in enumerate(read_all) if copy is not None]
    planted = {(i, len(pictures) + at): names[i // 2 % len(names)] for at, (i, _) in enumerate(copied)}
    pictures += copied + [(i, tile) for i, (_, _, cut) in enumerate(read_all) for tile in cut]
    pictures = pictures[: max(rows, len(pictures[: len(table) + len(copied)]))]
    return [table[i]["lesion_id"] for i, _ in pictures], [thumbnail for _, thumbnail in pictures], planted


def tiles(image: np.ndarray, grid: int) -> list[np.ndarray]:
    """`grid` x `grid` disjoint parts of an image."""
    if grid < 2:
        return []
    height, width = (length // grid for length in image.shape[:2])
    return [
        np.ascontiguousarray(image[y * height : (y + 1) * height, x * width : (x + 1) * width])
        for y in range(grid)
        for x in range(grid)
    ]


def hashed_pairs(thumbnails: list[bytes]) -> set[tuple[int, int]]:
    """All pairs whose hashes, one of them turned or mirrored, are at most `BITS` apart."""
    turned = np.array([dct_hashes(one) for one in thumbnails])
    found = set()
    for i in range(len(turned) - 1):
        apart = np.bitwise_count(turned[i + 1 :, :] ^ turned[i, 0]).min(axis=1)
        found |= {(i, int(j)) for j in np.flatnonzero(apart <= BITS) + i + 1}
    return found


def dct_hashes(thumbnail: bytes) -> list[np.uint64]:
    """Signs of the 8 x 8 lowest terms against their median, for each turn and mirroring."""
    grey = cv2.cvtColor(read_thumbnail(thumbnail), cv2.COLOR_RGB2GRAY)
    square = cv2.resize(grey, (32, 32), interpolation=cv2.INTER_AREA).astype(np.float32)
    words = []
    for flipped in (square, square[:, ::-1]):
        for k in range(4):
            low = cv2.dct(np.ascontiguousarray(np.rot90(flipped, k)))[:8, :8].ravel()
            words.append(np.packbits(low > np.median(low[1:])).view(np.uint64)[0])
    return words


def timed(work: Callable[[], object]) -> tuple[object, float, float]:
    """Result, wall and CPU seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    return result, time.perf_counter() - wall, time.process_time() - cpu


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
