"""Records: a second build against the first, and our shard writer against TensorFlow's and a tar archive's.

`python tests/benchmarks/bench_records.py`. The second build is of the very same into the same folder: it reads and
hashes every image and every shard. Goal: >= 15 times the first.

All writers write the same payloads (about the size of prepared images) to the same disk and close the file. Ours also
hashes every shard for the manifest; the unchecked framing alone is the like-for-like figure. The tar
baseline is webdataset's own TarWriter, one member an image and one for its label.
Goals: >= 1.2x TFRecordWriter, >= 1.5x tar.
"""

import shutil
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
from bench_ingest import REAL, generated, reference

from components.common.artifacts.tfrecord import frame
from components.ingest.config import IngestConfig
from components.ingest.run import run as ingest
from components.records.config import RecordsConfig
from components.records.run import run as make
from components.records.writing import ShardWriter
from components.split.config import SplitConfig
from components.split.run import run as split

COUNT, ROUNDS = 20_000, 5


def say(line):
    sys.stdout.write(line + "\n")


def payloads():
    random = np.random.default_rng(0)
    block = random.bytes(1 << 20)
    sizes = random.integers(5_000, 12_000, COUNT)
    starts = random.integers(0, (1 << 20) - 12_000, COUNT)
    return [block[a : a + n] for a, n in zip(starts.tolist(), sizes.tolist(), strict=True)]


def plain(folder, records):
    with (folder / "plain.tfrecord").open("wb", buffering=1 << 20) as handle:
        write = handle.write
        for one in records:
            write(frame(one))


def hashed(folder, records):
    with ShardWriter(folder, "train", 1 << 40) as writer:
        for one in records:
            writer.write(one, 0)


def tensorflow(folder, records):
    import tensorflow as tf

    with tf.io.TFRecordWriter(str(folder / "tf.tfrecord")) as writer:
        for one in records:
            writer.write(one)


def tar(folder, records):
    from webdataset import TarWriter

    with TarWriter(str(folder / "a.tar")) as archive:
        for i, one in enumerate(records):
            archive.write({"__key__": f"{i:08d}", "jpg": one, "cls": 0})


def best(work, records):
    seconds = []
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as folder:
            started = time.process_time()
            work(Path(folder), records)
            seconds.append(time.process_time() - started)
    return min(seconds)


def rebuild(what, table, root, images, folder):
    """The first build of records and the second, which hashes images and shards: CPU of one thread, best of three."""
    ingest(IngestConfig(), table, [root], folder / "index")
    split(SplitConfig(recipe="stratified"), folder / "index", folder / "split")
    for size in (144, 224):
        out = folder / f"records{size}"
        build = partial(make, RecordsConfig(record_size=size, workers=1), folder / "split", out)
        first = cpu(build, partial(shutil.rmtree, out, ignore_errors=True))
        again = cpu(build, out.stat)
        say(
            f"{what}, record_size {size}: {images} images, first build {1e6 * first / images:.0f} us of CPU an image, "
            f"second {1e6 * again / images:.0f}, ratio {first / again:.1f}"
        )


def cpu(work, before):
    seconds = []
    for _ in range(3):
        before()
        started = time.process_time()
        work()
        seconds.append(time.process_time() - started)
    return min(seconds)


def main():
    with tempfile.TemporaryDirectory() as scratch:
        for name, source in (("generated 600x450", generated), ("reference 200x150", reference)):
            if source is generated or REAL.is_dir():
                folder = Path(scratch) / source.__name__
                folder.mkdir()
                rebuild(name, *source(folder / "data"), folder)
    write()


def write():
    records = payloads()
    tf_seconds = best(tensorflow, records)
    results = {"framing, unchecked": best(plain, records), "shards with sha256": best(hashed, records)}
    tar_seconds = best(tar, records)
    size = sum(map(len, records)) / 1e6
    say(f"{COUNT} records, {size:.0f} MB; TFRecordWriter {tf_seconds:.3f} s, TarWriter {tar_seconds:.3f} s of CPU")
    for name, seconds in results.items():
        ratios = f"{tf_seconds / seconds:.2f}x TFRecordWriter, {tar_seconds / seconds:.2f}x TarWriter"
        say(f"{name}: {seconds:.3f} s, {ratios}")


if __name__ == "__main__":
    main()
