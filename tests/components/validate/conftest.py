"""A clinic: a table and images of its own, one of which the bundle was chosen on, and the index of them."""

import csv
import shutil
from types import SimpleNamespace

import pytest

from components.ingest.config import IngestConfig
from components.ingest.run import run as ingest


@pytest.fixture(scope="session")
def clinic(export_inputs, kit, tmp_path_factory):
    root = tmp_path_factory.mktemp("clinic")
    images = root / "images"
    images.mkdir()
    rows = []
    for number in range(40):
        (images / f"c{number:02d}.jpg").write_bytes(kit.jpeg(500 + number))
        dx = "melanoma" if number % 3 == 0 else "nevus"
        rows.append({"image_id": f"c{number:02d}", "lesion_id": f"L{number // 2 if number < 12 else number}", "dx": dx})
    for number in range(0, 12, 2):  # the images of one lesion have one diagnosis
        rows[number + 1]["dx"] = rows[number]["dx"]
    name, file = next(iter(export_inputs.files.items()))
    shutil.copy(file, images / "copied.jpg")
    rows.append({"image_id": "copied", "lesion_id": "copied", "dx": "nevus"})
    rows[30]["dx"], rows[31]["dx"] = "wart", ""
    (images / "c32.jpg").write_bytes(b"not an image")
    table = root / "table.csv"
    with table.open("w", newline="") as handle:
        writer = csv.DictWriter(handle, ["image_id", "lesion_id", "dx"])
        writer.writeheader()
        writer.writerows(rows)
    config = IngestConfig(unlabelled="keep", max_lost_pct=5)
    ingest(config, str(table), [str(images)], root / "index")
    return SimpleNamespace(root=root, table=table, images=images, index=root / "index", rows=rows, seen=name)
