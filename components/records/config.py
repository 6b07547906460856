"""Parameters of the records step."""

from __future__ import annotations

import re
from typing import Any

from pydantic import Field, field_validator

from components.common.runtime.config import StepConfig
from components.common.runtime.errors import ConfigError

_SIZE = re.compile(r"([0-9]+)x([0-9]+)")


class RecordsConfig(StepConfig):
    """How images are prepared for training and packed into shards."""

    record_size: int | None = Field(
        224,
        ge=8,
        description="short side of the stored images in pixels (never enlarged); empty or original keeps bytes",
    )
    jpeg_quality: int = Field(95, ge=30, le=100, description="JPEG quality of the stored images")
    shard_bytes: int = Field(64 * 2**20, ge=1024, description="a shard is closed when it has reached this many bytes")
    max_lost_pct: float = Field(5.0, ge=0, le=100, description="more lost images than this, in percent, stop the run")
    workers: int = Field(0, ge=0, le=256, description="images worked on at a time; 0 chooses by where they are")

    @field_validator("record_size", mode="before")
    @classmethod
    def _original(cls, value: Any) -> Any:
        return None if value in ("", "original", "null", "none") else value

    @classmethod
    def for_image_size(cls, image_size: str, max_lost_pct: float) -> RecordsConfig:
        """The configuration for a network input of `HxW` pixels: the smaller side is the stored short side.

        Raises:
            ConfigError: not of the form HxW.
        """
        match = _SIZE.fullmatch(image_size)
        if not match:
            raise ConfigError(f"image_size: received {image_size!r}; allowed: height and width as in 144x192")
        return cls.parse({"record_size": min(int(match[1]), int(match[2])), "max_lost_pct": max_lost_pct})
