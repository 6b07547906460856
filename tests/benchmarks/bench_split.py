"""The whole split step on an index of one million rows: `python tests/benchmarks/bench_split.py [ROWS]`.

The index has ids, hashes and addresses as ingest writes them, a patient per five lesions, a thousandth of the files
twice, and no thumbnails (bench_near.py has those). The step runs in a fresh interpreter, as its pod does; printed are
wall time, CPU time and peak memory, and what pandas alone takes for reading the same index and writing it again.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from components.common.artifacts.folder import new_artifact
from components.common.artifacts.index import write_account, write_index

DX = np.array(["akiec", "bcc", "bkl", "df", "mel", "nv", "vasc"])
SHARES = [0.033, 0.051, 0.11, 0.011, 0.111, 0.67, 0.014]
PEAK = "next(int(line.split()[1]) for line in open('/proc/self/status') if line.startswith('VmHWM'))"
END = f"import os; print(sum(os.times()[:2]), {PEAK}, flush=True); os._exit(0)"
STEP = f"""import sys; from components.split.__main__ import main
assert main(['--index', sys.argv[1], '--recipe', 'stratified', '--out', sys.argv[2]]) == 0; {END}"""
PANDAS = f"""import os, sys, pandas; os.makedirs(sys.argv[2])
pandas.read_parquet(sys.argv[1] + '/index.parquet').to_parquet(sys.argv[2] + '/index.parquet', index=False); {END}"""


def make_index(folder, n):
    random = np.random.default_rng(0)
    lesion = np.sort(random.integers(0, n * 3 // 4, n))
    dx = random.choice(7, n * 3 // 4, p=SHARES)[lesion]
    image_id = pd.Series([f"ISIC_{i:07d}" for i in range(n)])
    sha256 = pd.Series([random.bytes(32).hex() for _ in range(n)])
    copies = random.choice(np.flatnonzero(dx == 5), (2, n // 1000))  # of one diagnosis: others are contradictions
    sha256[copies[0]] = sha256[copies[1]].to_numpy()
    lesions = pd.Series([f"HAM_{i:07d}" for i in lesion])
    rows = pd.DataFrame(
        {
            "image_id": image_id,
            "lesion_id": lesions,
            "group_id": lesions,
            "dx": DX[dx],
            "label": np.isin(dx, (0, 1, 4)).astype(np.int8),
            "uri": "s3://bucket/images/" + image_id + ".jpg",
            "sha256": sha256,
            "width": 600,
            "height": 450,
            "phash": sha256.str[:16],
            "verdict": "ok",
            "reason": "",
            "format": "jpeg",
            "channels": 3,
            "orientation": 1,
            "size": 100_000,
            "age": random.integers(1, 95, n).astype(float),
            "sex": random.choice(["male", "female"], n),
            "localization": "back",
            "dx_type": "histo",
            "dataset": "",
            "patient_id": pd.Series([f"IP_{i // 5:06d}" for i in lesion]),
        }
    )
    with new_artifact(folder, "index", {}) as scratch:
        write_index(scratch, rows)
        write_account(scratch, {"roots": []})


def measured(code, index, out):
    began = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code, index, out], stdout=subprocess.PIPE, text=True, check=True)
    cpu, kilobytes = done.stdout.split()[-2:]
    return time.perf_counter() - began, float(cpu), int(kilobytes) / 1e6


def main():
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as folder:
        make_index(Path(folder) / "index", n)
        for name, code in (("the whole step", STEP), ("pandas reading and writing the index", PANDAS)):
            wall, cpu, peak = measured(code, f"{folder}/index", f"{folder}/{name}")
            sys.stdout.write(f"{n} rows, {name}: {wall:.1f} s, {cpu:.1f} s of CPU, peak {peak:.2f} GB\n")


if __name__ == "__main__":
    main()
