"""`refusal.json` of a bundle: how it tells a dermoscopic image from another picture, and how well that was seen to do.

The graph holds the numbers that decide; this says what they were made from. A bundle without the file was made before
there was such a check: its status is `not checked`, and its predictions have no distance.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from components.common.artifacts.json_file import Document, read_record, write_json
from components.common.bundle import layout

SCHEMA = "lesionflow.refusal/1"
ALPHA = 0.01  # accepted share of new groups of dermoscopic images that have an image refused
RELIABLE = 0.99  # of the generated pictures that are not dermoscopy
METHOD = "mean over depths of the Mahalanobis distance of pooled features to the training images"

Status = Literal["checked", "not_checked"]


class Accepted(Document):
    """The validation images that the limit was chosen on.

    Attributes:
        images: how many.
        groups: lesions or patients they show.
        refused_images: beyond the limit.
        refused_groups: groups with such an image.
        quantiles: 101 quantiles of the images' distances, from the smallest to the largest.
    """

    images: int
    groups: int
    refused_images: int
    refused_groups: int
    quantiles: list[float]


class Shown(Document):
    """Generated pictures of one kind that are not dermoscopy; nothing was fitted or chosen on them.

    Attributes:
        images: how many were shown to the bundle.
        refused: how many it refused.
    """

    images: int
    refused: int


class Refusal(Document):
    """What a bundle refuses.

    Attributes:
        status: `checked`: images beyond `limit` get the status `not_dermoscopy`; `not_checked`: none does.
        reason: why nothing is checked; empty otherwise.
        method: what the distance is.
        features: how many features at each depth.
        reference_images: training images the distance is measured from.
        alpha: accepted share of new groups with an image refused.
        limit: largest distance that is accepted.
        validation: the images the limit was chosen on.
        generated: pictures that are not dermoscopy, by kind, shown when the bundle was made.
    """

    status: Status
    reason: str = ""
    method: str = METHOD
    features: list[int] = Field(default_factory=list)
    reference_images: int = 0
    alpha: float = ALPHA
    limit: float | None = None
    validation: Accepted | None = None
    generated: dict[str, Shown] = Field(default_factory=dict)

    @property
    def checked(self) -> bool:
        """Whether the bundle refuses anything."""
        return self.status == "checked"

    @property
    def share_of_generated(self) -> float | None:
        """Share of the generated pictures that was refused; None without any."""
        images = sum(one.images for one in self.generated.values())
        return sum(one.refused for one in self.generated.values()) / images if images else None

    @property
    def reliable(self) -> bool:
        """Whether the generated pictures were refused nearly all; a bundle that fails this is marked wherever shown."""
        share = self.share_of_generated
        return self.checked and share is not None and share >= RELIABLE

    @property
    def words(self) -> str:
        """One line for people."""
        if not self.checked or self.validation is None:
            return f"not checked ({self.reason})"
        shown = sum(one.images for one in self.generated.values())
        refused = sum(one.refused for one in self.generated.values())
        weak = "" if self.reliable else "; this network does not tell them apart reliably"
        accepted = self.validation
        return (
            f"refused beyond a distance of {self.limit:.3f}, as were {accepted.refused_groups} of {accepted.groups} "
            f"validation groups and {refused} of {shown} generated pictures that are not dermoscopic{weak}"
        )

    def save(self, folder: Path) -> None:
        """Writes `refusal.json`."""
        write_json(folder / layout.REFUSAL, {"schema": SCHEMA, **self.model_dump()})


BEFORE = Refusal(status="not_checked", reason="made by a version that did not check")


def read_refusal(bundle: Path) -> Refusal:
    """What a bundle refuses; `BEFORE` where it has no such file.

    Raises:
        ArtifactError: the file is damaged.
    """
    path = bundle / layout.REFUSAL
    if not path.is_file():
        return BEFORE
    return read_record(path, SCHEMA, Refusal, "export the bundle again")
