"""What is not dermoscopy is refused: features, limit, the graph, and the record of it."""

import json
import shutil
from dataclasses import replace

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from components.common.artifacts import split
from components.common.artifacts.folder import new_artifact, open_artifact, sha256_file
from components.common.artifacts.policy import Calibrator, DecisionPolicy
from components.common.bundle import layout
from components.common.bundle.load import load_bundle, load_parts
from components.common.bundle.preprocessing import Preparation
from components.common.bundle.refusal import Refusal, Shown, read_refusal
from components.common.bundle.selftest import run_selftest, write_selftest
from components.common.bundle.verify import verify_bundle
from components.common.runtime.errors import ArtifactError
from components.common.statistics.outliers import distances, fit_gaussian
from components.export.config import ExportConfig
from components.export.familiar import Familiar, with_pooled_features
from components.export.graph import write_saved_model
from components.export.outside_pictures import MAKERS, made
from components.export.refuse import learn_refusal
from components.export.rule import decide, decide_codes
from components.export.run import run
from components.train.config import TrainConfig
from components.train.network import build_network

HERE = Preparation((36, 48), 36)


@pytest.fixture(scope="module")
def many(kit, tmp_path_factory):
    """A split with 60 training and 110 validation images, each a lesion of its own."""
    folder = tmp_path_factory.mktemp("many")
    rows = []
    (folder / "images").mkdir()
    for i in range(170):
        path = folder / "images" / f"IMG_{i:03d}.jpg"
        path.write_bytes(kit.jpeg(i, 60, 80))
        rows.append((path.stem, str(path), "ok", "nv", i % 3 == 0, sha256_file(path)))
    index = kit.whole_index(pd.DataFrame(rows, columns=["image_id", "uri", "verdict", "dx", "label", "sha256"]))
    index["lesion_id"] = index["group_id"] = index["image_id"]
    place = pd.Series(np.where(np.arange(170) < 60, "train", "val"), index.index)
    with new_artifact(folder / "split", "split", {"index": "0" * 64}) as out:
        split.write_split(out, index, place, split.SplitRecord("reference", 42, "a" * 64, {}))
    return folder / "split"


@pytest.fixture(scope="module")
def refusing(kit, export_inputs, many, tmp_path_factory):
    """A bundle that refuses, of the tiny network."""
    inputs = export_inputs
    config = ExportConfig(max_logit_shift=1e6, max_changed_decisions=1)
    folder = tmp_path_factory.mktemp("refusing")
    kit.write_model(folder / "model", {path.stem: path for path in sorted((many.parent / "images").iterdir())})
    rule = kit.write_policy(folder / "policy", folder / "model", inputs.rule.threshold_logit)
    return run(config, folder / "model", folder / "policy", many, folder / "bundle"), rule


def test_pooled_features_are_means_of_the_last_map_of_each_halving(kit):
    network = kit.build_network()
    watched = with_pooled_features(network)
    image = np.random.default_rng(0).uniform(0, 255, (2, *kit.size, 3)).astype(np.float32)
    logit, *pooled = watched(image, training=False)
    np.testing.assert_array_equal(logit, network(image, training=False))
    assert [one.shape for one in pooled] == [(2, 8), (2, 16)]
    maps = keras.Model(network.inputs, [network.layers[4].output, network.layers[5].output])(image, training=False)
    for found, expected in zip(pooled, maps, strict=True):
        np.testing.assert_allclose(found, np.asarray(expected).mean((1, 2)), rtol=1e-5, atol=1e-5)


def ensemble_of_two():
    """The mean of two small networks for 64x64 images."""
    config = TrainConfig(architecture="small_cnn", weights="none", image_size="64x64")
    members = [build_network(config, {"mel": 1, "nv": 0}).scorer for _ in range(2)]
    for i, member in enumerate(members):
        member.name = f"member_{i}"
    image = keras.Input((64, 64, 3))
    return keras.Model(image, keras.layers.Average(dtype="float32")([member(image) for member in members]))


def test_nested_backbones_and_members_of_an_ensemble_are_looked_into():
    whole = ensemble_of_two()
    found = with_pooled_features(whole)
    assert [one.shape[1] for one in found.outputs] == [1, *(16, 32, 64, 96) * 2]
    pixels = np.random.default_rng(1).uniform(0, 255, (2, 64, 64, 3)).astype(np.float32)
    np.testing.assert_array_equal(found(pixels)[0], whole(pixels))


def test_a_network_without_feature_maps_has_none():
    image = keras.Input((8, 8, 3))
    assert with_pooled_features(keras.Model(image, keras.layers.Dense(1)(keras.layers.Flatten()(image)))) is None


def test_graph_and_numpy_measure_the_same_distance():
    rng = np.random.default_rng(2)
    known = [rng.normal(size=(80, width)) for width in (5, 9)]
    gaussians = [fit_gaussian(one) for one in known]
    new = [rng.normal(size=(7, width)).astype(np.float32) * 3 for width in (5, 9)]
    found = Familiar(gaussians, 1.0).distance([tf.constant(one) for one in new])
    np.testing.assert_allclose(found, distances(gaussians, new), rtol=1e-5)


POLICY = DecisionPolicy(Calibrator("none"), 0.0, 0.5, {}, {}, 0.2, "m", "v", {"low": 0.4, "high": 0.6})


def test_a_refused_image_goes_to_a_person_without_a_probability():
    logit = tf.constant([-3.0, 3.0, 0.0, 3.0, 3.0])
    status = tf.constant([layout.OK, layout.OK, layout.OK, layout.CORRUPT, layout.OK])
    distance = tf.constant([1.0, 2.5, 2.5, 2.5, np.nan])
    out = {name: value.numpy() for name, value in decide(POLICY, logit, status, distance=distance, limit=2.0).items()}
    assert out["status"].tolist() == [b"ok", b"not_dermoscopy", b"not_dermoscopy", b"corrupt", b"not_dermoscopy"]
    assert out["decision"].tolist() == [layout.BENIGN, layout.REFER, layout.REFER, layout.UNREADABLE, layout.REFER]
    assert out["probability"].tolist()[1:] == [-1.0] * 4
    assert out["logit"].tolist() == [-3.0, 3.0, 0.0, 0.0, 3.0]
    assert out["distance"].tolist() == [1.0, 2.5, 2.5, -1.0, 1e6]  # not a number is the farthest, and JSON can hold it


def test_without_a_limit_nothing_is_refused_and_the_distance_is_minus_one():
    out = decide_codes(POLICY, tf.constant([3.0]), tf.constant([layout.OK]), tf.float64, None, None)
    assert (out["status"].numpy()[0], out["distance"].numpy()[0]) == (layout.OK, -1.0)


def test_a_bundle_refuses_at_most_one_of_a_hundred_validation_groups_and_records_it(refusing):
    done, _ = refusing
    record = read_refusal(done.path)
    assert (record.status, record.reference_images, record.alpha) == ("checked", 60, 0.01)
    assert (record.validation.images, record.validation.groups) == (110, 110)
    assert record.validation.refused_groups <= 1
    assert len(record.validation.quantiles) == 101
    assert record.validation.quantiles[-1] <= record.limit  # 110 groups: the farthest is the limit
    assert set(record.generated) == set(MAKERS)
    assert done.parity.parity.refused == 0
    assert done.parity.parity.max_distance_difference < 1e-4
    assert verify_bundle(done.path).refusal == record


def test_the_bundle_answers_far_pictures_with_the_status(refusing, kit):
    done, rule = refusing
    bundle = load_bundle(done.path)
    noise = kit.png(made("noise", 1)[0])
    found = bundle.predict([kit.jpeg(3, 60, 80), noise, b"text"])
    assert found.status.tolist() == ["ok", "not_dermoscopy", "not_an_image"]
    assert found.decision.tolist()[1:] == [layout.REFER, layout.UNREADABLE]
    assert found.distance[0] < bundle.refusal.limit < found.distance[1]
    assert found.distance[2] == layout.NO_DISTANCE
    assert found.probability[1] == layout.NO_PROBABILITY
    assert np.isfinite(rule.probability(found.logit.astype(np.float64))).all()


@pytest.mark.parametrize("name", ["onnx", "litert"])
def test_other_runtimes_refuse_the_same_pictures(name, refusing, kit, many, tmp_path):
    pytest.importorskip("tf2onnx", reason="the extra `formats` is not in this environment")
    from components.export.formats import check_format, open_format, write_format
    from components.export.splice import splice

    done, rule = refusing
    network = with_pooled_features(keras.models.load_model(done.path.parent / "model" / "model.keras", compile=False))
    familiar, _ = learn_refusal(network, many, HERE, 1000)
    path = write_format(name, network, rule, "none", tmp_path, familiar)
    bundle = load_bundle(done.path)
    rng = np.random.default_rng(4)
    pixels = np.concatenate([rng.integers(0, 256, (5, 36, 48, 3)), np.full((5, 36, 48, 3), 150)]).astype(np.uint8)
    found = bundle.predict_pixels(pixels)
    codes = np.array([layout.STATUSES.index(one) for one in found.status])
    assert layout.NOT_DERMOSCOPY in codes
    names = ("probability", "decision", "distance")
    expected = {one: getattr(found, one) for one in names} | {"status": codes}
    entry = check_format(name, path, pixels, rule, expected, 1e-5, familiar.limit)
    assert entry.refused == (codes == layout.NOT_DERMOSCOPY).sum()
    assert open_format(name, path)(pixels)["status"].tolist() == codes.tolist()
    splice(name, path, replace(rule, threshold_logit=9.0), tmp_path / "adjusted")
    adjusted = open_format(name, tmp_path / "adjusted")(pixels)
    assert adjusted["status"].tolist() == codes.tolist()  # what was refused stays refused
    np.testing.assert_array_equal(adjusted["logit"], open_format(name, path)(pixels)["logit"])
    turned = expected | {"status": np.full_like(codes, layout.OK)}
    with pytest.raises(ArtifactError, match="refused on one side only"):
        check_format(name, path, pixels, rule, turned, 1e-5, familiar.limit)


def test_what_cannot_be_checked_says_why(kit, export_inputs, many):
    network = with_pooled_features(kit.build_network())
    for expected, arguments in {
        "reference_images 0": (network, many, HERE, 0),
        "no feature maps": (None, many, HERE, 1000),
        "no split": (network, None, HERE, 1000),
        "0 readable training images, 50 are needed": (network, export_inputs.split, HERE, 1000),
        "40 readable training images": (network, many, HERE, 40),
    }.items():
        familiar, record = learn_refusal(*arguments)
        assert familiar is None
        assert expected in record.reason
        assert record.words.startswith("not checked (")


def test_a_bundle_from_before_says_not_checked(exported, tmp_path):
    assert read_refusal(exported.path).status == "not_checked"
    assert read_refusal(tmp_path).reason == "made by a version that did not check"
    (tmp_path / layout.REFUSAL).write_text('{"schema": "lesionflow.refusal/1", "status": "maybe"}')
    with pytest.raises(ArtifactError, match=r"refusal\.json: status: .*export the bundle again"):
        read_refusal(tmp_path)


def test_a_network_that_lets_generated_pictures_pass_is_marked(refusing):
    record = read_refusal(refusing[0].path)
    good = record.model_copy(update={"generated": {"noise": Shown(images=100, refused=99)}})
    assert good.reliable
    weak = replace_generated(good, 98)
    assert not weak.reliable
    assert weak.words.endswith("; this network does not tell them apart reliably")
    assert not Refusal(status="not_checked", reason="x").reliable


def replace_generated(record, refused):
    return record.model_copy(update={"generated": {"noise": Shown(images=100, refused=refused)}})


def test_generated_pictures_are_the_same_each_time():
    for kind in MAKERS:
        first, again = made(kind, 2), made(kind, 3)
        assert all((a == b).all() for a, b in zip(first, again, strict=False))
        assert first[0].shape == (450, 600, 3)
        assert (first[0] != again[2]).any()


def test_an_ensemble_refuses_by_all_its_members_and_still_tells_each_members_logit(tmp_path):
    whole = ensemble_of_two()
    pixels = np.random.default_rng(5).integers(0, 256, (40, 64, 64, 3), dtype=np.uint8)
    features = [np.asarray(one) for one in with_pooled_features(whole)(pixels[:30].astype(np.float32))[1:]]
    gaussians = [fit_gaussian(one.astype(np.float64)) for one in features]
    expected = distances(gaussians, [np.asarray(one) for one in with_pooled_features(whole)(pixels.astype(float))[1:]])
    familiar = Familiar(gaussians, float(np.median(expected)))
    write_saved_model(whole, POLICY, Preparation((64, 64), 64), tmp_path / "m", members=True, familiar=familiar)
    served = tf.saved_model.load(str(tmp_path / "m"))
    found = served.signatures["predict_pixels"](pixels=tf.constant(pixels))
    np.testing.assert_allclose(found["distance"], expected, rtol=1e-4)
    assert (found["status"].numpy() == b"not_dermoscopy").sum() == 20
    np.testing.assert_allclose(found["logit"], whole(pixels.astype(np.float32))[:, 0], atol=1e-5)
    assert layout.MEMBER_LOGITS in served.signatures


def test_a_bundle_that_refuses_its_own_test_image_is_whole_and_says_that_its_rule_was_not_compared(
    refusing, kit, tmp_path
):
    done, _ = refusing
    folder = tmp_path / "bundle"
    shutil.copytree(done.path, folder)
    (folder / layout.SELFTEST_IMAGE).write_bytes(kit.png(made("noise", 1)[0]))
    write_selftest(load_bundle(done.path), folder)
    assert json.loads((folder / layout.SELFTEST).read_text())["status"] == "not_dermoscopy"
    bundle = load_parts(open_artifact(folder, "bundle", verify=False))
    assert run_selftest(bundle).rule_compared is False
    assert verify_bundle(done.path).rule_compared is True
    other = replace(bundle, policy=replace(bundle.policy, prevalence=0.99))
    with pytest.raises(ArtifactError, match="the graph predicts with policy"):
        run_selftest(other)
