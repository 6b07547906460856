"""What the scripts that write a page of docs/reference share: their command."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def write_page(text: str, name: str, about: str | None) -> int:
    """Writes a page of docs/reference; with `--check` writes nothing and returns 1 where the page is stale."""
    target = Path(__file__).parent / "reference" / name
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--check", action="store_true", help="write nothing, fail when the page is stale")
    if parser.parse_args().check:
        if target.is_file() and target.read_text(encoding="utf-8") == text:
            return 0
        sys.stderr.write(f"error: {name} is stale; make reference writes it anew\n")
        return 1
    target.write_text(text, encoding="utf-8")
    return 0
