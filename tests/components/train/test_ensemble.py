"""Several models as one model artifact, and what that gains."""

import json

import keras
import numpy as np
import pytest

from components.common.artifacts.folder import open_artifact
from components.common.artifacts.json_file import read_json
from components.common.artifacts.scores import load_scores
from components.common.runtime.errors import ArtifactError, ConfigError
from components.train import ensemble
from components.train.feed import plain_batches
from components.train.folds import leave_out
from components.train.records import load_split
from components.train.run import run


@pytest.fixture(scope="module")
def members(records, tiny, tmp_path_factory):
    root = tmp_path_factory.mktemp("members")
    for k in range(2):
        run(tiny(folds=2, fold=k, seed=k, target="diagnosis" if k else "binary"), records, root / f"model{k}")
    run(tiny(), records, root / "single")
    return [root / "model0", root / "model1"], root / "single"


@pytest.fixture(scope="module")
def made(members, tmp_path_factory):
    models, single = members
    return ensemble.run(models, tmp_path_factory.mktemp("ensemble") / "model", against=single)


def test_a_member_trains_without_its_fold_and_is_validated_on_the_common_split(records, members):
    (first, second), _ = members
    train, val = (load_split(records, name, (32, 40), "memory") for name in ("train", "val"))
    for path, k in ((first, 0), (second, 1)):
        kept, out = leave_out(train, 2, k)
        counts = read_json(path / "class_weight.json", "lesionflow.class_weight/1")["counts"]
        assert counts == {"0": int((kept.rows.label == 0).sum()), "1": int(kept.rows.label.sum())}
        assert load_scores(path / "val_probs.npz").image_id.tolist() == val.rows.image_id.tolist()
        best = max(float(row.split(",")[i]) for i, row in _column(path, "val_average_precision"))
        network = keras.models.load_model(path / "model.keras", compile=False)
        logit = network.predict(np.concatenate(list(plain_batches(out, 64))), verbose=0)[:, 0]
        from sklearn.metrics import average_precision_score

        assert average_precision_score(out.rows.label, logit) == pytest.approx(best, abs=1e-4)


def _column(path, name):
    head, *rows = (path / "history.csv").read_text().splitlines()
    return [(head.split(",").index(name), row) for row in rows]


def test_one_network_answers_with_the_mean_logit_of_its_members(records, members, made):
    val = load_split(records, "val", (32, 40), "memory")
    pixels = np.concatenate(list(plain_batches(val, 64)))
    whole = keras.models.load_model(made.out / "model.keras", compile=False, safe_mode=True)
    logit = whole.predict(pixels, verbose=0)[:, 0]
    each = [load_scores(path / "val_probs.npz").logit for path in members[0]]
    np.testing.assert_allclose(logit, np.mean(each, axis=0), atol=1e-5)
    np.testing.assert_allclose(load_scores(made.out / "val_probs.npz").logit, logit, atol=1e-5)
    assert tuple(whole.output_shape) == (None, 1)


def test_the_artifact_says_what_it_was_made_of_and_what_it_gains(members, made):
    artifact = open_artifact(made.out, "model")
    record = read_json(made.out / "ensemble.json", "lesionflow.ensemble/1")
    digests = [open_artifact(path, "model").digest for path in members[0]]
    assert [one["digest"] for one in record["members"]] == digests
    assert set(digests) < set(artifact.made_from.values())
    assert [one["fold"] for one in record["members"]] == [0, 1]
    assert all(one["seconds"] > 0 for one in record["members"])
    for side in ("over_members", "over_single"):
        for found in record[side].values():
            assert found["gain"]["lower"] <= found["gain"]["value"] <= found["gain"]["upper"]
    mean = np.mean([one["average_precision"] for one in record["members"]])
    assert record["over_members"]["average_precision"]["before"] == pytest.approx(mean)
    facts = read_json(made.out / "model.json", "lesionflow.model/1")
    assert (facts["architecture"], facts["members"], facts["image_size"]) == ("small_cnn", 2, [32, 40])
    offsets = [json.loads((path / "class_weight.json").read_text())["logit_offset"] for path in members[0]]
    weight = read_json(made.out / "class_weight.json", "lesionflow.class_weight/1")
    assert weight["logit_offset"] == pytest.approx(np.mean(offsets))
    assert "fold" not in json.loads((made.out / "training_config.json").read_text())


def test_models_that_cannot_be_judged_together_are_refused(members, made, kit, tiny, tmp_path):
    (first, second), _ = members
    with pytest.raises(ConfigError, match="two or more"):
        ensemble.run([first], tmp_path / "out")
    with pytest.raises(ConfigError, match="the same model twice"):
        ensemble.run([first, first], tmp_path / "out")
    with pytest.raises(ArtifactError, match="is an ensemble itself"):
        ensemble.run([first, made.out], tmp_path / "out")
    run(tiny(epochs=1, warmup_epochs=0.0), kit.make_records(tmp_path / "other", val=40), tmp_path / "model")
    with pytest.raises(ArtifactError, match=r"not validated on the same images: 40 images against 48, 40 in common"):
        ensemble.run([second, tmp_path / "model"], tmp_path / "out")
    assert not (tmp_path / "out").exists()
