"""A small split artifact with real JPEG files behind it."""

import hashlib
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from components.common.artifacts.folder import new_artifact
from components.common.artifacts.split import SPLITS, SplitRecord, write_split
from components.common.imaging.pixels import encode_jpeg


def picture(seed, height=60, width=80):
    random = np.random.default_rng(seed)
    field = cv2.resize(random.uniform(40, 220, (7, 9, 3)).astype(np.float32), (width, height))
    return np.clip(field + random.normal(0, 5, field.shape), 0, 255).astype(np.uint8)


class Data:
    """Images, their rows, and the split artifact made of them."""

    def __init__(self, folder, n, whole_index):
        self.folder = folder
        self.images = folder / "images"
        self.images.mkdir(parents=True)
        label = np.arange(n) % 5 == 0
        rows = pd.DataFrame(
            {
                "image_id": [f"im{i:04d}" for i in range(n)],
                "lesion_id": [f"L{i:04d}" for i in range(n)],
                "group_id": [f"L{i:04d}" for i in range(n)],
                "dx": np.where(label, "mel", "nv"),
                "label": label.astype(np.int8),
                "size": 1,
                "uri": [str(self.images / f"im{i:04d}.jpg") for i in range(n)],
                "width": 80,
                "height": 60,
                "verdict": "ok",
                "reason": "",
                "format": "jpeg",
                "channels": 3,
                "orientation": 1,
            }
        )
        self.rows = whole_index(rows)
        self.split = np.array(SPLITS)[np.searchsorted([0.6, 0.8], (np.arange(n) * 7 % n) / n, side="right")]
        data = [encode_jpeg(picture(i % 8), 90) for i in range(n)]
        for uri, one in zip(self.rows["uri"], data, strict=True):
            Path(uri).write_bytes(one)
        self.rows["sha256"] = [hashlib.sha256(one).hexdigest() for one in data]

    def file(self, i):
        return Path(self.rows["uri"][i])

    def lose(self, numbers, verdict="missing"):
        self.rows.loc[list(numbers), ["verdict", "reason"]] = [verdict, "planted"]

    def artifact(self, name="split"):
        path = self.folder / name
        roots = [
            {"uri": str(self.images), "exists": True, "images": len(self.rows)},
            {"uri": str(self.folder / "gone"), "exists": True, "images": 0},
        ]
        with new_artifact(path, "split", {"index": "0" * 64}) as scratch:
            place = pd.Series(self.split, self.rows.index)
            write_split(scratch, self.rows, place, SplitRecord("test", 0, "a" * 64, {}, roots=roots))
        return path


@pytest.fixture
def data(tmp_path, kit):
    def build(n=60):
        return Data(tmp_path / "data", n, kit.whole_index)

    return build
