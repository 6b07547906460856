"""The whole split step on an index of ten million rows: `python tests/benchmarks/bench_split_step.py [ROWS]`.

The index has ids, hashes and addresses as ingest writes them, a thousandth of the files twice, and no thumbnails.
The step runs in a fresh interpreter, as its pod does; printed are wall time, CPU time and peak memory. pandas, which
the step did without, is the baseline: what it takes for reading the same index and writing it again.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from bench_split import make_rows

from components.common.artifacts.folder import new_artifact, write_json

PEAK = "next(int(line.split()[1]) for line in open('/proc/self/status') if line.startswith('VmHWM'))"
END = f"import os; print(sum(os.times()[:2]), {PEAK}, flush=True); os._exit(0)"
STEP = f"""import sys; from components.split.__main__ import main
assert main(['--index', sys.argv[1], '--recipe', 'stratified', '--out', sys.argv[2]]) == 0; {END}"""
PANDAS = f"""import os, sys, pandas; os.makedirs(sys.argv[2])
pandas.read_parquet(sys.argv[1] + '/index.parquet').to_parquet(sys.argv[2] + '/index.parquet', index=False); {END}"""


def make_index(folder, n):
    random = np.random.default_rng(1)
    rows = pa.Table.from_pandas(make_rows(n), preserve_index=False).replace_schema_metadata()
    rows = rows.cast(pa.schema([(f.name, pa.string() if f.type == pa.large_string() else f.type) for f in rows.schema]))
    uri = pc.binary_join_element_wise("s3://bucket/images/", rows["image_id"], ".jpg", "")
    for name, values in {"uri": uri, "sha256": hexes(random, n, 64), "phash": hexes(random, n, 16)}.items():
        rows = rows.append_column(name, values)
    for name, value in {"verdict": "ok", "reason": "", "localization": "back", "dataset": ""}.items():
        rows = rows.append_column(name, pa.repeat(value, n))
    with new_artifact(folder, "index", {}) as scratch:
        pq.write_table(rows, scratch / "index.parquet", compression="zstd")
        write_json(scratch / "ingest.json", {"schema": "lesionflow.ingest/1", "roots": []})


def hexes(random, n, width):
    text = np.frombuffer(b"0123456789abcdef", np.uint8)[random.integers(0, 16, (n, width), dtype=np.uint8)]
    copies = random.integers(0, n, (2, n // 1000 if width == 64 else 0))
    text[copies[0]] = text[copies[1]]
    return pa.Array.from_buffers(
        pa.string(), n, [None, pa.py_buffer((np.arange(n + 1) * width).astype(np.int32)), pa.py_buffer(text)]
    )


def measured(code, index, out):
    began = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code, index, out], capture_output=True, text=True, check=True)
    cpu, kilobytes = done.stdout.split()[-2:]
    return time.perf_counter() - began, float(cpu), int(kilobytes) / 1e6


def main():
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000_000
    with tempfile.TemporaryDirectory() as folder:
        make_index(Path(folder) / "index", n)
        for name, code in (("the whole step", STEP), ("pandas reading and writing the index", PANDAS)):
            wall, cpu, peak = measured(code, f"{folder}/index", f"{folder}/{name}")
            sys.stdout.write(f"{n} rows, {name}: {wall:.1f} s, {cpu:.1f} s of CPU, peak {peak:.1f} GB\n")


if __name__ == "__main__":
    main()
