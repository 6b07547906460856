"""What a part of a large collection hands on: its prepared records, in order, or the reason why one is missing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from components.common.artifacts.folder import open_artifact
from components.common.artifacts.json_file import LARGE_BYTES, read_record, write_json
from components.common.artifacts.tfrecord import frame, read_tfrecord
from components.common.runtime.errors import ArtifactError
from components.common.runtime.part import Part
from components.records.config import RecordsConfig
from components.records.prepare import Source
from components.records.writing import Prepared

SCHEMA = "lesionflow.records_part/1"
FILE = "part.json"


@dataclass(frozen=True)
class PartRecord:
    """`part.json`.

    Attributes:
        number: which part, from 0.
        of: of how many.
        facts: what decides the records: split and parameters.
        lost: by split, reason of each image without a record, by its place in the part.
    """

    number: int
    of: int
    facts: dict[str, Any]
    lost: dict[str, dict[str, str]]


def part_facts(config: RecordsConfig, split_digest: str) -> dict[str, Any]:
    """What must be the same in all parts and where they are put together."""
    return {
        "split": split_digest,
        "record_size": config.record_size,
        "jpeg_quality": config.jpeg_quality,
    }


def write_part(folder: Path, part: Part, facts: Mapping[str, Any], results: Mapping[str, Prepared]) -> None:
    """Writes the records of a part, a TFRecord file per split, and `part.json`."""
    lost: dict[str, dict[str, str]] = {}
    for split, images in results.items():
        lost[split] = {}
        with _file(folder, split).open("wb") as handle:
            for place, (_, result) in enumerate(images):
                if isinstance(result, str):
                    lost[split][str(place)] = result
                else:
                    handle.write(frame(result))
    write_json(folder / FILE, {"schema": SCHEMA, **asdict(PartRecord(part.number, part.of, dict(facts), lost))})


def read_parts(
    paths: Iterable[Path], sources: Mapping[str, Sequence[Source]], facts: Mapping[str, Any]
) -> dict[str, Prepared]:
    """The records of all parts by split, in the order in which one pod prepares them.

    Raises:
        ArtifactError: a part is damaged, missing, there twice, or of another split or other parameters.
    """
    found: dict[int, tuple[Path, PartRecord]] = {}
    for path in paths:
        open_artifact(path, "records_part")
        record = read_record(path / FILE, SCHEMA, PartRecord, "prepare the part again", most=LARGE_BYTES)
        if record.facts != dict(facts) or record.number in found:
            what = (
                "was given twice" if record.number in found else f"was made from {record.facts}, expected {dict(facts)}"
            )
            raise ArtifactError(f"{path}: part {record.number} {what}; prepare the parts again")
        found[record.number] = path, record
    whole = max((record.of for _, record in found.values()), default=0)
    if sorted(found) != list(range(whole)):
        raise ArtifactError(
            f"received parts {sorted(found)} (from 0) of {whole}, expected all; prepare the missing ones"
        )
    ordered = [found[number] for number in sorted(found)]
    return {split: _joined(split, images, ordered) for split, images in sources.items()}


def _joined(split: str, images: Sequence[Source], parts: Sequence[tuple[Path, PartRecord]]) -> Iterator[Any]:
    for path, record in parts:
        reasons = record.lost.get(split, {})
        records = read_tfrecord(_file(path, split))
        for place, source in enumerate(images[Part(record.number, record.of).slice(len(images))]):
            reason = reasons.get(str(place))
            yield source, reason if reason is not None else _next(records, path, split)
        if next(records, None) is not None:
            raise ArtifactError(f"{_file(path, split)}: more records than images; prepare the part again")


def _next(records: Iterator[bytes], path: Path, split: str) -> bytes:
    data = next(records, None)
    if data is None:
        raise ArtifactError(f"{_file(path, split)}: fewer records than images; prepare the part again")
    return data


def _file(folder: Path, split: str) -> Path:
    return folder / f"{split}.tfrecord"
