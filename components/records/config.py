"""Parameters of the records step."""

from __future__ import annotations

from typing import Any

from pydantic import Field, field_serializer, field_validator

from components.common.runtime.config import StepConfig


class RecordsConfig(StepConfig):
    """How images are prepared for training and packed into shards."""

    record_size: int | None = Field(
        224,
        ge=8,
        description="short side of the stored images in pixels (never enlarged); empty or original: bytes are kept; "
        "a run of the pipeline takes the smaller side of image_size where it is not given",
    )
    jpeg_quality: int = Field(95, ge=30, le=100, description="JPEG quality of the stored images")
    shard_bytes: int = Field(64 * 2**20, ge=1024, description="a shard is closed when it has reached this many bytes")
    max_lost_pct: float = Field(
        5.0, ge=0, le=100, description="the run stops when more than this percentage of images is unusable"
    )
    workers: int = Field(0, ge=0, le=256, description="images prepared at a time; 0: chosen by where they are stored")

    @field_serializer("record_size", when_used="json")
    def _by_name(self, value: int | None) -> int | str:
        return "original" if value is None else value

    @field_validator("record_size", mode="before")
    @classmethod
    def _original(cls, value: Any) -> Any:
        return None if value in ("", "original", "null", "none") else value
