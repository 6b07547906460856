"""Compiles the hash-pinned requirements of every environment from pyproject.toml, or checks them.

One file per environment, universal for Python 3.11 to 3.13, without index addresses. `--check` asks
for nothing new: existing pins are kept as preferences, so it fails only when pyproject.toml asks for
something that the lock does not hold, or the lock holds something that nothing asks for.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_DATA = ["pyproject.toml", "--extra", "s3", "--extra", "excel", "--extra", "dicom"]
_CPU = [
    *_DATA,
    *(part for name in ("cpu", "formats", "registry", "completion", "signing", "search") for part in ("--extra", name)),
]
ENVIRONMENTS: dict[str, list[str]] = {
    "data": _DATA,
    "cpu": [*_CPU, "--group", "build"],
    "gpu": [*_DATA, "--extra", "gpu", "--extra", "search"],
    "dev": [*_CPU, "--group", "dev"],
    "oldest": ["pyproject.toml", "--extra", "s3", "--extra", "cpu", "--group", "oldest"],
    "checkov": ["--group", "checkov"],
    "isic": ["--group", "isic"],
}
_ADDRESS = re.compile(r"https?://|--(?:extra-)?index-url|--find-links")


def compile_lock(name: str, target: Path) -> None:
    """Writes the lock of environment `name`; pins already in `target` are kept where they still fit."""
    flags = (
        "--universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url "
        "--no-emit-find-links --quiet"
    )
    uv = [sys.executable, "-m", "uv", "pip", "compile"]
    subprocess.run([*uv, *ENVIRONMENTS[name], *flags.split(), "--output-file", str(target)], cwd=ROOT, check=True)


def check(name: str) -> list[str]:
    """What is wrong with the committed lock of environment `name`; empty when nothing is."""
    committed = ROOT / "requirements" / f"{name}.txt"
    text = committed.read_text()
    problems = [
        f"{committed.name}:{i}: names an index: {line.strip()}"
        for i, line in enumerate(text.splitlines(), 1)
        if _ADDRESS.search(line)
    ]
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder) / committed.name
        shutil.copy(committed, fresh)
        compile_lock(name, fresh)
        if fresh.read_text() != text:
            problems.append(f"{committed.name}: differs from what pyproject.toml asks for; run `make locks` and commit")
    return problems


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare instead of writing; exit 1 on a difference")
    if parser.parse_args().check:
        problems = [problem for name in ENVIRONMENTS for problem in check(name)]
        sys.stderr.write("".join(f"{problem}\n" for problem in problems))
        return 1 if problems else 0
    for name in ENVIRONMENTS:
        compile_lock(name, ROOT / "requirements" / f"{name}.txt")
    return 0


if __name__ == "__main__":
    sys.exit(main())
