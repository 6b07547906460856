"""From one row of the split to one framed record, or to the reason why there is none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from threading import BoundedSemaphore

from components.common.artifacts.folder import sha256_bytes
from components.common.artifacts.record import Record, encode_record
from components.common.imaging.picture import read_picture
from components.common.imaging.pixels import shrunk_size
from components.common.imaging.prepare import stored_image
from components.common.runtime.byte_semaphore import ByteSemaphore
from components.common.runtime.errors import LesionflowError
from components.common.runtime.resources import usable_cores
from components.records.config import RecordsConfig

_DECODED_BYTES = 3 * 2**28  # of all images being decoded together; the process stays below 1 GB
_PIXEL_BYTES = 9  # colours, and the coefficients of a progressive file or another copy, as a turn or a PNG needs it


@dataclass(frozen=True, slots=True)
class Source:
    """An image of a split as the index describes it.

    Attributes:
        image_id: unique id.
        lesion_id: lesion it shows.
        group_id: its group.
        dx: diagnosis code.
        label: 1 = malignant, 0 = benign.
        uri: where its bytes are.
        sha256: hash of the bytes that ingest checked.
        width: pixels across, EXIF orientation applied.
        height: pixels down, EXIF orientation applied.
        size: bytes of the file.
        verdict: `ok` or what ingest found wrong.
        reason: more on the verdict.
        plain: whether the bytes are an upright three-channel JPEG.
        exact: whether the record keeps the original bytes: validation is prepared as serving prepares.
    """

    image_id: str
    lesion_id: str
    group_id: str
    dx: str
    label: int
    uri: str
    sha256: str
    width: int
    height: int
    size: int
    verdict: str
    reason: str
    plain: bool
    exact: bool


class Preparer:
    """Makes records; used by many threads at once.

    All of them may wait for storage; only as many as there are cores decode, and large images take turns.
    """

    def __init__(self, config: RecordsConfig, weights: Mapping[str, float]) -> None:
        self.config, self.weights = config, weights
        self.decoding, self.pixels = BoundedSemaphore(usable_cores()), ByteSemaphore(_DECODED_BYTES)

    def __call__(self, source: Source) -> bytes | str:
        """The serialized record of an image, or why there is none.

        Bytes that ingest has checked are not checked again: equal sha256 means the same verdict.
        """
        data = _checked_bytes(source)
        if isinstance(data, str):
            return data
        try:
            image, width, height = self._image(data, source)
        except LesionflowError as error:
            return f"corrupt: {error}"
        weight = self.weights[str(source.label)]
        ids = (source.image_id, source.lesion_id, source.group_id, source.dx)
        return encode_record(Record(image, *ids, source.label, width, height, weight))

    def _image(self, data: bytes, source: Source) -> tuple[bytes, int, int]:
        size = self.config.record_size
        if size is None or source.exact or (source.plain and min(source.width, source.height) <= size):
            return data, source.width, source.height
        with self.decoding, self.pixels.take(_PIXEL_BYTES * source.width * source.height):
            stored = stored_image(data, size, self.config.jpeg_quality, plain=source.plain)
        if stored is data:
            return data, source.width, source.height
        height, width = shrunk_size(source.height, source.width, size)
        return stored, width, height


def _checked_bytes(source: Source) -> bytes | str:
    """The bytes that ingest checked, or why they cannot be had."""
    if source.verdict != "ok":
        return f"{source.verdict}: {source.reason}" if source.reason else source.verdict
    try:
        data = read_picture(source.uri)
    except FileNotFoundError:
        return f"missing: {source.uri} no longer exists; ingest read it"
    except (LesionflowError, OSError) as error:
        return f"unreadable: {error}"
    if sha256_bytes(data) != source.sha256:
        return f"changed: {source.uri} has other bytes than ingest saw; run ingest again"
    return data
