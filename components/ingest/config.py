"""Parameters of the ingest step."""

from __future__ import annotations

from pydantic import Field

from components.common.runtime.config import StepConfig


class IngestConfig(StepConfig):
    """How the table and the images are read and judged."""

    label_policy: str = Field(
        "ham10000",
        min_length=1,
        description="which diagnoses are malignant: ham10000, ham10000-without-akiec, isic2019, or a YAML file",
    )
    max_lost_pct: float = Field(
        5.0, ge=0, le=100, description="the step fails when more than this share of images, in percent, is unusable"
    )
    cache: str = Field(
        "",
        description="folder or URI that keeps the verdicts: images whose size, times and inode (or object version) are "
        "those remembered are not read again",
    )
    rehash: bool = Field(False, description="read and hash every image, also those the cache knows unchanged")
    threads: int = Field(0, ge=0, le=256, description="images read at a time; 0 chooses by where they are")
