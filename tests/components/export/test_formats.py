"""ONNX and LiteRT: the bundle's decision in other runtimes, or a clear refusal."""

import importlib.util
import json

import numpy as np
import pytest

from components.common.artifacts.policy import Calibrator, DecisionPolicy
from components.common.bundle.load import load_bundle
from components.common.bundle.parity_record import read_formats
from components.common.bundle.verify import verify_bundle
from components.common.runtime.errors import ArtifactError, ConfigError
from components.export.config import ExportConfig
from components.export.formats import check_available, check_format, open_format, write_format
from components.export.run import run

pytest.importorskip("tf2onnx", reason="the extra `formats` is not in this environment")

BOTH = ["onnx", "litert"]
CALIBRATORS = [
    Calibrator("none"),
    Calibrator("platt", 1.4, {"a": 0.9, "b": 0.1}),
    Calibrator("beta", 1.4, {"a": 0.9, "b": 0.8, "c": 0.1}),
    Calibrator("isotonic", 1.4, {"x": [-2.0, 0.0, 0.5, 2.0], "y": [0.01, 0.3, 0.4, 0.9]}),
]


def policy_of(calibrator, threshold=0.0):
    return DecisionPolicy(calibrator, threshold, 0.3, {}, {}, 0.2, "m", "v", {"low": 0.3, "high": 0.5})


def expected_of(policy, network, pixels):
    logit = np.asarray(network(pixels.astype(np.float32), training=False), np.float64)[:, 0]
    p, decision = policy.probability(logit), policy.decide(logit).astype(int)
    decision[(p > 0.3) & (p < 0.5)] = 2
    nowhere = np.full(len(p), -1.0, np.float32)
    return {"probability": p, "decision": decision, "distance": nowhere, "status": np.where(decision == 2, 1, 0)}


@pytest.fixture(scope="module")
def pixels(kit):
    return np.random.default_rng(0).integers(0, 256, (30, *kit.size, 3), dtype=np.uint8)


@pytest.mark.parametrize("calibrator", CALIBRATORS, ids=lambda c: c.name)
@pytest.mark.parametrize("name", BOTH)
def test_every_calibrator_and_the_abstain_band_are_inside(name, calibrator, kit, pixels, tmp_path):
    network, policy = kit.build_network(), policy_of(calibrator)
    path = write_format(name, network, policy, "none", tmp_path)
    entry = check_format(name, path, pixels, policy, expected_of(policy, network, pixels), 1e-5)
    assert entry.changed_decisions == 0
    assert entry.bytes == path.stat().st_size
    assert 0 < entry.latency_p50_ms <= entry.latency_p95_ms
    reply = open_format(name, path)(pixels[:1])  # any batch size
    assert reply["probability"].dtype == np.float32
    assert reply["decision"].dtype == np.int32
    assert reply["logit"].shape == (1,)


@pytest.mark.parametrize("name", BOTH)
def test_a_file_that_answers_otherwise_is_refused(name, kit, pixels, tmp_path):
    network, policy = kit.build_network(), policy_of(CALIBRATORS[1])
    path = write_format(name, network, policy, "none", tmp_path)
    expected = expected_of(policy, network, pixels)
    moved = expected | {"probability": expected["probability"] + 2e-5}
    with pytest.raises(ArtifactError, match=r"disagree on 30 images: .* \(allowed 1e-05\), 0 changed"):
        check_format(name, path, pixels, policy, moved, 1e-5)
    turned = expected | {"decision": 1 - expected["decision"]}
    with pytest.raises(ArtifactError, match="changed decisions"):
        check_format(name, path, pixels, policy, turned, 1e-5)


def test_a_bundle_with_both_files_is_verified_and_its_card_shows_them(export_inputs, tmp_path):
    config = ExportConfig(formats=BOTH)
    done = run(config, export_inputs.model, export_inputs.policy, export_inputs.split, tmp_path / "bundle")
    known = read_formats(done.path)
    assert {name: entry.images for name, entry in known.items()} == dict.fromkeys(BOTH, len(export_inputs.files))
    assert all(entry.max_probability_difference <= 1e-5 for entry in known.values())
    card = (done.path / "model_card.md").read_text()
    assert "| model.onnx |" in card
    assert "| model.tflite |" in card
    verify_bundle(done.path, load=False)
    data = bytearray((done.path / "model.onnx").read_bytes())
    data[-1] ^= 1
    (done.path / "model.onnx").write_bytes(data)
    with pytest.raises(ArtifactError, match=r"model\.onnx: sha256 is"):
        load_bundle(done.path)


def test_a_missing_extra_is_said_before_any_work(export_inputs, tmp_path, monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "tf2onnx" else real(name))
    config = ExportConfig(formats=["onnx"])
    with pytest.raises(ConfigError, match=r"'onnx', which needs tf2onnx; install the extra: pip install 'lesionflow"):
        run(config, export_inputs.model, export_inputs.policy, export_inputs.split, tmp_path / "bundle")
    assert not list(tmp_path.iterdir())
    check_available(["litert"])


def test_without_formats_a_bundle_has_none(exported):
    assert not (exported.path / "formats.json").exists()
    assert json.loads((exported.path / "card.json").read_text())["formats"] == {}


def test_an_unknown_format_is_one_line():
    with pytest.raises(ConfigError, match="tflite"):
        ExportConfig.parse({"formats": ["tflite"]})
