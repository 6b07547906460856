import itertools
import json
import shutil
from datetime import UTC, datetime, timedelta

import pytest

from components.common.artifacts.folder import new_artifact, open_artifact
from components.common.artifacts.json_file import read_json
from components.common.bundle.refusal import Accepted, Refusal
from components.common.runtime.errors import ConfigError, DataError
from components.common.storage import store
from components.monitor.alarm import ChangeFound, raise_alarm
from components.monitor.config import MonitorConfig
from components.monitor.run import run as run_step
from pipelines.cli.main import main


def run(config, bundle, predictions, out, **more):
    """The step, whose inputs are text; here they are paths."""
    given = {name: str(one) for name, one in more.items()}
    return run_step(config, str(bundle), [str(one) for one in predictions], out, **given)


def test_nothing_is_reported_while_nothing_changes_and_the_page_says_what_cannot_be_seen(bundle, use, tmp_path):
    log, labels = use(seed=1)  # of a hundred such logs about ten raise an alarm: one test of three at 0.05 each
    result = run(MonitorConfig(), bundle, [log], tmp_path / "out", labels=labels)
    assert result.alarms == []
    raise_alarm(result.path, "the page")
    page = (tmp_path / "out/monitor.html").read_text()
    assert "No change was found." in page and "What can be seen, and what cannot" in page
    record = read_json(tmp_path / "out/monitor.json", "lesionflow.monitor/1")
    everyone = record["sources"][0]
    assert everyone["observed"]["malignant"] > 200
    low, high = everyone["observed"]["sensitivity"]
    assert low < everyone["observed"]["found"] / everyone["observed"]["malignant"] < high
    assert everyone["expected_between"][0][0] < everyone["expected"]["sensitivity"] < everyone["expected_between"][0][1]
    assert open_artifact(tmp_path / "out", "monitor").made_from["bundle"] == open_artifact(bundle, "bundle").digest


def test_lost_sensitivity_of_one_source_is_reported_when_labels_come_and_not_without(bundle, use, tmp_path):
    log, labels = use(images=1600, change=800, lower=-1.3, malignant=0.4)
    result = run(MonitorConfig(), bundle, [log], tmp_path / "out", labels=labels)
    (found,) = [one for one in result.alarms if one.startswith("B: malignant images score lower")]
    assert not any(one.startswith("A: ") for one in result.alarms)
    image = int(found.split("image ")[1].split()[0])
    assert 800 < image <= 800 + 2 * 300
    with pytest.raises(ChangeFound, match="change found: "):
        raise_alarm(result.path, "the page")
    without = run(MonitorConfig(), bundle, [log], tmp_path / "without")
    assert not any("malignant images" in one for one in without.alarms)
    assert any("cannot be seen" in one for one in without.notes)


def test_labels_without_a_time_are_dated_by_their_images(bundle, use, tmp_path):
    log, labels = use(images=1600, change=800, lower=-1.3, malignant=0.4)
    rows = [row.rpartition(",")[0] for row in labels.read_text().splitlines()]
    labels.write_text("\n".join(rows) + "\n")
    alarms = run(MonitorConfig(), bundle, [log], tmp_path / "out", labels=labels).alarms
    (found,) = [one for one in alarms if one.startswith("B: malignant images score lower")]
    image = int(found.split("image ")[1].split()[0])
    when = datetime(2026, 1, 5, tzinfo=UTC) + timedelta(hours=2 * (image - 1))
    assert found.endswith(f", {when:%Y-%m-%d})")


def test_a_later_look_at_a_longer_log_does_not_take_back_what_was_found(bundle, use, tmp_path):
    log, labels = use(images=1600, change=400, lower=-1.5, malignant=0.4)
    lines = log.read_text().splitlines(keepends=True)
    found = []
    for images in (900, 1600):
        (tmp_path / "part.jsonl").write_text("".join(lines[:images]))
        run(MonitorConfig(), bundle, [tmp_path / "part.jsonl"], tmp_path / "out", labels=labels)
        record = read_json(tmp_path / "out/monitor.json", "lesionflow.monitor/1")
        found.append(
            {
                (one["subject"], one["source"]): one["after"]
                for one in record["watches"]
                if one["subject"] in ("scores", "distances") and one["alarm"] is not None
            }
        )
    for earlier, later in itertools.pairwise(found):
        assert earlier.items() <= later.items()


def test_the_same_log_gives_the_same_bytes(bundle, use, tmp_path):
    log, labels = use(images=300)
    for name in ("one", "two"):
        run(MonitorConfig(), bundle, [log], tmp_path / name, labels=labels)
    assert open_artifact(tmp_path / "one", "monitor").digest == open_artifact(tmp_path / "two", "monitor").digest


def test_labels_of_one_side_only_are_named(bundle, use, tmp_path):
    log, labels = use(images=400)
    lines = [line for line in log.read_text().splitlines() if '"decision": 1' in line]
    positive = {line.split('"image": "')[1].split('"')[0] for line in lines}
    rows = labels.read_text().splitlines()
    labels.write_text("\n".join([rows[0], *(row for row in rows[1:] if row.split(",")[0] in positive)]) + "\n")
    result = run(MonitorConfig(), bundle, [log], tmp_path / "out", labels=labels)
    assert any("0 % of those predicted benign" in note for note in result.notes)


def test_the_command_leaves_with_3_where_a_change_was_found(bundle, use, tmp_path, capsys):
    quiet, _ = use(images=300)
    out = str(tmp_path / "out")
    assert main(["monitor", str(bundle), str(quiet), "--out", out]) == 0
    assert "no change was found" in capsys.readouterr().out
    log, labels = use(images=1600, change=400, lower=-2.0, malignant=0.4, name="other.jsonl")
    assert main(["monitor", str(bundle), str(log), "--labels", str(labels), "--out", out]) == 3
    assert capsys.readouterr().err.startswith("error: change found: ")
    assert main(["monitor", str(bundle), str(tmp_path / "absent.csv"), "--out", out]) == 2
    assert main(["monitor", str(bundle), str(quiet), "--out", out, "--set", "alpha=2"]) == 2


def test_a_bundle_without_scores_names_the_ways_out(bundle, use, tmp_path):
    with new_artifact(tmp_path / "bare", "bundle", {}) as folder:
        shutil.copy(bundle / "decision_policy.json", folder)
    log, _ = use(images=100)
    with pytest.raises(ConfigError, match="carries no scores to compare with; give --reference"):
        run(MonitorConfig(), tmp_path / "bare", [log], tmp_path / "out")
    done = run(MonitorConfig(), tmp_path / "bare", [log], tmp_path / "out", reference=bundle / "reference_probs.npz")
    assert done.images == 100


def test_of_a_bundle_in_a_bucket_only_policy_and_scores_are_fetched(bundle, use, gcs, tmp_path):
    with new_artifact(tmp_path / "whole", "bundle", {}) as folder:
        for name in ("decision_policy.json", "reference_probs.npz"):
            shutil.copy(bundle / name, folder)
        (folder / "saved_model.pb").write_bytes(b"a large graph")
    (tmp_path / "whole" / "saved_model.pb").unlink()  # whoever asks for it does not get it
    store.upload(tmp_path / "whole", gcs.uri("bundles/one"))
    log, _ = use(images=100)
    assert run(MonitorConfig(), gcs.uri("bundles/one"), [log], tmp_path / "out").images == 100


def test_pictures_that_are_not_dermoscopy_raise_the_alarm_where_the_bundle_checks(bundle, use, tmp_path):
    with new_artifact(tmp_path / "checks", "bundle", {}) as folder:
        for name in ("decision_policy.json", "reference_probs.npz"):
            shutil.copy(bundle / name, folder)
        quantiles = [float(i) / 100 for i in range(101)]
        accepted = Accepted(images=800, groups=800, refused_images=8, refused_groups=8, quantiles=quantiles)
        Refusal(status="checked", limit=1.0, validation=accepted).save(folder)
    log, _ = use(images=300)
    lines = log.read_text().splitlines()
    lines = [line[:-1] + f', "distance": {(i * 37 % 100) / 100}}}' for i, line in enumerate(lines)]
    log.write_text("\n".join(lines))
    assert run(MonitorConfig(), tmp_path / "checks", [log], tmp_path / "out").alarms == []
    policy = json.loads(lines[0])["policy_id"]
    sent_on = {"probability": -1, "decision": 2, "status": "not_dermoscopy", "distance": 9, "policy_id": policy}
    log.write_text("\n".join([*lines, *(json.dumps({"image": f"P{i}", **sent_on}) for i in range(60))]))
    alarms = run(MonitorConfig(), tmp_path / "checks", [log], tmp_path / "out").alarms
    assert any(one.startswith("more is refused") for one in alarms)
    page = (tmp_path / "out" / "monitor.html").read_text()
    assert "<small>not dermoscopy 60</small>" in page
    assert page.count("more is refused as not dermoscopic than by design<") == page.count("the rate by design") > 0
    assert any(one.startswith("images are farther") for one in alarms)


def test_labels_that_belong_to_no_image_of_the_log_are_not_taken_for_labels(bundle, use, tmp_path):
    log, _ = use(seed=1)
    labels = tmp_path / "late.csv"
    labels.write_text("image,label\nsomewhere-else,1\n")
    with pytest.raises(DataError, match=r"late\.csv: 1 label, none for an image of the log, whose images have"):
        run(MonitorConfig(), bundle, [log], tmp_path / "out", labels=labels)
    labels.write_text("image,label\n")  # none has come yet
    assert any("no labels" in one for one in run(MonitorConfig(), bundle, [log], tmp_path / "out", labels=labels).notes)
    labels.write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(DataError, match=r"late\.csv: this is a JPEG image; expected a table"):
        run(MonitorConfig(), bundle, [log], tmp_path / "out", labels=labels)
    with pytest.raises(ConfigError, match=r"nowhere\.csv: no such file"):
        run(MonitorConfig(), bundle, [log], tmp_path / "out", labels=tmp_path / "nowhere.csv")
