"""However large the images and however many the threads: ingest stays below 1 GB."""

import io
import struct
import subprocess
import sys
import zlib

import numpy as np
from PIL import Image

CODE = """
import sys
from pathlib import Path
from components.ingest import check
from components.ingest.config import IngestConfig
from components.ingest.run import run
check.usable_cores, check._BATCH = lambda: 64, 1  # as on a machine of 64 cores, every thread with a file
folder = Path(sys.argv[1])
result = run(IngestConfig(threads=24), str(folder / "table.csv"), [str(folder / "images")], folder / "out")
peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(result.ok, peak // 1000)
"""


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
