import hashlib
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from kfp import dsl

from components.common.artifacts.folder import open_artifact
from components.common.artifacts.index import read_index
from components.common.artifacts.json_file import read_json
from components.common.artifacts.split import SCHEMA, read_record, read_split
from components.common.imaging.thumbnail import make_thumbnail
from components.common.runtime.errors import ConfigError, DataError
from components.split.__main__ import main
from components.split.component import feasibility, split
from components.split.config import SplitConfig
from components.split.reference import SHA256
from components.split.run import run

MALIGNANT = ("akiec", "bcc", "mel")


def test_the_artifact_holds_what_others_read(rows, index, tmp_path):
    table = rows(400)
    result = run(SplitConfig(), index(table), tmp_path / "out")
    made = pd.read_csv(tmp_path / "out" / "split.csv")
    assert list(made.columns) == ["image_id", "lesion_id", "group_id", "label", "split"]
    assert made["image_id"].tolist() == table["image_id"].tolist()
    assert made["split"].value_counts().to_dict() == result.images
    record = read_json(tmp_path / "out" / "split.json", SCHEMA)
    text = "".join(f"{i},{s}\n" for i, s in sorted(zip(made["image_id"], made["split"], strict=True)))
    assert record["sha256"] == result.sha256 == hashlib.sha256(f"image_id,split\n{text}".encode()).hexdigest()
    train = made[made["split"] == "train"]["label"]
    assert result.class_weight == pytest.approx((train == 0).sum() / (train == 1).sum())
    assert record["class_weight"] == read_json(tmp_path / "out" / "class_weight.json", "lesionflow.class_weight/1")
    assert record["roots"] == [{"uri": "/nowhere", "exists": True, "images": len(table)}]
    assert record["reference_sha256"] is None
    assert open_artifact(tmp_path / "out", "split").made_from.keys() == {"index"}


def test_equal_input_gives_equal_bytes(rows, index, tmp_path):
    source = index(rows(200))
    for name in ("a", "b"):
        run(SplitConfig(), source, tmp_path / name)
    a, b = ({p.name: p.read_bytes() for p in (tmp_path / n).iterdir()} for n in "ab")
    assert a == b


def test_nothing_is_written_inside_an_image_root_of_the_index(rows, index):
    with pytest.raises(ConfigError, match="lies inside the image root /nowhere; allowed: a folder outside"):
        run(SplitConfig(), index(rows(50)), Path("/nowhere/results/split"))


def test_lost_images_stay_and_unlabelled_ones_go(rows, index, tmp_path):
    table = rows(400)
    table.loc[5, ["verdict", "reason"]] = ["missing", "no such file"]
    table.loc[6, "verdict"] = "unknown_diagnosis"
    table.loc[7, ["label", "verdict"]] = [-1, "ok"]
    run(SplitConfig(), index(table), tmp_path / "out")
    kept = set(pd.read_csv(tmp_path / "out" / "split.csv")["image_id"])
    assert table["image_id"][5] in kept
    assert not kept & set(table["image_id"][[6, 7]])
    assert len(pd.read_parquet(tmp_path / "out" / "index.parquet")) == len(table)
    counts = read_json(tmp_path / "out" / "split.json", SCHEMA)["counts"]
    assert sum(split["unreadable"] for split in counts.values()) == 1


def duplicated(rows):
    """Two lesions that share a picture, which differ in nothing else than ids."""
    table = rows(300, largest=1)
    same = table.index[table["dx"] == "nv"][:2]
    table.loc[same, "sha256"] = "f" * 64
    return table, same


def test_lesions_that_share_a_picture_become_one_group(rows, index, tmp_path):
    table, same = duplicated(rows)
    result = run(SplitConfig(), index(table), tmp_path / "out")
    assert (result.near_duplicates, result.crossing) == (1, 0)
    groups = pd.read_parquet(tmp_path / "out" / "index.parquet")["group_id"]
    assert groups[same].nunique() == 1
    assert groups[same[1]] == table["lesion_id"][same[0]]


def brought(table, same):
    place = np.array(["train", "val", "test"])[np.arange(len(table)) % 3]
    place[same[0]], place[same[1]] = "train", "test"
    return table.assign(mine=place)


def test_a_brought_split_that_tears_a_group_stops_naming_it(rows, index, tmp_path):
    table, same = duplicated(rows)
    name = table["lesion_id"][same[0]]
    with pytest.raises(DataError, match=rf"^group {name} is in train, test at once \(1 such groups\)"):
        run(SplitConfig(recipe="column:mine"), index(brought(table, same)), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_brought_split_that_tears_a_patient_stops_naming_the_patient_and_a_way_out(rows, index, tmp_path):
    table = patients(rows)
    place = pd.Series(["train", "val", "test"])[table["lesion_id"].str[1:].astype(int) % 3].to_numpy()
    source = index(table.assign(mine=place))
    said = r"^patient P0000 is in train, val, test at once \(150 such patients\): .*split.group_by=\[\]"
    with pytest.raises(DataError, match=said):
        run(SplitConfig(recipe="column:mine"), source, tmp_path / "out")
    run(SplitConfig(recipe="column:mine", group_by=[]), source, tmp_path / "out")
    assert read_record(tmp_path / "out").groups.patients_across_splits == 150


def test_reported_duplicates_are_listed_on_the_sheet(rows, index, tmp_path):
    table, same = duplicated(rows)
    table = brought(table, same).assign(thumbnail=b"")
    picture = make_thumbnail(np.random.default_rng(0).integers(0, 255, (60, 80, 3), np.uint8))
    table.loc[same, "thumbnail"] = picture
    config = SplitConfig(recipe="column:mine", near_duplicates="report")
    result = run(config, index(table), tmp_path / "out")
    assert (result.near_duplicates, result.crossing) == (1, 1)
    audit = read_json(tmp_path / "out" / "split.json", SCHEMA)["audit"]["near_duplicates"]
    assert audit["crossing_pairs"][0]["images"] == table["image_id"][same].tolist()
    sheet = (tmp_path / "out" / "near_duplicates.html").read_text()
    assert all(name in sheet for name in table["image_id"][same])
    assert sheet.count("data:image/jpeg;base64,") == 2
    assert 'class="pair crossing"' in sheet
    assert not re.findall(r'(?:src|href)="(?!data:)', sheet)
    pairs = pd.read_csv(tmp_path / "out" / "near_duplicates.csv")
    assert pairs[["split_a", "split_b"]].to_numpy().tolist() == [["train", "test"]]
    assert "thumbnail" not in pd.read_parquet(tmp_path / "out" / "index.parquet").columns


def test_ids_from_a_hostile_table_are_only_text_on_the_sheet(rows, index, tmp_path):
    table, same = duplicated(rows)
    evil = "<script>alert('a')</script>{0}"
    table.loc[same[0], ["lesion_id", "group_id"]] = evil
    run(SplitConfig(), index(table), tmp_path / "out")
    sheet = (tmp_path / "out" / "near_duplicates.html").read_text()
    assert "<script" not in sheet and "&lt;script&gt;" in sheet


def test_folds_are_written(rows, index, tmp_path):
    run(SplitConfig(recipe="kfold:4", fold=1), index(rows(400)), tmp_path / "out")
    folds = pd.read_csv(tmp_path / "out" / "folds.csv")
    made = pd.read_csv(tmp_path / "out" / "split.csv")
    assert (folds["fold"][made["split"] == "test"] == 1).all()


def test_ids_that_need_quotes_survive(rows, index, tmp_path):
    table = rows(300)
    table.loc[0, "image_id"] = 'a,"b"'
    run(SplitConfig(), index(table), tmp_path / "out")
    assert pd.read_csv(tmp_path / "out" / "split.csv")["image_id"][0] == 'a,"b"'


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (lambda t: t.assign(label=-1), DataError, "none with a usable label"),
        (lambda t: t.assign(image_id="x"), DataError, "image_id x is in the index more than once"),
        (lambda t: t.assign(label=0), DataError, r"one class only: \d+ benign and 0 malignant images; a classifier"),
        (lambda t: t.assign(label=1), DataError, r"one class only: 0 benign and \d+ malignant images; a classifier"),
    ],
)
def test_an_index_that_cannot_be_divided_is_refused(rows, index, tmp_path, change, error, words):
    with pytest.raises(error, match=words):
        run(SplitConfig(), index(change(rows(100))), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_component_logs_plain_numbers(rows, index, tmp_path):
    source = dsl.Dataset(uri=str(index(rows(200))))
    out, metrics = dsl.Dataset(uri=str(tmp_path / "out")), dsl.Metrics(uri=str(tmp_path / "metrics"))
    sheet = dsl.HTML(uri=str(tmp_path / "deep" / "near_duplicates"))
    config = {"recipe": "stratified", "seed": 3.0}
    split.python_func(source, config, split_data=out, near_duplicates=sheet, metrics=metrics)
    assert (tmp_path / "out" / "split.csv").is_file()
    assert Path(sheet.path).read_bytes() == (tmp_path / "out" / "near_duplicates.html").read_bytes()
    assert all(type(value) in (int, float) for value in metrics.metadata.values())
    asked = {"folds": 2.0, "operating_point": "point", "target_sensitivity": 0.9, "delta": 0.05, "abstain_alpha": 0.0}
    feasibility.python_func(split_data=out, config={**asked, "champion": ""})
    with pytest.raises(DataError, match="operating_point=lower_bound cannot guarantee"):
        feasibility.python_func(split_data=out, config={**asked, "operating_point": "lower_bound", "champion": ""})


def test_the_command(rows, index, tmp_path, capsys):
    source = str(index(rows(200)))
    assert main(["--index", source, "--recipe", "kfold:5", "--out", str(tmp_path / "out")]) == 0
    assert main(["--index", source, "--recipe", "best", "--out", str(tmp_path / "no")]) == 2
    assert "recipe: received 'best'; allowed: reference, stratified" in capsys.readouterr().err
    assert not (tmp_path / "no").exists()


@pytest.mark.parametrize("recipe", ["stratified", "kfold:4", "column:mine"])
def test_the_step_needs_no_tensorflow_to_its_end(rows, index, tmp_path, recipe):
    table, same = duplicated(rows)
    picture = make_thumbnail(np.random.default_rng(0).integers(0, 255, (60, 80, 3), np.uint8))
    table = brought(table, same).assign(thumbnail=[picture] * 20 + [b""] * (len(table) - 20))
    arguments = [
        "--index",
        str(index(table)),
        "--recipe",
        recipe,
        "--near_duplicates",
        "report",
        "--contradictions",
        "keep",
        "--out",
        str(tmp_path / "out"),
    ]
    code = (
        "import sys; from components.split.__main__ import main; assert main(sys.argv[1:]) == 0; "
        "print(*sorted({'tensorflow', 'keras', 'kfp'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.split()) == (0, []), done.stderr
    assert open_artifact(tmp_path / "out", "split").files["split.csv"]


def patients(rows, several=4):
    """Patients with several lesions each, so that many have lesions of both kinds."""
    table = rows(600)
    lesion = table["lesion_id"].str[1:].astype(int)
    return table.assign(patient_id=[f"P{i // several:04d}" for i in lesion])


@pytest.mark.parametrize("recipe", ["stratified", "kfold:5"])
def test_no_patient_crosses_splits_though_it_has_both_labels(rows, index, tmp_path, caplog, recipe):
    caplog.set_level("INFO")
    table = patients(rows)
    run(SplitConfig(recipe=recipe), index(table), tmp_path / "out")
    made = read_split(tmp_path / "out")
    assert made.rows.groupby("patient_id")["split"].nunique().max() == 1
    assert made.rows.groupby("lesion_id")["split"].nunique().max() == 1
    groups = made.record.groups
    assert (groups.joined_by, groups.count) == (["lesion", "patient", "near-duplicate"], 150)
    assert groups.mixed > 50 and groups.patients_across_splits == 0
    assert "images of one patient share a split (patient_id)" in caplog.text
    counts = made.record.counts["val"]
    val = made.part("val")
    for label, name in enumerate(("benign_groups", "malignant_groups")):
        assert counts[name] == val.loc[val["label"] == label, "group_id"].nunique()
    assert counts["mixed_groups"] == counts["benign_groups"] + counts["malignant_groups"] - counts["groups"]
    share = made.rows.groupby("split")["label"].mean()
    assert abs(share - made.rows["label"].mean()).max() < 0.04


def test_patients_that_are_not_grouped_by_are_counted_where_they_cross(rows, index, tmp_path, caplog):
    run(SplitConfig(group_by=[]), index(patients(rows)), tmp_path / "out")
    made = read_split(tmp_path / "out")
    crossing = int((made.rows.groupby("patient_id")["split"].nunique() > 1).sum())
    assert crossing > 10
    assert made.record.groups.patients_across_splits == crossing
    assert f"{crossing} patients have images in several splits" in caplog.text
    assert any(line.startswith(f"{crossing} patients") for line in made.record.warnings)


def test_a_table_without_lesions_and_patients_is_said_loudly(rows, index, tmp_path, caplog):
    table = rows(400)
    run(SplitConfig(), index(table.assign(lesion_id=table["image_id"])), tmp_path / "out")
    assert read_record(tmp_path / "out").groups.known is False
    assert "lesions and patients are unknown: the table has no ids of either" in caplog.text


def test_a_group_of_a_large_share_and_a_far_malignant_share_are_warnings(rows, index, tmp_path, caplog):
    table = rows(600)
    table.loc[table.index[table["label"] == 0][:700], "lesion_id"] = "#N/A"
    run(SplitConfig(), index(table), tmp_path / "out")
    name = f"{read_record(tmp_path / 'out').groups.largest_id}"
    assert f"one group, {name}, holds 700 of {len(table)} images" in caplog.text
    assert (
        "lesion_id '#N/A' joins most of them: if it stands for a missing value, leave those cells empty" in caplog.text
    )
    assert re.search(r"val is 3\d\.\d % malignant, all images together are 1\d\.\d %", caplog.text)


def contradicting(rows):
    """Two images of equal bytes, one benign and one malignant, and a third like the benign one."""
    table = rows(300, largest=1)
    benign, third = table.index[table["label"] == 0][:2]
    malignant = table.index[table["label"] == 1][0]
    table.loc[[benign, third, malignant], "sha256"] = "f" * 64
    return table, benign, third, malignant


def test_one_picture_with_two_labels_stops_the_step_naming_both(rows, index, tmp_path):
    table, benign, third, malignant = contradicting(rows)
    name = table["image_id"]
    with pytest.raises(DataError) as caught:
        run(SplitConfig(), index(table), tmp_path / "out")
    first, *_ = sorted((benign, third, malignant))
    assert re.match(r"[12] pairs of near-duplicates have different labels: ", str(caught.value))
    assert f"{name[first]} (" in str(caught.value) and f"{name[malignant]} (" in str(caught.value)
    assert "correct their diagnoses in the table, or set split.contradictions to drop" in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_contradicting_pairs_are_left_out_where_that_is_asked(rows, index, tmp_path):
    table, *_, malignant = contradicting(rows)
    run(SplitConfig(contradictions="drop"), index(table), tmp_path / "out")
    made = read_split(tmp_path / "out")
    dropped = {image for pair in made.record.contradictions for image in pair}
    assert {table["image_id"][malignant]} < dropped
    assert not dropped & set(made.rows["image_id"])
    assert len(made.rows) == len(table) - len(dropped)
    final = read_index(tmp_path / "out").set_index("image_id").loc[sorted(dropped)]
    assert (final["verdict"] == "conflicting_diagnosis").all()
    assert final["reason"].str.startswith("a near-duplicate of im").all()
    assert made.record.audit["near_duplicates"]["pairs"] == 0
    pairs = len(made.record.contradictions)
    said = f"{pairs} pairs of near-duplicates have different labels; their images are left out"
    assert made.record.warnings[-1] == said


def test_contradicting_pairs_stay_in_one_group_where_that_is_asked(rows, index, tmp_path, caplog):
    table, benign, third, malignant = contradicting(rows)
    run(SplitConfig(contradictions="keep"), index(table), tmp_path / "out")
    made = read_split(tmp_path / "out")
    names = table["image_id"][[benign, third, malignant]]
    assert made.rows.set_index("image_id").loc[names, "group_id"].nunique() == 1
    assert made.record.groups.mixed == 1
    assert len(made.rows) == len(table)
    assert "have different labels" in caplog.text and "contradictions=keep" in caplog.text


def test_lost_images_do_not_count_as_groups_that_calibration_can_use(rows, index, tmp_path):
    table = rows(300, largest=1)
    table.loc[table["label"] == 1, "verdict"] = "missing"
    table.loc[table.index[table["label"] == 1][::2], "verdict"] = "ok"
    run(SplitConfig(), index(table), tmp_path / "out")
    made = read_split(tmp_path / "out")
    usable = made.usable("val")
    assert made.record.counts["val"]["malignant_groups"] == usable.loc[usable["label"] == 1, "group_id"].nunique()


@pytest.mark.real
def test_the_reference_split_to_the_bit(reference_data, index, tmp_path):
    table = pd.read_csv(reference_data / "HAM10000_metadata.csv")
    table = table.assign(
        group_id=table["lesion_id"],
        label=table["dx"].isin(MALIGNANT).astype(np.int8),
        sha256="",
        phash="",
        verdict="ok",
        reason="",
        uri="",
        width=200,
        height=150,
        format="jpeg",
        channels=3,
        orientation=1,
        size=1,
    )
    shuffled = table.sample(frac=1, random_state=1, ignore_index=True)
    for name, rows_ in (("as it is", table), ("shuffled", shuffled)):
        result = run(SplitConfig(recipe="reference", seed=7), index(rows_, name), tmp_path / f"out {name}")
        assert result.sha256 == SHA256
        assert result.images == {"train": 7010, "val": 1500, "test": 1505}
        assert result.malignant == {"train": 1369, "val": 297, "test": 288}
        assert result.class_weight == pytest.approx(4.1205, abs=5e-5)
    golden = pd.read_csv(reference_data / "golden_split.csv").set_index("image_id")["split"]
    made = pd.read_csv(tmp_path / "out as it is" / "split.csv").set_index("image_id")["split"]
    assert (golden.reindex(made.index) == made).all()
    record = read_json(tmp_path / "out as it is" / "split.json", SCHEMA)
    assert (record["seed"], record["reference_sha256"], record["matches_reference"]) == (42, SHA256, True)
