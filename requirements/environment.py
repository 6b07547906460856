"""Makes an environment of its own from one of the locks and prints the path of its Python.

    .venv/bin/python requirements/environment.py checkov

For what cannot live in `.venv` because its pins clash: `checkov`, `isic`, `oldest` (any NAME with a
`requirements/NAME.txt`). The environment lies at `.venv/envs/NAME-HASH`, HASH being that of the lock and of the
Python it is for, so it is made once, made anew when the lock changes, and gone after `make clean`. Two callers at
once make it once. A folder that an interrupted call left half-made is never used.

A test asks for it through the session fixture `environment` in tests/conftest.py:

    def test_x(environment):
        python = environment("isic")
        subprocess.run([python, "-c", ...], check=True)

This project is not installed in it; to import `components` there, run its Python with `-m` in the root of the tree
or set PYTHONPATH: `$(.venv/bin/python requirements/environment.py oldest) -m pytest tests/components/train`.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ROOT / "requirements"


def python_of(name: str, folder: Path | None = None) -> Path:
    """The Python of environment `name`, which is made if it is not there.

    Args:
        name: A lock, `requirements/<name>.txt`.
        folder: Where environments lie; `.venv/envs` of this tree by default.

    Raises:
        FileNotFoundError: There is no such lock.
        RuntimeError: The environment could not be made; the message ends with what uv said.
    """
    lock = LOCKS / f"{name}.txt"
    if not lock.is_file():
        there = ", ".join(sorted(path.stem for path in LOCKS.glob("*.txt")))
        raise FileNotFoundError(f"no lock requirements/{name}.txt; there are {there}")
    folder = folder or Path(os.environ.get("LESIONFLOW_ENVIRONMENTS", ROOT / ".venv" / "envs"))
    folder.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256(lock.read_bytes() + sys.version.encode()).hexdigest()[:12]
    home = folder / f"{name}-{digest}"
    with (folder / f".{name}.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        if not (home / ".complete").exists():
            for old in folder.glob(f"{name}-*"):
                shutil.rmtree(old)
            _make(home, lock)
    return home / "bin" / "python"


def _make(home: Path, lock: Path) -> None:
    """Creates `home` from `lock`; its last act is the file that says it is whole."""
    uv = [sys.executable, "-m", "uv", "--no-config", "--quiet"]  # pyproject.toml's settings are for resolving
    python = str(home / "bin" / "python")
    pinned = ["--require-hashes", "--no-deps", "-r", str(lock)]
    for command in (
        [*uv, "venv", "--python", sys.executable, str(home)],
        [*uv, "pip", "install", "--python", python, *pinned],
    ):
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"{home.name} could not be made; uv said:\n{done.stderr[-2000:]}")
    (home / ".complete").touch()


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", help="a lock: requirements/NAME.txt")
    try:
        sys.stdout.write(f"{python_of(parser.parse_args().name)}\n")
    except (FileNotFoundError, RuntimeError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
