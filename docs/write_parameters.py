"""Writes docs/reference/parameters.md from the configurations of the steps; `--check` compares it with them.

Run it after a change to a parameter: `python docs/write_parameters.py`.
"""

from __future__ import annotations

from reference_page import write_page

from pipelines.parameter_texts import markdown

if __name__ == "__main__":
    raise SystemExit(write_page(markdown(), "parameters.md", __doc__))
