"""The artifact of the monitor, and the error by which a scheduled run reports a change."""

from __future__ import annotations

from pathlib import Path

from components.common.artifacts.folder import open_artifact
from components.common.artifacts.json_file import read_json
from components.common.runtime.errors import LesionflowError

SCHEMA = "lesionflow.monitor/1"
FILE, PAGE = "monitor.json", "monitor.html"


class ChangeFound(LesionflowError):  # noqa: N818 - a finding, not a fault of the command
    """A test has raised its alarm; everything is written all the same."""

    exit_code = 3


def raise_alarm(folder: Path, page: str) -> None:
    """Ends a run in which a change was found, with one line that says which.

    Args:
        folder: the monitor artifact.
        page: where its page is, for the line.

    Raises:
        ChangeFound: a test has raised its alarm.
        ArtifactError: not a monitor artifact, or damaged.
    """
    alarms = read_json(open_artifact(folder, "monitor").path / FILE, SCHEMA)["alarms"]
    if alarms:
        more = f" (and {len(alarms) - 1} more)" if len(alarms) > 1 else ""
        raise ChangeFound(f"change found: {alarms[0]}{more}; see {page}")
