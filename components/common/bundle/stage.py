"""Puts a bundle's SavedModel where TensorFlow Serving looks for it: `<target>/<version>/saved_model.pb`."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from components.common.bundle import layout
from components.common.bundle.card import bundle_card
from components.common.bundle.verify import verify_bundle
from components.common.runtime.errors import ArtifactError, ConfigError
from components.common.storage import store

_BESIDE = (layout.POLICY, layout.PREPROCESSING, layout.LABELS, "artifact.json")


def stage_bundle(
    bundle: Path, target: str, version: int, *, digest: str | None = None, evaluation: Path | None = None
) -> str:
    """Verifies a bundle and copies it to where a model server reads it.

    The server takes the highest version it finds, so the SavedModel's index file is copied last: a
    version is never seen half-copied.

    Args:
        bundle: the bundle.
        target: folder or gs:// or s3:// URI of the served model; versions are its subfolders.
        version: whole number of the new version.
        digest: what the bundle's digest must be.
        evaluation: evaluation of this bundle; the staged card then has its metrics.

    Returns:
        Folder or URI of the new version.

    Raises:
        ArtifactError: the bundle is not fit to be served, or the version is already there.
        ConfigError: the version is no positive number.
    """
    if version < 1:
        raise ConfigError(f"version: received {version}; allowed: a whole number >= 1")
    verify_bundle(bundle, digest=digest, load=False)
    card = bundle_card(bundle, evaluation)
    place = store.join(target, str(version))
    if store.exists(place):
        raise ArtifactError(f"{place}: already there; a served version never changes, choose another number")
    model = bundle / layout.SAVED_MODEL
    files = sorted(path for path in model.rglob("*") if path.is_file() and path.name != "saved_model.pb")
    for path in files:
        store.upload(path, store.join(place, path.relative_to(model).as_posix()))
    for name in _BESIDE:
        store.upload(bundle / name, store.join(place, f"assets.extra/{name}"))
    with TemporaryDirectory() as scratch:
        text = Path(scratch) / layout.CARD
        text.write_text(card, encoding="utf-8")
        store.upload(text, store.join(place, f"assets.extra/{layout.CARD}"))
    store.upload(model / "saved_model.pb", store.join(place, "saved_model.pb"))
    return place
