"""Start of each data step against `import tensorflow`: `python tests/benchmarks/bench_start.py [ROUNDS]`.

Start is what `python -m components.STEP` costs, interpreter included, until it has parsed its arguments, imported its
code and looked for its input, which is not there. A step that reads or writes Parquet in the end loads pyarrow only
then; so each step also runs as a whole on 120 images, which shows all it ever loads. Goal: a tenth of TensorFlow's
time and memory or less for the start. Printed are medians of rounds that take turns, of wall time, CPU time and peak
memory (VmHWM); the shared objects' pages in it are counted for every process that maps them.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from statistics import median

GOAL = 10
PEAK = "next(int(line.split()[1]) for line in open('/proc/self/status') if line.startswith('VmHWM'))"
# os._exit: what an interpreter does at its end is no part of its start
STEP = f"""import os, sys; from components.{{step}}.__main__ import main
code = main(sys.argv[1:]); print(code, sum(os.times()[:2]), {PEAK}, flush=True); os._exit(0)"""
TENSORFLOW = f"import os, tensorflow; print(0, sum(os.times()[:2]), {PEAK}, flush=True); os._exit(0)"
INPUTS = {
    "ingest": ("--metadata", "{0}/metadata.csv", "--images", "{0}/images"),
    "split": ("--index", "{0}/ingest"),
    "records": ("--split", "{0}/split"),
}


def main() -> None:
    """Prints a line a step: its start, the ratios, and what the whole step takes."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    with tempfile.TemporaryDirectory() as scratch:
        sample = ("-m", "pipelines.cli.main", "sample", "--out", f"{scratch}/data", "--lesions", "90", "--seed", "7")
        subprocess.run([sys.executable, *sample], check=True, capture_output=True)
        found = {name: [] for name in ("tensorflow", *INPUTS)}
        whole = {step: [] for step in INPUTS}
        for number in range(rounds):
            out = f"{scratch}/round{number}"
            found["tensorflow"].append(measured(TENSORFLOW, (), 0))
            for step in INPUTS:
                found[step].append(measured(STEP.format(step=step), command(step, f"{scratch}/absent", out), 1))
            for step in INPUTS:
                place = f"{scratch}/data" if step == "ingest" else out
                whole[step].append(measured(STEP.format(step=step), command(step, place, out), 0))
    base = show("import tensorflow", found.pop("tensorflow"))
    for step, values in found.items():
        ours = show(f"start of {step}", values)
        ratios = [theirs / mine for theirs, mine in zip(base, ours, strict=True)]
        words = "wall time {:.1f}, CPU {:.1f}, memory {:.1f}".format(*ratios)
        sys.stdout.write(f"  times less than TensorFlow: {words} (goal: {GOAL})\n")
        show("  all of it on 120 images", whole[step])


def command(step: str, place: str, out: str) -> list[str]:
    """Arguments of a step that reads below `place`."""
    more = ("--recipe", "stratified") if step == "split" else ()
    return [*(part.format(place) for part in INPUTS[step]), *more, "--out", f"{out}/{step}"]


def measured(code: str, arguments: list[str] | tuple[()], expected: int) -> tuple[float, float, float]:
    """Wall seconds, CPU seconds and peak memory in MB of a fresh interpreter."""
    began = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    wall = time.perf_counter() - began
    if done.returncode or int(done.stdout.split()[-3]) != expected:
        sys.exit(f"{arguments}: {done.stdout}{done.stderr}")
    seconds, kilobytes = done.stdout.split()[-2:]
    return wall, float(seconds), int(kilobytes) / 1e3


def show(what: str, values: list[tuple[float, float, float]]) -> list[float]:
    """Prints the medians and returns them."""
    middle = [median(column) for column in zip(*values, strict=True)]
    sys.stdout.write("{}: {:.2f} s, {:.2f} s CPU, {:.0f} MB\n".format(what, *middle))
    return middle


if __name__ == "__main__":
    main()
