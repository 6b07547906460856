"""Puts a bundle's SavedModel where TensorFlow Serving looks for it: `<target>/<version>/saved_model.pb`."""

from __future__ import annotations

from pathlib import Path

from components.common import storage
from components.common.errors import ArtifactError, ConfigError
from components.export import layout
from components.export.verify import verify_bundle

_BESIDE = (layout.POLICY, layout.PREPROCESSING, layout.LABELS, layout.CARD, "artifact.json")


def stage_bundle(bundle: Path, target: str, version: int, *, digest: str | None = None) -> str:
    """Verifies a bundle and copies it to where a model server reads it.

    The server takes the highest version it finds, so the SavedModel's index file is copied last: a
    version is never seen half-copied.

    Args:
        bundle: the bundle.
        target: folder or gs:// or s3:// URI of the served model; versions are its subfolders.
        version: whole number of the new version.
        digest: what the bundle's digest must be.

    Returns:
        Folder or URI of the new version.

    Raises:
        ArtifactError: the bundle is not fit to be served, or the version is already there.
        ConfigError: the version is no positive number.
    """
    if version < 1:
        raise ConfigError(f"version: received {version}; allowed: a whole number >= 1")
    verify_bundle(bundle, digest=digest, load=False)
    place = storage.join(target, str(version))
    if storage.exists(place):
        raise ArtifactError(f"{place}: already there; a served version never changes, choose another number")
    model = bundle / layout.SAVED_MODEL
    files = sorted(path for path in model.rglob("*") if path.is_file() and path.name != "saved_model.pb")
    for path in files:
        storage.upload(path, storage.join(place, path.relative_to(model).as_posix()))
    for name in _BESIDE:
        storage.upload(bundle / name, storage.join(place, f"assets.extra/{name}"))
    storage.upload(model / "saved_model.pb", storage.join(place, "saved_model.pb"))
    return place
