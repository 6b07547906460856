"""Errors a person without the source can act on.

A message says what was received, what was expected and what to do. Commands and components print
it as one line, without a traceback; anything else that escapes is a defect and keeps its traceback.
"""

from components.common.runtime.secrets import without_secrets


class LesionflowError(Exception):
    """Base of all expected failures; `exit_code` is what a command leaves with.

    A message shows what was received, which may be an address with a password: it is redacted here, once for all.
    """

    exit_code = 1

    def __init__(self, message: str = "") -> None:
        super().__init__(without_secrets(message))


class ConfigError(LesionflowError):
    """A parameter is unknown, of the wrong type, or contradicts another; nothing has been written."""

    exit_code = 2


class DataError(LesionflowError):
    """The data itself is unfit: a table that breaks the schema, too many lost images, a leaked group."""


class ArtifactError(LesionflowError):
    """A folder is not the artifact it should be, is damaged, or belongs to something else."""


class TrainingError(LesionflowError):
    """Training ended without a usable model."""


class GateError(LesionflowError):
    """A release condition was missed; the report is written all the same."""
