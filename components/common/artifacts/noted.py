"""What one task of a run hands to the next: a folder in the artifact store, and its digest past the store.

Whoever may write to the store can replace an artifact together with its hashes. Kubeflow keeps an artifact's metadata
elsewhere, in its own database, so the digest of what a task made goes there, and the next task compares.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from components.common.artifacts.folder import MANIFEST, sha256_file
from components.common.runtime.errors import ArtifactError

DIGEST = "digest"


def note_digest(output: Any) -> None:
    """Notes the digest of a finished artifact in the metadata of its KFP output."""
    output.metadata[DIGEST] = sha256_file(Path(output.path) / MANIFEST)


def noted_path(artifact: Any) -> Path:
    """The folder of a KFP input; steps that open it then hold its files against the manifest compared here.

    An artifact without a noted digest, of a task that ran before digests were noted, is taken as it is.

    Raises:
        ArtifactError: the folder is not what the task before handed over.
    """
    path, expected = Path(artifact.path), artifact.metadata.get(DIGEST)
    if expected is None or not (path / MANIFEST).is_file():  # the step itself says what is missing
        return path
    received = sha256_file(path / MANIFEST)
    if received != expected:
        raise ArtifactError(
            f"{path}: digest is {received[:12]}, the task that made it noted {str(expected)[:12]}; it was "
            "replaced in the artifact store: run that task again, without the cache"
        )
    return path
