import json

import numpy as np
import pytest

from components.common.artifacts.class_weight import write_class_weight
from components.common.artifacts.folder import new_artifact, sha256_file
from components.common.artifacts.model import (
    ENSEMBLE,
    ENVIRONMENT,
    FACTS,
    HISTORY,
    NETWORK,
    TRAINING_CONFIG,
    VAL_SCORES,
    ModelFacts,
    open_model,
    read_facts,
    write_record,
)
from components.common.artifacts.policy import Calibrator, DecisionPolicy
from components.common.artifacts.scores import Scores, save_scores
from components.common.runtime.errors import ArtifactError
from components.common.statistics.numeric import sigmoid

HISTORY_TEXT = "epoch,seconds,val_average_precision,val_roc_auc\n1,10.5,0.5,0.8\n2,9.5,0.6,nan\n"


def write(out, **changes):
    ids, logit = np.array(["a", "b"]), np.array([-1.0, 2.0])
    with new_artifact(out, "model", {"records": "0" * 64}) as folder:
        (folder / NETWORK).write_bytes(b"a network")
        facts = {"architecture": "small_cnn", "image_size": (72, 96), "record_size": 72, "parameters": 10}
        ModelFacts(**facts | changes).save(folder)
        write_record(folder, TRAINING_CONFIG, {"seed": 3})
        write_record(folder, ENVIRONMENT, {"git": {"commit": "abc"}})
        write_class_weight(folder, {"0": 1.0, "1": 4.0}, 1.5)
        save_scores(folder / VAL_SCORES, Scores(ids, ids, ids, np.array([0, 1], np.int8), logit, sigmoid(logit)))
        if "members" in changes:
            write_record(folder, ENSEMBLE, {"members": []})
        else:
            (folder / HISTORY).write_text(HISTORY_TEXT)
    return out


def test_what_is_written_is_read(tmp_path):
    model = open_model(write(tmp_path / "model"))
    assert model.facts == ModelFacts(architecture="small_cnn", image_size=(72, 96), record_size=72, parameters=10)
    assert (model.training_config, model.environment, model.ensemble) == ({"seed": 3}, {"git": {"commit": "abc"}}, {})
    assert model.logit_offset() == 1.5
    assert model.val_scores().logit.tolist() == [-1.0, 2.0]
    assert model.history_column("seconds") == [10.5, 9.5]
    assert model.history_column("val_roc_auc") == model.history_column("of another release") == []
    assert model.sha256(NETWORK) == sha256_file(model.network)


def test_an_ensemble_has_members_and_no_history(tmp_path):
    model = open_model(write(tmp_path / "model", architecture="a+b", members=2))
    assert (model.facts.members, model.history, model.ensemble) == (2, [], {"members": []})


@pytest.mark.parametrize(
    ("field", "value"),
    [("image_size", [72]), ("image_size", ["72", 96]), ("image_size", [72, -1]), ("architecture", ""),
     ("target", "both"), ("record_size", 7.5), ("parameters", None), ("colour", "red")],
)  # fmt: skip
def test_a_field_with_an_impossible_value_is_named(field, value, tmp_path):
    path = tmp_path / FACTS
    record = {"schema": "lesionflow.model/1", "architecture": "small_cnn", "image_size": [72, 96], "parameters": 10}
    if value is None:
        record["parameters"] = True
    else:
        record[field] = value
    path.write_text(json.dumps(record))
    with pytest.raises(ArtifactError, match=rf"model\.json: {field}.*train again"):
        read_facts(tmp_path)


def test_a_policy_of_another_model_or_other_scores_is_refused(tmp_path):
    model = open_model(write(tmp_path / "model"))
    right = {"model_sha256": model.sha256(NETWORK), "val_probs_sha256": model.sha256(VAL_SCORES)}

    def policy(**changes):
        return DecisionPolicy(Calibrator("none"), 0.0, 0.5, {}, {"n": 2, "malignant": 1}, 0.5, **right | changes)

    model.check_policy(policy())
    for name, file in (("model_sha256", "model.keras"), ("val_probs_sha256", "val_probs.npz")):
        with pytest.raises(ArtifactError, match=rf"belongs to a {file} with sha256 ffffffffffff, .*calibrate this one"):
            model.check_policy(policy(**{name: "f" * 64}))
