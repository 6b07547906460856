"""Split at ten million rows against pandas per-class draws: `python tests/benchmarks/bench_split.py [ROWS [ROUNDS]]`.

The baseline draws rows of each class with `DataFrame.sample`, as notebooks do; it knows no groups, so it leaks
lesions. Ours keeps groups whole and is timed with the audit and without. Each gets the same data as it has them:
the baseline a DataFrame, ours the Arrow columns that `read_index` gives the step. They take turns; printed are
medians of wall and CPU time. Goals: >= 2x, class shares within 0.01 points, no group in two splits.
"""

import resource
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
import pandas as pd

from components.split.audit import audit, class_shares
from components.split.config import SplitConfig
from components.split.division import Division
from components.split.near_duplicates.find import Pairs
from components.split.recipes import assign
from components.split.tables import read_index

DX = np.array(["akiec", "bcc", "bkl", "df", "mel", "nv", "vasc"])
SHARES = [0.033, 0.051, 0.11, 0.011, 0.111, 0.67, 0.014]
NONE = Pairs(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32))


def make_rows(n):
    random = np.random.default_rng(0)
    lesion = np.sort(random.integers(0, n * 3 // 4, n))
    dx = random.choice(7, n * 3 // 4, p=SHARES).astype(np.int8)[lesion]
    names = pd.Series("L" + pd.Series(np.arange(n * 3 // 4)).astype("str"))
    group = names.take(lesion).reset_index(drop=True)
    return pd.DataFrame(
        {
            "image_id": "I" + pd.Series(np.arange(n)).astype("str"), "lesion_id": group, "group_id": group,
            "dx": pd.Series(DX[dx], dtype="str"), "label": np.isin(dx, (0, 1, 4)).astype(np.int8),
            "age": random.integers(0, 95, n).astype(float),
            "sex": pd.Series(np.array(["male", "female"])[random.integers(0, 2, n)], dtype="str"),
        }
    )  # fmt: skip


def as_the_step_reads_them(rows):
    with tempfile.TemporaryDirectory() as folder:
        rows.assign(sha256="", phash="", verdict="ok").to_parquet(Path(folder) / "index.parquet", index=False)
        return read_index(Path(folder)).select(rows.columns.tolist())


def baseline(rows):
    code = pd.Series(np.int8(0), index=rows.index)
    for _, part in rows.groupby("dx"):
        test = part.sample(frac=0.15, random_state=42)
        val = part.drop(test.index).sample(frac=0.15 / 0.85, random_state=42)
        code[test.index], code[val.index] = 2, 1
    return code.to_numpy()


def say(line):
    sys.stdout.write(line + "\n")


def timed(work, into):
    began, cpu = time.perf_counter(), time.process_time()
    result = work()
    into.append((time.perf_counter() - began, time.process_time() - cpu))
    return result


def main():
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000_000
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    frame = make_rows(n)
    rows = as_the_step_reads_them(frame)
    times = {"split": [], "audit": [], "pandas per-class sampling": []}
    for _ in range(rounds):
        code, _ = timed(lambda: assign(SplitConfig(), rows), times["split"])
        division = Division(rows, code)
        report = timed(lambda one=division: audit(one, NONE), times["audit"])
        timed(lambda: baseline(frame), times["pandas per-class sampling"])
    middle = {name: [median(column) for column in zip(*values, strict=True)] for name, values in times.items()}
    say(f"{n} rows, medians of {rounds} rounds:")
    for name, (wall, cpu) in middle.items():
        say(f"  {name}: {wall:.2f} s, {cpu:.2f} s of CPU")
    wall, cpu = (
        theirs / ours for theirs, ours in zip(middle["pandas per-class sampling"], middle["split"], strict=True)
    )
    say(f"split against pandas: {wall:.2f}x, of CPU {cpu:.2f}x (goal >= 2)")
    worst = max(abs(v["error_points"]) for k, v in class_shares(division.label, code).items() if k != "all")
    say(f"class share error {worst:.5f} points (goal <= 0.01); groups in two splits: {report['leaked_groups']}")
    say(f"peak memory with both tables: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.1f} GB")


if __name__ == "__main__":
    main()
