"""However many threads work on however large images: the memory they share has a bound, and nobody waits forever."""

import io
import random
import struct
import subprocess
import sys
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from components.ingest.budget import SMALL, Budget

MB = 2**20
CODE = """
import sys
from pathlib import Path
from threading import BoundedSemaphore
from components.ingest import check
from components.ingest.config import IngestConfig
from components.ingest.run import run
check._DECODING, check._BATCH = BoundedSemaphore(64), 1  # as on a machine of 64 cores, every thread with a file
folder = Path(sys.argv[1])
result = run(IngestConfig(threads=24), str(folder / "table.csv"), [str(folder / "images")], folder / "out")
peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(result.ok, peak // 1000)
"""


class Use:
    """Takes bytes of a budget and remembers the most that was taken at a time."""

    def __init__(self, total):
        self.budget, self.lock, self.now, self.most = Budget(total), threading.Lock(), 0, 0

    def __call__(self, size):
        with self.budget.take(size):
            with self.lock:
                self.now += size
                self.most = max(self.most, self.now)
            time.sleep(random.random() / 2000)
            with self.lock:
                self.now -= size


@given(st.lists(st.integers(SMALL + 1, 9 * MB), min_size=1, max_size=60), st.integers(1, 24))
@settings(max_examples=40, deadline=None)
def test_any_requests_of_any_number_of_threads_stay_within_the_total_and_end(sizes, threads):
    use = Use(10 * MB)
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(use, sizes))
    assert use.now == 0
    assert use.most <= 10 * MB
    with use.budget.take(10 * MB):  # all of it came back
        pass


def test_a_request_larger_than_the_total_is_met_alone():
    use = Use(10 * MB)
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(use, [3 * MB, 50 * MB, 2 * MB, 11 * MB] * 20))
    assert use.most == 50 * MB


def test_a_large_request_goes_before_small_ones_that_came_later():
    budget, order = Budget(10 * MB), []

    def take(size, name):
        with budget.take(size):
            order.append(name)

    def waiting(count):
        while len(budget._waiting) < count:
            time.sleep(0.001)

    with ThreadPoolExecutor(3) as pool, budget.take(6 * MB):
        pool.submit(take, 8 * MB, "large")
        waiting(1)
        pool.submit(take, 2 * MB, "fits already")
        waiting(2)
        assert order == []
        take(SMALL, "tiny")
    assert order[:2] == ["tiny", "large"]


def test_an_error_gives_the_bytes_back():
    budget = Budget(10 * MB)
    for _ in range(3):
        with pytest.raises(ValueError, match="torn"), budget.take(10 * MB):
            raise ValueError("torn")


def png(width, height, number):
    """A valid PNG of black pixels, with a text chunk that makes its bytes its own."""
    packer = zlib.compressobj(1)
    pixels = b"".join(packer.compress(bytes(3 * width + 1)) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"tEXt", b"a\0%d" % number), (b"IDAT", pixels), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )


def progressive(width, height, number):
    """A progressive JPEG in full colour, whose coefficients a decoder must all hold, six bytes a pixel."""
    buffer, pixels = io.BytesIO(), np.zeros((height, width, 3), np.uint8)
    pixels[:, :, 0] = np.arange(width) % 251
    Image.fromarray(pixels).save(
        buffer, "JPEG", progressive=True, subsampling=0, quality=80, comment=b"%d" % number
    )  # fmt: skip
    return buffer.getvalue()


def test_many_large_images_in_many_threads_take_less_than_a_gigabyte(tmp_path):
    (tmp_path / "images").mkdir()
    made = [(".png", png(4000, 3000, i)) for i in range(12)] + [(".jpg", progressive(4000, 3000, i)) for i in range(12)]
    made.insert(3, (".png", png(10_000, 9_990, 99)))  # more than the whole budget
    for i, (suffix, data) in enumerate(made):
        (tmp_path / "images" / f"im{i}{suffix}").write_bytes(data)
    rows = "".join(f"im{i},nv\n" for i in range(len(made)))
    (tmp_path / "table.csv").write_text(f"image_id,dx\n{rows}")
    done = subprocess.run([sys.executable, "-c", CODE, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    ok, megabytes = map(int, done.stdout.split())
    assert ok == len(made)
    assert megabytes < 1000
