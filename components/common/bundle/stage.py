"""Puts a bundle's SavedModel where TensorFlow Serving looks for it: `<target>/<version>/saved_model.pb`."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from components.common.artifacts.atomic import replacing
from components.common.artifacts.folder import MANIFEST, SIGNATURE
from components.common.bundle import layout
from components.common.bundle.card import bundle_card
from components.common.bundle.signing import write_signature
from components.common.bundle.verify import verify_bundle
from components.common.runtime.errors import ArtifactError, ConfigError
from components.common.storage import store

_LARGEST_VERSION = 2**63 - 1  # model servers hold it in a signed 64-bit number
_INDEX = "saved_model.pb"
_BESIDE = (layout.POLICY, layout.PREPROCESSING, layout.LABELS, MANIFEST)


@dataclass(frozen=True)
class Staged:
    """A version that a model server can read.

    Attributes:
        uri: its folder or URI.
        new: whether it was copied now; False where the same was there already.
    """

    uri: str
    new: bool


@dataclass(frozen=True)
class Keys:
    """The signature that a staged bundle must have, and the key that signs its version.

    Attributes:
        check: public key or certificate by which the bundle must be signed; None: it need not be.
        sign: private key that signs the version; None: it is not signed.
        certificate: certificates of the private key, the signing one first; None: the key alone.
    """

    check: Path | None = None
    sign: Path | None = None
    certificate: Path | None = None


def stage_bundle(
    bundle: Path,
    target: str,
    version: int,
    *,
    digest: str | None = None,
    evaluation: Path | None = None,
    keys: Keys | None = None,
) -> Staged:
    """Verifies a bundle and copies it to where a model server reads it.

    The server takes the highest version it finds, so a version appears as a whole: a local folder by a rename, in an
    object store by its index file, which is copied last. What a killed staging left behind is not a version, and the
    next one replaces it. Staging the same again changes nothing.

    Args:
        bundle: the bundle.
        target: folder or gs:// or s3:// URI of the served model; versions are its subfolders.
        version: number of the new version, 1 to 2^63 - 1.
        digest: what the bundle's digest must be.
        evaluation: evaluation of this bundle; the staged card then has its metrics.
        keys: the signature that is required, and the one that is made, `model.sig` in the version's folder.

    Raises:
        ArtifactError: the bundle is not fit to be served, or the version is there and holds something else.
        ConfigError: the version is not such a number.
    """
    if not 1 <= version <= _LARGEST_VERSION:
        raise ConfigError(f"version: received {version}; allowed: an integer from 1 to {_LARGEST_VERSION}")
    keys = keys or Keys()
    verify_bundle(bundle, digest=digest, key=keys.check, load=False)
    place = store.join(target, str(version))
    with TemporaryDirectory() as scratch:
        card = Path(scratch) / layout.CARD
        card.write_text(bundle_card(bundle, evaluation), encoding="utf-8")
        files = _files(bundle, card)
        if store.exists(store.join(place, _INDEX)):
            _check_same(place, files)
            return Staged(place, new=False)
        if keys.sign is not None:
            files = {SIGNATURE: _signed(files, Path(scratch) / "version", keys.sign, keys.certificate), **files}
        if store.is_local(place):
            _copy_whole(store.local_path(place), files)
        else:
            for name, path in files.items():
                store.upload(path, store.join(place, name))
    return Staged(place, new=True)


def _files(bundle: Path, card: Path) -> dict[str, Path]:
    """What a version holds, by its name there; the index file last."""
    model = bundle / layout.SAVED_MODEL
    served = sorted(path for path in model.rglob("*") if path.is_file() and path.name != _INDEX)
    files = {path.relative_to(model).as_posix(): path for path in served}
    files |= {f"assets.extra/{name}": bundle / name for name in _BESIDE}
    return files | {f"assets.extra/{layout.CARD}": card, _INDEX: model / _INDEX}


def _signed(files: Mapping[str, Path], folder: Path, key: Path, certificate: Path | None) -> Path:
    """The signature of a version, which is laid out for it as it will be."""
    for name, path in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, folder / name)
    write_signature(folder, folder / SIGNATURE, key, certificate)
    return folder / SIGNATURE


def _check_same(place: str, files: Mapping[str, Path]) -> None:
    """Refuses a whole version that is of another bundle or has another card: servers may have loaded it."""
    for name, what in ((f"assets.extra/{MANIFEST}", "another bundle"), (f"assets.extra/{layout.CARD}", "another card")):
        try:
            there = store.read_bytes(store.join(place, name))
        except FileNotFoundError:
            there = b""
        if there != files[name].read_bytes():
            raise ArtifactError(
                f"{place}: already exists with {what}; a served version never changes, choose another one"
            )


def _copy_whole(place: Path, files: Mapping[str, Path]) -> None:
    foreign = sorted(set(_names(place)) - {*files, SIGNATURE})
    if foreign:
        raise ArtifactError(
            f"{place / foreign[0]}: not put there by `lesionflow bundle stage`; remove it or choose another version"
        )
    with replacing(place) as folder:
        for name, path in files.items():
            store.upload(path, str(folder / name))


def _names(folder: Path) -> list[str]:
    """Files below a folder, without those that a killed copy left half-written."""
    found = (path.relative_to(folder) for path in folder.rglob("*") if not path.is_dir())
    return [name.as_posix() for name in found if not (name.name.startswith(".") and name.suffix == ".partial")]
