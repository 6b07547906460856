"""Parameters of the ingest step."""

from __future__ import annotations

from pydantic import Field

from components.common.runtime.config import StepConfig


class IngestConfig(StepConfig):
    """How the table and the images are read and judged."""

    label_policy: str = Field(
        "ham10000",
        min_length=1,
        description="malignant diagnoses; ham10000, ham10000-without-akiec, isic2019, or the URI of a YAML file",
    )
    max_lost_pct: float = Field(
        5.0, ge=0, le=100, description="the run stops when more than this percentage of images is unusable"
    )
    cache: str = Field(
        "",
        description="folder or URI that keeps the verdicts, so that images unchanged since are not read again: "
        "same size, times and inode, or the same object version; empty keeps none",
    )
    rehash: bool = Field(False, description="read and hash every image, also those the cache knows unchanged")
    threads: int = Field(0, ge=0, le=256, description="images read at a time; 0 chooses by where they are")


class IngestSources(IngestConfig):
    """The step's parameters together with where its data is: what a run of the pipeline gives to the step."""

    metadata: str = Field(
        min_length=1,
        description="URI of the table (CSV); of two joined by a comma the second one adds facts",
        examples=["gs://bucket/metadata.csv"],
    )
    images: list[str] = Field(
        min_length=1, description="URIs of the folders that hold the images", examples=[["gs://bucket/images"]]
    )
