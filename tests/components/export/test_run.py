"""The export step: bundle content, parity, and inputs that do not belong together."""

import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from components.common.artifacts.folder import new_artifact, open_artifact
from components.common.artifacts.scores import load_scores, save_scores
from components.common.bundle.fingerprints import CHOSEN, read_fingerprints
from components.common.bundle.labels import Labels
from components.common.bundle.load import load_bundle
from components.common.bundle.parity_record import Parity
from components.common.runtime.errors import ArtifactError
from components.common.statistics.numeric import sigmoid
from components.export.config import ExportConfig
from components.export.run import run

PROMISED = {
    "saved_model/saved_model.pb",
    "decision_policy.json",
    "preprocessing.json",
    "labels.json",
    "model_card.md",
    "card.json",
    "parity.json",
    "selftest.json",
    "selftest.jpg",
    "fingerprints.npz",
    "reference_probs.npz",
}


def test_bundle_holds_every_promised_file_and_agrees_with_the_model(export_inputs, exported):
    artifact = open_artifact(exported.path, "bundle")
    assert set(artifact.files) >= PROMISED
    assert set(artifact.made_from) == {"model", "policy", "split"}
    report = Parity.read(exported.path)
    assert report.parity.images == len(export_inputs.files)
    assert report.parity.max_probability_difference <= 1e-5
    assert report.parity.changed_decisions == 0
    # validation records keep their bytes, and serving rounds where training does
    assert report.preparation.mean_absolute_logit_shift < 1e-4
    assert report.preparation.changed_decisions == 0
    assert exported.policy_id == export_inputs.rule.policy_id
    assert all(np.isfinite(value) and type(value) is float for value in exported.figures.values())


def test_the_bundle_knows_the_images_it_was_chosen_on_and_holds_neither_their_ids_nor_their_names(
    export_inputs, exported
):
    known = read_fingerprints(exported.path)
    assert known is not None and len(known) == len(export_inputs.files)
    assert (known.part == CHOSEN).all()
    content = (exported.path / "fingerprints.npz").read_bytes()
    assert not any(name.encode() in content for name in export_inputs.files)


def test_labels_say_which_diagnosis_counts_as_what(exported):
    labels = Labels.read(exported.path)
    assert labels.diagnoses == {"mel": 1, "nv": 0}
    assert labels.decisions == {"1": "malignant", "0": "benign", "2": "refer", "-1": "not readable"}


def test_policy_of_another_model_is_refused_and_nothing_is_written(export_inputs, kit, tmp_path):
    kit.write_policy(tmp_path / "policy", export_inputs.model, 0.0, model_sha256="f" * 64)
    with pytest.raises(ArtifactError, match=r"belongs to a model\.keras with sha256 ffffffffffff"):
        run(ExportConfig(), export_inputs.model, tmp_path / "policy", export_inputs.split, tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_images_that_training_saw_otherwise_fail_the_step_with_the_numbers(export_inputs, kit, tmp_path):
    scores = load_scores(export_inputs.model / "val_probs.npz")
    moved = replace(scores, logit=scores.logit + 0.3, probability=sigmoid(scores.logit + 0.3))
    with new_artifact(tmp_path / "model", "model", {}) as folder:
        shutil.copytree(export_inputs.model, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("artifact.json"))
        save_scores(folder / "val_probs.npz", moved)
    kit.write_policy(tmp_path / "policy", tmp_path / "model", export_inputs.rule.threshold_logit)
    with pytest.raises(ArtifactError, match=r"on 4 images: mean absolute difference .* 0\.3 \(max_logit_shift allows"):
        config = ExportConfig(parity_images=4)
        run(config, tmp_path / "model", tmp_path / "policy", export_inputs.split, tmp_path / "out")
    assert {path.name for path in tmp_path.iterdir()} == {"model", "policy"}


def test_without_a_split_parity_is_checked_on_generated_images_and_the_card_says_so(export_inputs, tmp_path):
    done = run(ExportConfig(), export_inputs.model, export_inputs.policy, None, tmp_path / "bundle")
    assert done.parity.images_from == "generated"
    assert done.parity.preparation is None
    assert "generated images only" in (done.path / "model_card.md").read_text()
    assert read_fingerprints(done.path) is None


@pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16"])
def test_models_trained_in_mixed_precision_are_served_in_float32(precision, export_inputs, kit, tmp_path):
    logit = kit.write_model(tmp_path / "model", export_inputs.files, precision)
    kit.write_policy(tmp_path / "policy", tmp_path / "model", float(np.median(logit)))
    config = ExportConfig(max_changed_decisions=0.25)  # of 24; a half-precision logit near the threshold may cross it
    done = run(config, tmp_path / "model", tmp_path / "policy", export_inputs.split, tmp_path / "bundle")
    assert done.parity.parity.max_probability_difference <= 1e-5
    reply = load_bundle(done.path).predict([kit.jpeg(0)])
    assert reply.probability.dtype == np.float32
    assert reply.logit.dtype == np.float32
    assert reply.decision.dtype == np.int32


def test_flips_average_the_four_mirrored_views(export_inputs, kit, tmp_path, bundle):
    config = ExportConfig(augmentation="flips")
    done = run(config, export_inputs.model, export_inputs.policy, export_inputs.split, tmp_path / "bundle")
    augmented = load_bundle(done.path)
    image = np.random.default_rng(5).integers(0, 255, (1, *kit.size, 3), dtype=np.uint8)
    views = np.concatenate([image, image[:, ::-1], image[:, :, ::-1], image[:, ::-1, ::-1]])
    expected = bundle.predict_pixels(views).logit.mean()
    assert augmented.predict_pixels(image).logit[0] == pytest.approx(expected, abs=1e-4)
    measured = done.parity.augmentation
    assert measured.images == len(export_inputs.files)
    assert {"average_precision", "roc_auc", "log_loss", "sensitivity", "specificity"} <= measured.model_fields_set
    assert "| Average precision | " in (done.path / "model_card.md").read_text()


def test_a_fresh_process_gives_the_same_numbers(exported, bundle, kit, tmp_path):
    (tmp_path / "image.jpg").write_bytes(kit.jpeg(4))
    code = (
        "import sys; from pathlib import Path; from components.common.bundle.load import load_bundle\n"
        "reply = load_bundle(Path(sys.argv[1])).predict([Path(sys.argv[2]).read_bytes()])\n"
        "print(repr(float(reply.logit[0])), int(reply.decision[0]))"
    )
    command = [sys.executable, "-c", code, str(exported.path), str(tmp_path / "image.jpg")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    logit, decision = done.stdout.split()
    here = bundle.predict([kit.jpeg(4)])
    assert float(logit) == pytest.approx(float(here.logit[0]), abs=1e-6)
    assert int(decision) == here.decision[0]


def test_the_command_starts_without_tensorflow():
    code = (
        "import sys; from components.export.__main__ import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "assert 'tensorflow' not in sys.modules and 'keras' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--parity_tolerance" in done.stdout
