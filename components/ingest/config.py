"""Parameters of the ingest step."""

from __future__ import annotations

from typing import Any, Literal

import yaml
from pydantic import Field, field_validator

from components.common.runtime import yaml_text
from components.common.runtime.config import StepConfig


class IngestConfig(StepConfig):
    """How the table and the images are read and judged."""

    label_policy: str = Field(
        "auto",
        min_length=1,
        description="malignant diagnoses: auto takes the policy that fits the table; ham10000, ham10000-without-akiec, "
        "isic, isic2019, milk10k, pad-ufes-20, derm7pt, or the URI of a YAML file",
    )
    max_lost_pct: float = Field(
        5.0, ge=0, le=100, description="the run stops when more than this percentage of images is unusable"
    )
    unlabelled: Literal["lost", "keep"] = Field(
        "lost",
        description="rows without a label that the label policy knows: lost counts them against max_lost_pct and stops "
        "where a whole class is unknown; keep lists them and continues, for validation, which scores them apart",
    )
    columns: dict[str, str] = Field(
        default_factory=dict,
        description="column of the table by meaning, where its own names do not say it: "
        "{image_id: filename, label: class, patient_id: case}; docs/reference/table-layouts.md lists the meanings",
    )
    licences: list[str] = Field(
        default_factory=list,
        description="keep only images with these licences, such as CC-0 and CC-BY; empty keeps all",
    )
    image_types: list[str] = Field(
        default_factory=list, description="keep only images of these types, such as dermoscopic; empty keeps all"
    )
    cache: str = Field(
        "",
        description="folder or URI that keeps the verdicts, so that images unchanged since are not read again: "
        "same size, times and inode, or the same object version; empty keeps none",
    )
    rehash: bool = Field(False, description="read and hash every image, also those the cache knows unchanged")
    threads: int = Field(0, ge=0, le=256, description="images read at a time; 0 chooses by where they are")

    @field_validator("columns", mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        """A command line gives the mapping as text."""
        try:
            return yaml_text.load(value) if isinstance(value, str) else value
        except yaml.YAMLError as error:
            raise ValueError("allowed: a mapping in braces, such as {image_id: filename, label: class}") from error


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
