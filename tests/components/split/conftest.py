"""Index artifacts made by hand: any rows, no images needed."""

import hashlib
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from components.common.artifacts.folder import new_artifact
from components.common.artifacts.index import write_account, write_index

DX = np.array(["akiec", "bcc", "bkl", "df", "mel", "nv", "vasc"])
SHARES = np.array([0.033, 0.051, 0.11, 0.011, 0.111, 0.67, 0.014])
MALIGNANT = ("akiec", "bcc", "mel")


def make_rows(lesions, seed=0, largest=4):
    """Rows as in `index.parquet`: several images per lesion, all of one diagnosis."""
    random = np.random.default_rng(seed)
    lesion = np.repeat(np.arange(lesions), random.integers(1, largest + 1, lesions))
    dx = DX[random.choice(len(DX), lesions, p=SHARES)][lesion]
    n = len(lesion)
    image = [f"im{i:06d}" for i in range(n)]
    lesion_id = [f"L{i:05d}" for i in lesion]
    return pd.DataFrame(
        {
            "image_id": image,
            "lesion_id": lesion_id,
            "group_id": lesion_id,
            "dx": dx,
            "label": np.isin(dx, MALIGNANT).astype(np.int8),
            "uri": [f"/nowhere/{name}.jpg" for name in image],
            "sha256": [hashlib.sha256(name.encode()).hexdigest() for name in image],
            "width": 200,
            "height": 150,
            "phash": [f"{i:016x}" for i in range(n)],
            "verdict": "ok",
            "reason": "",
            "age": random.choice([25.0, 45.0, 70.0, 85.0, np.nan], n),
            "sex": random.choice(["male", "female", "unknown"], n),
            "localization": random.choice(["back", "face"], n),
            "dx_type": "histo",
            "dataset": "a",
            "format": "jpeg",
            "channels": 3,
            "orientation": 1,
            "size": 1000,
        }
    )


def save_index(folder, rows):
    with new_artifact(folder, "index", {}) as scratch:
        write_index(scratch, rows)
        write_account(scratch, {"roots": [{"uri": "/nowhere", "exists": True, "images": len(rows)}]})
    return folder


@pytest.fixture
def rows():
    return make_rows


@pytest.fixture
def index(tmp_path):
    def build(table, name="index"):
        return save_index(tmp_path / name, table)

    return build


@pytest.fixture
def reference_data():
    folder = Path(os.environ.get("LESIONFLOW_REFERENCE_DATA", Path(__file__).parents[4] / "shared" / "ham10000"))
    if not (folder / "HAM10000_metadata.csv").is_file():
        pytest.skip("the reference data is not beside the checkout (../shared/ham10000)")
    return folder
