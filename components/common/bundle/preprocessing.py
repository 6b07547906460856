"""`preprocessing.json` of a bundle: what happens to an image before the network sees it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, Strict

from components.common.artifacts.json_file import read_record, write_json
from components.common.bundle import layout

SCHEMA = "lesionflow.preprocessing/1"

Pixels = Annotated[int, Strict(), Field(ge=1)]


@dataclass(frozen=True)
class Preparation:
    """What the serving graph does to an image.

    Attributes:
        image_size: the network's input, (height, width) in pixels.
        record_size: short side after the antialiased shrink, in pixels.
        min_side: images with a shorter side are not read.
        max_pixels: images with more pixels are not decoded.
        augmentation: none, or flips: the mean logit of four mirrored views.
    """

    image_size: tuple[Pixels, Pixels]
    record_size: Pixels
    min_side: Pixels = 16
    max_pixels: Pixels = 100_000_000
    augmentation: Literal["none", "flips"] = "none"


@dataclass(frozen=True, kw_only=True)
class Preprocessing(Preparation):
    """Content of `preprocessing.json`.

    Attributes:
        precision: float32, or as_trained: arithmetic of the network.
        policy_id: the decision policy behind the network.
        model_sha256: the `model.keras` it was made from.
        formats: image formats that are read.
        steps: the same in sentences, for people.
    """

    precision: Literal["float32", "as_trained"]
    policy_id: str
    model_sha256: str
    formats: list[str]
    steps: list[str]

    def save(self, folder: Path) -> None:
        """Writes `preprocessing.json`."""
        write_json(folder / layout.PREPROCESSING, {"schema": SCHEMA, **asdict(self)})


def read_preprocessing(bundle: Path) -> Preprocessing:
    """Reads `preprocessing.json`.

    Raises:
        ArtifactError: missing, not such a file, or a field is missing or of another type.
    """
    return read_record(bundle / layout.PREPROCESSING, SCHEMA, Preprocessing, "export the bundle again")
