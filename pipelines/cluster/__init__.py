"""Commands that talk to a cluster: doctor, upload, submit, schedule, status, logs and fetch.

Each module keeps kfp and the Kubernetes client out of its imports until its command runs, so that
`lesionflow --help` and the local commands stay fast.
"""

from __future__ import annotations

import argparse
from typing import Any

from pipelines.cluster import doctor, fetch, logs, schedule, status, submit, upload


def add_parsers(commands: argparse._SubParsersAction[Any]) -> None:
    """Adds every cluster command to the `lesionflow` command."""
    for module in (doctor, upload, submit, schedule, status, logs, fetch):
        module.add_parser(commands)
