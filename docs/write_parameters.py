"""Writes docs/reference/parameters.md from the configurations of the steps; `--check` compares it with them.

Run it after a change to a parameter: `python docs/write_parameters.py`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pipelines.parameter_texts import markdown

TARGET = Path(__file__).parent / "reference" / "parameters.md"


def main() -> int:
    """Writes the page; with `--check` returns 1 where the page is stale."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, fail when the page is stale")
    text = markdown()
    if parser.parse_args().check:
        if TARGET.is_file() and TARGET.read_text(encoding="utf-8") == text:
            return 0
        sys.stderr.write(f"error: {TARGET.name} is stale; make reference writes it anew\n")
        return 1
    TARGET.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
