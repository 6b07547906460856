"""What a person does with a bundle: read its card, and predict images with it."""

from __future__ import annotations

import glob
import logging
import os
import stat
from collections.abc import Sequence
from pathlib import Path

from components.common.artifacts.json_file import write_atomic
from components.common.bundle import layout
from components.common.bundle.card import bundle_card
from components.common.bundle.load import Bundle, Predictions, load_bundle
from components.common.imaging import inspect
from components.common.imaging.kinds import RefusedError
from components.common.imaging.picture import picture_in
from components.common.runtime.errors import ConfigError
from components.common.runtime.events import progress
from components.common.storage.store import is_image, not_a_file
from pipelines.cli.predictions import Prediction, visible

log = logging.getLogger(__name__)

_BATCH = 16
# Verdicts of ingest about the pixels themselves; a PNG under a .jpg name, for one, is served all the same.
_UNFIT = ("corrupt", "unsupported")
_REASONS = {
    "not_an_image": "not a JPEG or PNG file",
    "corrupt": "the image data is damaged",
    "unsupported": "a kind of JPEG or PNG without a unique conversion to RGB",
    "too_small": "shorter side below the bundle's min_side",
    "too_large": "more pixels than the bundle's max_pixels",
    "not_dermoscopy": "unlike the dermoscopic images the bundle was trained on",
}


def card(bundle: Path, evaluation: Path | None, out: Path | None) -> str:
    """The model card as Markdown, with the metrics of an evaluation where one is given; written to `out` if given.

    Raises:
        ArtifactError: no bundle, or the evaluation is of another bundle.
        ConfigError: `out` is a folder, or lies inside the bundle, which would not verify any more.
    """
    text = bundle_card(bundle, evaluation)
    if out is not None:
        if out.is_dir():
            raise ConfigError(f"--out: received {str(out)!r}, a folder; allowed: a file, such as {out / layout.CARD}")
        if out.resolve().is_relative_to(bundle.resolve()):
            raise ConfigError(f"--out: {out} is inside the bundle, which never changes; allowed: a file elsewhere")
        out.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(out, text)
    return text


def predict(bundle: Path, images: Sequence[str], key: Path | None = None) -> list[Prediction]:
    """Predictions for images; a broken or missing image is a row with its reason.

    Args:
        bundle: the bundle's folder; it is verified before it is loaded.
        images: files, folders (searched for names of image files) or globs.
        key: public key or certificate by which the bundle must be signed.

    Raises:
        ArtifactError: the bundle is not fit to be loaded.
        ConfigError: a folder or a glob holds no image.
    """
    paths = find_images(images)
    log.info("%d images; checking and loading the bundle, which takes a while", len(paths))
    loaded = load_bundle(bundle, key)
    rows: list[Prediction] = []
    with progress("images", len(paths)) as bar:
        for start in range(0, len(paths), _BATCH):
            batch = paths[start : start + _BATCH]
            rows.extend(_predicted(loaded, batch))
            bar.advance(len(batch))
    return rows


def find_images(images: Sequence[str]) -> list[Path]:
    """Paths named by files, folders and globs, in order, each once.

    Raises:
        ConfigError: a folder or a glob holds no image.
    """
    found: dict[Path, None] = {}
    for name in images:
        inside = _inside(name)
        if not inside:
            expected = "a file, a folder or a glob of image files such as .jpg and .png"
            raise ConfigError(f"{visible(name)}: no image there; expected {expected}")
        found.update(dict.fromkeys(inside))
    return list(found)


def _inside(name: str) -> list[Path]:
    path = Path(name)
    if os.path.isdir(name):  # noqa: PTH112 - pathlib raises for a name that is too long
        return sorted(p for p in path.rglob("*") if is_image(str(p)))
    if not os.path.lexists(name) and any(mark in name for mark in "*?["):
        # pathlib's glob cannot start from an absolute pattern
        matches = glob.glob(name, recursive=True)  # noqa: PTH207
        return sorted(p for p in map(Path, matches) if p.is_file())
    return [path]


def _predicted(bundle: Bundle, batch: Sequence[Path]) -> list[Prediction]:
    problems: dict[Path, tuple[str, str]] = {}
    data: dict[Path, bytes] = {}
    for path in batch:
        try:
            if problem := _too_much(path):
                problems[path] = problem
                continue
            picture = picture_in(path.read_bytes(), path.name)
        except OSError as error:
            problems[path] = ("missing", not_a_file(path) or error.strerror or str(error))
            continue
        except RefusedError as error:
            problems[path] = (error.verdict, error.reason)
            continue
        # libjpeg warns about holes in the data which TensorFlow's decoder can pass over; ingest's check does not
        seen = inspect.inspect(picture.data, picture.name)
        if seen.verdict in _UNFIT:
            problems[path] = (seen.verdict, seen.reason)
        else:
            data[path] = picture.data
    found = bundle.predict(list(data.values()))
    rows = {path: _row(bundle, path, found, i) for i, path in enumerate(data)}
    rows |= {path: _unread(bundle, path, *problem) for path, problem in problems.items()}
    return [rows[path] for path in batch]


def _too_much(path: Path) -> tuple[str, str] | None:
    """Status and reason of what must not be read into memory."""
    facts = path.stat()
    if not stat.S_ISREG(facts.st_mode):
        return "not_an_image", "not a regular file"
    if facts.st_size > inspect.MAX_BYTES:
        return "too_large", f"{facts.st_size} bytes; at most {inspect.MAX_BYTES} are read"
    return None


def _row(bundle: Bundle, path: Path, found: Predictions, i: int) -> Prediction:
    code, status = int(found.decision[i]), str(found.status[i])
    if code == layout.UNREADABLE:
        return _unread(bundle, path, status, _REASONS[status])
    refused = status == layout.STATUSES[layout.NOT_DERMOSCOPY]
    distance = float(found.distance[i])
    return Prediction(
        image=str(path),
        status=status,
        decision=layout.DECISIONS[code],
        probability=None if refused else float(found.probability[i]),
        threshold=bundle.policy.threshold_probability,
        logit=float(found.logit[i]),
        policy_id=str(found.policy_id[i]),
        reason=_REASONS[status] if refused else "",
        distance=None if distance == layout.NO_DISTANCE else distance,
    )


def _unread(bundle: Bundle, path: Path, status: str, reason: str) -> Prediction:
    policy = bundle.policy
    decision = layout.DECISIONS[layout.UNREADABLE]
    return Prediction(str(path), status, decision, None, policy.threshold_probability, None, policy.policy_id, reason)
