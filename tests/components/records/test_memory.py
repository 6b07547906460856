"""However large the images and however many the threads: pixels take a bounded share of memory."""

import subprocess
import sys

import cv2
import numpy as np

from components.common.artifacts.folder import sha256_bytes

CODE = """
import sys
from pathlib import Path
from components.records import prepare
from components.records.config import RecordsConfig
from components.records.run import run
prepare.usable_cores = lambda: 64  # as on a machine of 64 cores
result = run(RecordsConfig(record_size=64, workers=32), Path(sys.argv[1]), Path(sys.argv[2]))
peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(result.found["train"], peak // 1000)
"""


def test_many_large_images_in_many_threads_take_turns(data, tmp_path):
    made = data()
    train = np.flatnonzero(made.split == "train")
    stripes = np.broadcast_to((np.arange(4000) % 251).astype(np.uint8)[None, :, None], (3000, 4000, 3))
    picture = cv2.imencode(".png", stripes, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()
    for i in train:
        made.file(i).write_bytes(picture)
    made.rows.loc[train, ["width", "height", "format"]] = [4000, 3000, "png"]
    made.rows.loc[train, "size"] = 2**20  # so large that each is handed to a thread alone
    made.rows.loc[train, "sha256"] = sha256_bytes(picture)
    command = [sys.executable, "-c", CODE, str(made.artifact()), str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found, megabytes = map(int, done.stdout.split())
    assert found == len(train) == 36
    assert megabytes < 1000  # 32 at a time would take 2 GB
