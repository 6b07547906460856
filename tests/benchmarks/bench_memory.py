"""Peak memory of ingest and records while the number of images grows: `python tests/benchmarks/bench_memory.py [GB]`.

Images of about 1 MB (1800x1350, a camera's grain), each with bytes of its own, so that none is known from
another. Goal: 10 GB of images in under 1 GB of memory; what is printed is VmHWM of a process of its own.
Last, PNG files of 12 megapixels, 36 MB each once decoded, in more and more threads, all of which may decode at once
as on a machine with a core for each. Goal: under 1 GB whatever the number.
"""

import struct
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from components.common.artifacts.folder import new_artifact
from components.common.artifacts.index import read_index
from components.common.artifacts.split import SplitRecord, write_split
from components.common.imaging.pixels import encode_jpeg

STEPS = {
    "ingest": ("--metadata", "{0}/table.csv", "--images", "{0}/images"),
    "records": ("--split", "{0}/split", "--record_size", "224"),
}
MANY_CORES = "from components.ingest import check; check.usable_cores, check._BATCH = lambda: 64, 1"
PEAK = "print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"


def main():
    gigabytes = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
    for share in (0.1, 1.0):
        with tempfile.TemporaryDirectory() as folder:
            size, images = generate(Path(folder), gigabytes * share)
            for step in STEPS:
                if step == "records":
                    divide(Path(folder))
                sys.stdout.write(f"{size / 1e9:.2f} GB, {images} images: {step} {peak(step, folder):.0f} MB at most\n")
    for threads in (1, 4, 16):
        with tempfile.TemporaryDirectory() as folder:
            generate_large(Path(folder), 16)
            most = peak("ingest", folder, "--threads", str(threads), before=MANY_CORES)
            sys.stdout.write(f"16 PNG files of 12 megapixels in {threads} threads: ingest {most:.0f} MB at most\n")


def generate(folder, gigabytes):
    """Variants of twenty pictures: a comment in each file makes its bytes its own."""
    (folder / "images").mkdir()
    pictures = [picture(seed) for seed in range(20)]
    rows, size, number = ["lesion_id,image_id,dx"], 0, 0
    while size < gigabytes * 1e9:
        data, comment = pictures[number % len(pictures)], struct.pack(">I", number)
        data = data[:2] + b"\xff\xfe" + struct.pack(">H", len(comment) + 2) + comment + data[2:]
        (folder / "images" / f"im{number}.jpg").write_bytes(data)
        rows.append(f"L{number % 20},im{number},{('nv', 'mel', 'bkl')[number % 20 % 3]}")
        size, number = size + len(data), number + 1
    (folder / "table.csv").write_text("\n".join(rows) + "\n")
    return size, number


def generate_large(folder, count):
    """Copies of one large PNG; a text chunk in each makes its bytes its own."""
    (folder / "images").mkdir()
    field = np.random.default_rng(0).uniform(40, 220, (9, 12, 3)).astype(np.float32)
    data = cv2.imencode(".png", cv2.resize(field, (4000, 3000)).astype(np.uint8), [cv2.IMWRITE_PNG_COMPRESSION, 1])[1]
    whole = data.tobytes()
    for number in range(count):
        chunk = b"tEXtnumber\0%d" % number
        chunk = struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
        (folder / "images" / f"im{number}.png").write_bytes(whole[:33] + chunk + whole[33:])
    rows = "".join(f"im{number},nv\n" for number in range(count))
    (folder / "table.csv").write_text(f"image_id,dx\n{rows}")


def divide(folder):
    """A split artifact of the index as it is: the copies would all be near-duplicates."""
    index = read_index(folder / "ingest")
    place = np.array(["train", "train", "train", "val", "test"])[np.arange(len(index)) % 5]
    with new_artifact(folder / "split", "split", {}) as made:
        write_split(made, index, pd.Series(place, index.index), SplitRecord("every fifth", 0, "", {}))


def picture(seed):
    random = np.random.default_rng(seed)
    field = cv2.resize(random.uniform(40, 220, (9, 12, 3)).astype(np.float32), (1800, 1350))
    return encode_jpeg(np.clip(field + random.normal(0, 11, field.shape), 0, 255).astype(np.uint8), 92)


def peak(step, folder, *more, before="pass"):
    """Peak memory in MB of one step in a fresh process, in which `before` is run first."""
    arguments = [part.format(folder) for part in STEPS[step]]
    code = f"{before}\nimport sys; from components.{step}.__main__ import main; assert main(sys.argv[1:]) == 0; {PEAK}"
    command = [sys.executable, "-c", code, *arguments, *more, "--out", str(Path(folder) / step)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(done.stdout) / 1e3


if __name__ == "__main__":
    main()
