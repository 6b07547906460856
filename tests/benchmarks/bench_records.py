"""Our shard writer against TensorFlow's and a tar archive's: `python tests/benchmarks/bench_records.py`.

All writers write the same payloads (about the size of prepared images) to the same disk and close the file. Ours also
hashes every shard for the manifest; the unchecked framing alone is the like-for-like figure. The tar
baseline is webdataset's own TarWriter, one member per image and one for its label.
Goals: >= 1.2x TFRecordWriter, >= 1.5x tar.
"""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from components.common.artifacts.tfrecord import frame
from components.records.writing import ShardWriter

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


def main():
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
