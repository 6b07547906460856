"""The commands about a finished model, as a person types them."""

import shutil
import sys

import pytest

from components.common.artifacts.folder import open_artifact
from pipelines.cli.main import main
from pipelines.local.run import _bundle_fault


@pytest.fixture(scope="module")
def evaluation(exported, evaluated, tmp_path_factory):
    out = tmp_path_factory.mktemp("judged") / "evaluation"
    return evaluated(out, exported.path)


def test_verify_prints_the_digest_and_holds_the_bundle_against_it(exported, capsys):
    digest = open_artifact(exported.path, "bundle").digest
    assert main(["bundle", "verify", str(exported.path), "--digest", digest.upper()]) == 0
    out = capsys.readouterr().out
    assert f"digest {digest}" in out
    assert out.splitlines()[-1] == "bundle OK: complete, unmodified, self-test passed"
    assert main(["bundle", "verify", str(exported.path), "--digest", "0" * 64]) == 1
    assert f"digest is {digest}, expected {'0' * 64}; this is another bundle" in capsys.readouterr().err
    assert main(["bundle", "verify", str(exported.path), "--digest", "abc"]) == 2
    assert "--digest: received 'abc'; allowed: 64 hexadecimal digits" in capsys.readouterr().err


def test_a_verification_that_ends_early_with_code_0_does_not_count(exported, monkeypatch):
    assert _bundle_fault(exported.path) == ""
    monkeypatch.setattr(sys, "executable", shutil.which("true"))
    assert "ended with code 0 before it was through" in _bundle_fault(exported.path)


def test_predict_says_what_it_waits_for_and_fails_where_an_image_has_no_prediction(
    exported, kit, tmp_path, capsys, caplog
):
    (tmp_path / "good.jpg").write_bytes(kit.jpeg(0))
    caplog.set_level("INFO")
    assert main(["predict", str(exported.path), str(tmp_path)]) == 0
    assert "1 images; checking and loading the bundle" in caplog.text
    capsys.readouterr()
    (tmp_path / "bad.jpg").write_bytes(b"no image")
    assert main(["predict", str(exported.path), str(tmp_path), "--csv"]) == 1
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 3
    assert err.splitlines()[-1] == "error: no prediction for 1 of 2 images; their rows say why"


def test_card_is_printed_or_written_with_the_metrics_of_an_evaluation(exported, evaluation, metrics, tmp_path, capsys):
    assert main(["bundle", "card", str(exported.path)]) == 0
    assert capsys.readouterr().out == (exported.path / "model_card.md").read_text()
    out = tmp_path / "cards" / "card.md"
    assert main(["bundle", "card", str(exported.path), "--evaluation", str(evaluation), "--out", str(out)]) == 0
    assert f"| ROC-AUC | {metrics.roc_auc.value:.3f} (" in out.read_text()
    assert main(["bundle", "card", str(exported.path), "--out", str(exported.path / "model_card.md")]) == 2
    assert "is inside the bundle, which never changes" in capsys.readouterr().err
    assert main(["bundle", "card", str(exported.path), "--out", str(tmp_path)]) == 2
    assert f"a folder; allowed: a file, such as {tmp_path / 'model_card.md'}" in capsys.readouterr().err


def test_stage_copies_the_bundle_to_a_version_once(exported, evaluation, tmp_path, capsys):
    command = ["bundle", "stage", str(exported.path), "--out", str(tmp_path / "lesionflow"), "--version", "4"]
    assert main([*command, "--evaluation", str(evaluation)]) == 0
    assert f"as {tmp_path / 'lesionflow' / '4'}\n" in capsys.readouterr().out
    assert (tmp_path / "lesionflow" / "4" / "saved_model.pb").is_file()
    assert main([*command, "--evaluation", str(evaluation)]) == 0
    assert capsys.readouterr().out.startswith("already staged: ")
    assert main(command) == 1
    assert "already exists with another card; a served version never changes" in capsys.readouterr().err
    command[-1] = "5"
    assert main(command) == 0
    assert "its card has no test metrics; give --evaluation" in capsys.readouterr().out


def test_an_ensemble_of_one_or_of_no_models_is_one_clear_line(export_inputs, tmp_path, capsys):
    assert main(["ensemble", str(export_inputs.model), "--out", str(tmp_path / "out")]) == 2
    assert "received 1 model; allowed: two or more" in capsys.readouterr().err
    assert main(["ensemble", str(tmp_path / "a"), str(tmp_path / "b"), "--out", str(tmp_path / "out")]) == 1
    assert "no such folder; expected a model artifact" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
