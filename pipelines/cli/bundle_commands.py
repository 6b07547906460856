"""What a person does with a bundle: verify it, read its card, and ask it about images."""

from __future__ import annotations

import glob
import json
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from components.common.artifacts.json_file import write_atomic
from components.common.bundle import layout
from components.common.bundle.card import bundle_card
from components.common.bundle.load import Bundle, load_bundle
from components.common.bundle.predictions import Predictions
from components.common.bundle.verify import Verified, verify_bundle
from components.common.imaging import inspect
from components.common.runtime.errors import ConfigError

_SUFFIXES = (".jpg", ".jpeg", ".png")
_BATCH = 16
# Verdicts of ingest about the pixels themselves; a PNG under a .jpg name, for one, is served all the same.
_UNFIT = ("corrupt", "unsupported")
_REASONS = {
    "not_an_image": "not a JPEG or PNG file",
    "corrupt": "the image data is damaged",
    "unsupported": "more than three colour channels (CMYK)",
    "too_small": "shorter side below the bundle's min_side",
    "too_large": "more pixels than the bundle's max_pixels",
}


@dataclass(frozen=True)
class Prediction:
    """One image and what the bundle says about it.

    Attributes:
        image: the path as it was found.
        status: `ok`, `refer`, `missing`, or why the image was not read.
        decision: malignant, benign, refer or not readable.
        probability: calibrated P(malignant); None where not readable.
        threshold: probability from which the decision is malignant.
        logit: raw logit; None where not readable.
        policy_id: the decision policy.
        reason: why the image was not read; empty otherwise.
    """

    image: str
    status: str
    decision: str
    probability: float | None
    threshold: float
    logit: float | None
    policy_id: str
    reason: str


def verify(bundle: Path, digest: str | None = None) -> Verified:
    """Checks hashes, documents and operations of a bundle, loads it and asks it about its test image.

    Raises:
        ArtifactError: the first thing that is wrong.
    """
    return verify_bundle(bundle, digest=digest)


def card(bundle: Path, evaluation: Path | None, out: Path | None) -> str:
    """The model card as Markdown, with the metrics of an evaluation where one is given; written to `out` if given.

    Raises:
        ArtifactError: no bundle, or the evaluation is of another bundle.
        ConfigError: `out` lies inside the bundle, which would not verify any more.
    """
    text = bundle_card(bundle, evaluation)
    if out is not None:
        if out.resolve().is_relative_to(bundle.resolve()):
            raise ConfigError(f"--out: {out} is inside the bundle, which never changes; allowed: a file elsewhere")
        out.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(out, text)
    return text


def predict(bundle: Path, images: Sequence[str]) -> list[Prediction]:
    """Asks a bundle about images; a broken or missing image is a row with its reason.

    Args:
        bundle: the bundle's folder; it is verified before it is loaded.
        images: files, folders (searched for .jpg, .jpeg and .png) or globs.

    Raises:
        ArtifactError: the bundle is not fit to be loaded.
        ConfigError: a folder or a glob holds no image.
    """
    paths = find_images(images)
    loaded = load_bundle(bundle)
    rows: list[Prediction] = []
    with _progress(len(paths)) as advance:
        for start in range(0, len(paths), _BATCH):
            batch = paths[start : start + _BATCH]
            rows.extend(_answer(loaded, batch))
            advance(len(batch))
    return rows


def find_images(images: Sequence[str]) -> list[Path]:
    """Paths named by files, folders and globs, in order, each once.

    Raises:
        ConfigError: a folder or a glob holds no image.
    """
    found: dict[Path, None] = {}
    for name in images:
        path = Path(name)
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in _SUFFIXES)
        elif not path.exists() and any(mark in name for mark in "*?["):
            # pathlib's glob cannot start from an absolute pattern
            matches = glob.glob(name, recursive=True)  # noqa: PTH207
            inside = sorted(p for p in map(Path, matches) if p.is_file())
        else:
            inside = [path]
        if not inside:
            expected = ", ".join(_SUFFIXES)
            raise ConfigError(f"{name}: no image there; expected a file, a folder or a glob of {expected} files")
        found.update(dict.fromkeys(inside))
    return list(found)


def print_predictions(rows: Sequence[Prediction], as_json: bool = False) -> None:
    """Prints predictions as a table, or as one JSON array."""
    if as_json:
        print(json.dumps([asdict(row) for row in rows], indent=2, allow_nan=False))
        return
    width = max(len(row.image) for row in rows)
    print(f"{'image':{width}}  probability  decision      threshold  policy        reason")
    for row in rows:
        shown = "-" if row.probability is None else f"{row.probability:.4f}"
        line = f"{row.image:{width}}  {shown:>11}  {row.decision:12}  {row.threshold:9.4f}  {row.policy_id:12}  "
        print((line + row.reason).rstrip())


def _answer(bundle: Bundle, batch: Sequence[Path]) -> list[Prediction]:
    problems: dict[Path, tuple[str, str]] = {}
    data: dict[Path, bytes] = {}
    for path in batch:
        try:
            if problem := _too_much(path):
                problems[path] = problem
                continue
            content = path.read_bytes()
        except OSError as error:
            problems[path] = ("missing", error.strerror or str(error))
            continue
        # libjpeg warns about holes in the data which TensorFlow's decoder can pass over; ingest's check does not
        seen = inspect.inspect(content, path.name)
        if seen.verdict in _UNFIT:
            problems[path] = (seen.verdict, seen.reason)
        else:
            data[path] = content
    reply = bundle.predict(list(data.values()))
    answered = {path: _row(bundle, path, reply, i) for i, path in enumerate(data)}
    answered |= {path: _unread(bundle, path, *problem) for path, problem in problems.items()}
    return [answered[path] for path in batch]


def _too_much(path: Path) -> tuple[str, str] | None:
    """Status and reason of what must not be read into memory."""
    facts = path.stat()
    if not stat.S_ISREG(facts.st_mode):
        return "not_an_image", "not a regular file"
    if facts.st_size > inspect.MAX_BYTES:
        return "too_large", f"{facts.st_size} bytes; at most {inspect.MAX_BYTES} are read"
    return None


def _row(bundle: Bundle, path: Path, reply: Predictions, i: int) -> Prediction:
    code, status = int(reply.decision[i]), str(reply.status[i])
    if code == layout.UNREADABLE:
        return _unread(bundle, path, status, _REASONS[status])
    return Prediction(
        image=str(path),
        status=status,
        decision=layout.DECISIONS[code],
        probability=float(reply.probability[i]),
        threshold=bundle.policy.threshold_probability,
        logit=float(reply.logit[i]),
        policy_id=str(reply.policy_id[i]),
        reason="",
    )


def _unread(bundle: Bundle, path: Path, status: str, reason: str) -> Prediction:
    policy = bundle.policy
    decision = layout.DECISIONS[layout.UNREADABLE]
    return Prediction(str(path), status, decision, None, policy.threshold_probability, None, policy.policy_id, reason)


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    """Yields a counter behind a bar on stderr, shown when a person watches and there is something to wait for."""
    from rich.console import Console
    from rich.progress import Progress

    hidden = not sys.stderr.isatty() or total <= _BATCH
    with Progress(console=Console(stderr=True), transient=True, disable=hidden) as bar:
        task = bar.add_task("asking the bundle", total=total)
        yield lambda n: bar.advance(task, n)
