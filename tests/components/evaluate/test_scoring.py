import hashlib
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
import pytest

from components.common.artifacts.folder import sha256_file
from components.common.artifacts.policy import DecisionPolicy
from components.common.bundle.load import Predictions
from components.common.runtime.errors import ArtifactError, DataError
from components.evaluate.scoring import check_predictions, lost_images, open_split, refuse_overlap, score, slice_columns


@dataclass
class Brightness:
    """A bundle in NumPy: the mean byte is the logit; remembers the batches it was asked about."""

    policy: DecisionPolicy
    unreadable: tuple[bytes, ...] = ()
    sizes: list[int] = field(default_factory=list)

    def predict(self, images):
        self.sizes.append(len(images))
        read = np.array([image not in self.unreadable for image in images])
        logit = np.array([np.frombuffer(i, np.uint8).mean() / 32 - 4 for i in images], np.float32)
        p = self.policy.probability(logit.astype(np.float64)).astype(np.float32)
        decision = np.where(read, self.policy.decide(logit), -1).astype(np.int32)
        status = np.where(read, "ok", "corrupt").astype(np.str_)
        ids = np.full(len(images), self.policy.policy_id)
        return Predictions(
            np.where(read, p, -1), np.where(read, logit, 0), decision, ids, status, np.full(len(logit), -1.0)
        )


@pytest.fixture
def policy(saved):
    from components.common.artifacts.policy import load_policy

    return load_policy(saved / "decision_policy.json")


@pytest.fixture
def rows(tmp_path):
    found = []
    for k in range(11):
        path = tmp_path / f"{k}.bin"
        path.write_bytes(bytes([20 * k + 7] * 9))
        ids = {"image_id": f"i{k}", "lesion_id": f"l{k}", "group_id": f"g{k}"}
        found.append({**ids, "label": k % 2, "uri": str(path), "sha256": sha256_file(path)})
    return pd.DataFrame(found)


def test_batches_keep_the_order_and_cover_every_image(policy, rows):
    bundle = Brightness(policy)
    scores, unread = score(bundle, rows, 4)
    assert bundle.sizes == [4, 4, 3]
    assert scores.image_id.tolist() == rows["image_id"].tolist()
    np.testing.assert_allclose(scores.logit, [(20 * k + 7) / 32 - 4 for k in range(11)], atol=1e-6)
    assert unread == []


def test_progress_is_reported(policy, rows, tmp_path, monkeypatch):
    monkeypatch.setenv("LESIONFLOW_EVENTS", str(tmp_path / "events"))
    score(Brightness(policy), rows, 4)
    assert '"what": "test images", "done": 11, "total": 11' in (tmp_path / "events").read_text()


def test_images_the_bundle_cannot_read_are_listed_and_left_out(policy, rows):
    scores, unread = score(Brightness(policy, (bytes([47] * 9),)), rows, 4)
    assert unread == [{"image_id": "i2", "reason": "corrupt"}]
    assert "i2" not in scores.image_id
    assert len(scores) == 10


def test_no_readable_image_is_an_error(policy, rows):
    every = tuple(bytes([20 * k + 7] * 9) for k in range(11))
    with pytest.raises(DataError, match="could read none of 11 test images"):
        score(Brightness(policy, every), rows, 4)


def test_an_image_that_went_missing_is_named(policy, rows, tmp_path):
    (tmp_path / "3.bin").unlink()
    with pytest.raises(DataError, match=r"test image .*3\.bin: cannot be read"):
        score(Brightness(policy), rows, 4)


def test_what_is_scored_of_a_dicom_file_is_its_jpeg(policy, rows, tmp_path, dicom_file):
    jpeg = b"\xff\xd8" + bytes(range(100)) + b"\xff\xd9"
    (tmp_path / "3.dcm").write_bytes(dicom_file(jpeg))
    (tmp_path / "3.jpg").write_bytes(jpeg)
    found = []
    for name in ("3.dcm", "3.jpg"):
        one = rows.iloc[3:4].assign(uri=str(tmp_path / name), sha256=hashlib.sha256(jpeg).hexdigest())
        found.append(float(score(Brightness(policy), one, 4)[0].logit[0]))
    assert found[0] == found[1]


def test_a_swapped_image_is_named(policy, rows, tmp_path):
    (tmp_path / "3.bin").write_bytes((tmp_path / "4.bin").read_bytes())
    with pytest.raises(DataError, match=r"3\.bin: its sha256 begins \w{12}, ingest saw \w{12}: the file was changed"):
        score(Brightness(policy), rows, 4)


def predicted(policy, **changes):
    logit = np.array([-2.0, 2.0], np.float32)
    values = {"logit": logit, "probability": policy.probability(logit.astype(np.float64)),
              "decision": policy.decide(logit).astype(np.int32), "policy_id": np.full(2, policy.policy_id),
              "status": np.full(2, "ok")}  # fmt: skip
    return {**values, **changes}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"policy_id": np.array(["another", "another"])}, r"graph holds policy 'another', decision_policy\.json is"),
        ({"probability": np.array([0.5, 0.5])}, r"probability differs from its policy's by 0\.\d+, expected at most"),
        ({"probability": np.array([np.nan, 0.5])}, "probability differs"),
        ({"decision": np.array([1, 1])}, r"decides 1 at logit -2, its policy says 0 \(threshold -0\.5; 1 such"),
    ],
)
def test_a_graph_that_contradicts_its_policy_is_refused(policy, changes, said):
    with pytest.raises(ArtifactError, match=said):
        check_predictions(policy, predicted(policy, **changes))


def test_referral_is_no_contradiction(policy):
    check_predictions(policy, predicted(policy, decision=np.array([2, 2])))
    check_predictions(policy, predicted(policy))


@pytest.mark.parametrize(("column", "other"), [("group_id", "val"), ("lesion_id", "train")])
def test_overlap_is_refused_whichever_id_it_shows_in(shipped, tmp_path, column, other):
    table = shipped.pictures.table.copy()
    taken = table.loc[table["split"] == other, column].iloc[4]
    table.loc[table.index[table["split"] == "test"][0], column] = taken
    with pytest.raises(DataError, match=f"{column} are in test and in {other}, for example '{taken}'"):
        open_split(shipped.pictures.write_split(tmp_path / "split", table))


def test_an_image_in_test_and_validation_scores_is_refused(shipped):
    table = shipped.pictures.table.copy()
    taken = table.loc[table["split"] == "val", "image_id"].iloc[4]
    table.loc[table.index[table["split"] == "test"][0], "image_id"] = taken
    with pytest.raises(DataError, match=f"image_id are in test and in val, for example '{taken}'"):
        refuse_overlap(table)


def test_lost_test_images_are_listed_with_their_verdict(shipped, tmp_path):
    table = shipped.pictures.table.copy()
    table.loc[table["image_id"] == "test0010", "verdict"] = "corrupt"
    split = open_split(shipped.pictures.write_split(tmp_path / "split", table))
    assert lost_images(split.part("test")) == [{"image_id": "test0010", "reason": "corrupt"}]
    assert "test0010" not in set(split.usable("test")["image_id"])


def test_a_split_without_its_table_is_refused(shipped, tmp_path):
    with pytest.raises(ArtifactError, match="not readable as the table of a split"):
        open_split(tmp_path)


def test_missing_metadata_becomes_unknown():
    rows = pd.DataFrame({"sex": ["male", None], "age": [40.0, np.nan], "dx": ["nv", "mel"]})
    columns = slice_columns(rows)
    assert columns["sex"].tolist() == ["male", "unknown"]
    assert columns["sex"].dtype.kind == "U"
    assert np.isnan(columns["age"][1])


@dataclass
class Refusing(Brightness):
    """Refuses what is brighter than byte 150, as not dermoscopic."""

    probability: float = -1.0

    def predict(self, images):
        found = super().predict(images)
        mean = np.array([np.frombuffer(i, np.uint8).mean() for i in images], np.float32)
        far = mean > 150
        return replace(
            found,
            probability=np.where(far, self.probability, found.probability),
            decision=np.where(far, 2, found.decision),
            status=np.where(far, "not_dermoscopy", found.status),
            distance=mean / 100,
        )


def test_a_refused_image_keeps_its_logit_and_is_marked(policy, rows):
    scores, unread = score(Refusing(policy), rows, 4)
    plain, _ = score(Brightness(policy), rows, 4)
    assert unread == []
    assert scores.refused.tolist() == [20 * k + 7 > 150 for k in range(11)]
    np.testing.assert_allclose(scores.distance, [(20 * k + 7) / 100 for k in range(11)], rtol=1e-6)
    np.testing.assert_allclose(scores.probability, plain.probability, atol=1e-6)
    assert plain.refused is None


def test_a_bundle_that_decides_about_what_it_refused_is_refused(policy, rows):
    with pytest.raises(ArtifactError, match="decides on images that it refuses as not dermoscopic"):
        score(Refusing(policy, probability=0.1), rows, 4)
