"""Split at ten million rows against pandas per-class sampling: `python tests/benchmarks/bench_split.py [ROWS]`.

The baseline draws rows of each class with `DataFrame.sample`, as notebooks do; it knows no groups, so it
leaks lesions. Ours keeps groups whole and is timed with and without the audit. Goal: >= 2x, shares within 0.01
points.
"""

import sys
import time

import numpy as np
import pandas as pd

from components.split.audit import audit, class_shares
from components.split.config import SplitConfig
from components.split.duplicates import Pairs
from components.split.recipes import assign

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


def baseline(rows):
    code = pd.Series(np.int8(0), index=rows.index)
    for _, part in rows.groupby("dx"):
        test = part.sample(frac=0.15, random_state=42)
        val = part.drop(test.index).sample(frac=0.15 / 0.85, random_state=42)
        code[test.index], code[val.index] = 2, 1
    return code.to_numpy()


def say(line):
    sys.stdout.write(line + "\n")


def timed(work):
    started = time.perf_counter()
    result = work()
    return result, time.perf_counter() - started


def main():
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000_000
    rows = make_rows(n)
    (code, _), ours = timed(lambda: assign(SplitConfig(), rows))
    report, check = timed(lambda: audit(rows, code, NONE))
    _, theirs = timed(lambda: baseline(rows))
    worst = max(
        abs(v["error_points"]) for k, v in class_shares(rows["label"].to_numpy(np.int64), code).items() if k != "all"
    )
    say(f"{n} rows: split {ours:.2f} s, audit {check:.2f} s, pandas per-class sampling {theirs:.2f} s")
    print(
        f"split against pandas: {theirs / ours:.2f}x (goal >= 2); class share error {worst:.5f} points (goal <= 0.01)"
    )
    say(f"groups in two splits: {report['leaked_groups']}")


if __name__ == "__main__":
    main()
