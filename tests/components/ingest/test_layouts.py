"""Every known table is read as downloaded: which column is what, who decides the label, and how many there are."""

import io
import os
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from components.common.artifacts.index import read_account, read_index
from components.common.artifacts.split import read_split
from components.common.imaging.pixels import encode_jpeg
from components.ingest.config import IngestConfig
from components.ingest.layouts import USUAL, describe, layouts
from components.ingest.run import run
from components.ingest.tables import read_table
from components.ingest.verdicts import label_rows, policy_of
from components.split.config import SplitConfig
from components.split.groups import group_ids
from components.split.run import run as divide

REFERENCE = Path(__file__).parents[3] / "docs" / "reference" / "table-layouts.md"
TBP = "tbp_tile_type,tbp_lv_A,tbp_lv_B"

# layout: table(s) written here after the public descriptions, labels, lesion ids, patient ids
FIXTURES = {
    "ham10000": (
        [
            "lesion_id,image_id,dx,dx_type,age,sex,localization,dataset\n"
            "HAM_1,ISIC_1,bkl,histo,80.0,male,scalp,vidir_modern\n"
            "HAM_1,ISIC_2,bkl,histo,80.0,male,scalp,vidir_modern\n"
            "HAM_2,ISIC_3,akiec,histo,,unknown,unknown,rosendahl\n"
        ],
        [0, 0, 1],
        2,
        0,
    ),
    "isic2016": (["ISIC_0000000,benign\nISIC_0000001,malignant\n"], [0, 1], 2, 0),
    "isic2017": (
        ["image_id,melanoma,seborrheic_keratosis\nISIC_1,0.0,0.0\nISIC_2,1.0,0.0\nISIC_3,0.0,1.0\n"],
        [0, 1, 0],
        3,
        0,
    ),
    "isic2018": (
        [
            "image,MEL,NV,BCC,AKIEC,BKL,DF,VASC\nISIC_1,0.0,1.0,0.0,0.0,0.0,0.0,0.0\nISIC_2,1.0,0.0,0.0,0.0,0.0,0.0,0.0\n",
            "image,lesion_id,diagnosis_confirm_type\nISIC_1,HAM_7,serial imaging\nISIC_2,HAM_8,histopathology\n",
        ],
        [0, 1],
        2,
        0,
    ),
    "isic2019": (
        [
            "image,MEL,NV,BCC,AK,BKL,DF,VASC,SCC,UNK\nISIC_1,1.0,0,0,0,0,0,0,0,0\nISIC_2,0,0,0,0,0,0,0,1.0,0\n"
            "ISIC_3,0,0,0,1.0,0,0,0,0,0\n",
            "image,age_approx,anatom_site_general,lesion_id,sex\nISIC_2,55,head/neck,BCN_2,f\nISIC_3,1,,,\n"
            "ISIC_1,,anterior torso,,male\n",
        ],
        [1, 1, 1],
        3,
        0,
    ),
    "isic2020": (
        [
            "image_name,patient_id,sex,age_approx,anatom_site_general_challenge,diagnosis,benign_malignant,target\n"
            "ISIC_1,IP_1,male,45.0,head/neck,unknown,benign,0\nISIC_2,IP_1,male,45.0,torso,nevus,benign,0\n"
            "ISIC_3,IP_2,female,70,torso,melanoma,malignant,1\n"
        ],
        [0, 0, 1],
        3,
        2,
    ),
    "isic2024": (
        [
            f"isic_id,target,patient_id,age_approx,sex,anatom_site_general,image_type,{TBP},attribution,"
            "copyright_license,lesion_id,iddx_full,iddx_1,iddx_2,iddx_3\n"
            "ISIC_1,0,IP_1,60,male,lower extremity,TBP tile: close-up,3D: white,1,2,Clinic,CC-BY,,Benign,Benign,,\n"
            "ISIC_3,0,IP_2,60,male,torso,TBP tile: close-up,3D: XP,1,2,Clinic,CC-BY,IL_2,Indeterminate::Indeterminate "
            "melanocytic proliferations::Atypical intraepithelial melanocytic proliferation,Indeterminate,"
            "Indeterminate melanocytic proliferations,Atypical intraepithelial melanocytic proliferation\n"
            "ISIC_2,1,IP_2,60,male,torso,TBP tile: close-up,3D: XP,1,2,Clinic,CC-BY-NC,IL_1,"
            "Malignant::Malignant melanocytic proliferations (Melanoma)::Melanoma Invasive,Malignant,"
            "Malignant melanocytic proliferations (Melanoma),Melanoma Invasive\n"
        ],
        [0, 0, 1],
        3,
        2,
    ),
    "isic-archive": (
        [
            "isic_id,attribution,copyright_license,age_approx,anatom_site_general,anatom_site_1,diagnosis_1,"
            "diagnosis_2,diagnosis_3,diagnosis_confirm_type,fitzpatrick_skin_type,image_type,lesion_id,melanocytic,"
            "patient_id,sex\n"
            "ISIC_1,MSK,CC-0,60,,Head,Benign,Benign melanocytic proliferations,Nevus,,II,dermoscopic,IL_1,,IP_1,f\n"
            "ISIC_2,Clinic,CC-BY,60,torso,,Malignant,Malignant melanocytic proliferations (Melanoma),"
            "Melanoma in situ,histopathology,,dermoscopic,IL_2,True,IP_1,f\n"
            "ISIC_3,Clinic,CC-BY,60,torso,,Indeterminate,Indeterminate epidermal proliferations,"
            "Solar or actinic keratosis,,,dermoscopic,IL_3,False,IP_2,f\n"
        ],
        [0, 1, -1],
        3,
        2,
    ),
    "isic-archive-before": (
        [
            "isic_id,attribution,copyright_license,age_approx,anatom_site_general,benign_malignant,diagnosis,image_type,"
            "lesion_id,patient_id,sex\n"
            "ISIC_1,Clinic,CC-0,60,torso,benign,nevus,dermoscopic,IL_1,IP_1,male\n"
            "ISIC_2,Clinic,CC-0,60,torso,malignant,melanoma,dermoscopic,IL_2,IP_2,male\n"
            "ISIC_3,Clinic,CC-0,60,torso,indeterminate/malignant,AIMP,dermoscopic,IL_3,IP_3,male\n"
            "ISIC_4,Clinic,CC-0,60,torso,,nevus,dermoscopic,IL_4,IP_4,male\n"
        ],
        [0, 1, -1, 0],
        4,
        4,
    ),
    "isic-archive-between": (
        [
            "isic_id,attribution,copyright_license,age_approx,anatom_site_general,benign_malignant,concomitant_biopsy,"
            "diagnosis,diagnosis_1,diagnosis_2,diagnosis_3,diagnosis_confirm_type,image_type,lesion_id,sex\n"
            "ISIC_1,Clinic,CC-BY-NC,55,,benign,false,nevus,Benign,Benign melanocytic proliferations,Nevus,,"
            "dermoscopic,IL_1,male\n"
            "ISIC_2,Clinic,CC-BY-NC,70,,,true,basal cell carcinoma,Malignant,Malignant adnexal epithelial "
            "proliferations - Follicular,Basal cell carcinoma,histopathology,dermoscopic,IL_2,male\n"
            "ISIC_3,Clinic,CC-BY-NC,70,,,true,actinic keratosis,Indeterminate,Indeterminate epidermal proliferations,"
            "Solar or actinic keratosis,histopathology,dermoscopic,IL_3,male\n"
            "ISIC_4,Clinic,CC-BY-NC,70,,malignant,true,melanoma,,,,histopathology,dermoscopic,IL_4,male\n"
        ],
        [0, 1, -1, 1],
        4,
        0,
    ),
    "isic-archive-first": (
        [
            "_id,name,dataset.name,meta.acquisition.image_type,meta.clinical.age_approx,meta.clinical.benign_malignant,"
            "meta.clinical.diagnosis,meta.clinical.diagnosis_confirm_type,meta.clinical.sex\n"
            "5436e3ab,ISIC_1,UDA-1,dermoscopic,55,benign,nevus,histopathology,female\n"
            "5436e3ac,ISIC_2,UDA-1,dermoscopic,30,malignant,melanoma,histopathology,female\n"
            "5436e3ad,ISIC_3,MSK-1,dermoscopic,30,indeterminate/benign,,,male\n"
        ],
        [0, 1, -1],
        3,
        0,
    ),
    "bcn20000": (
        [
            "bcn_filename,age_approx,anatom_site_general,diagnosis,lesion_id,capture_date,sex,split\n"
            "BCN_1.jpg,55.0,anterior torso,MEL,BCN_9,2012-05-16,male,train\n"
            "BCN_2.jpg,50.0,anterior torso,AK,BCN_8,2014-01-01,female,train\n"
            "BCN_3.jpg,,,NV,BCN_7,,female,train\n"
        ],
        [1, 1, 0],
        3,
        0,
    ),
    "pad-ufes-20": (
        [
            "patient_id,lesion_id,smoke,age,gender,fitspatrick,region,diagnostic,img_id,biopsed\n"
            "PAT_1516,1765,,8,,,ARM,NEV,PAT_1516_1765_530.png,False\n"
            "PAT_46,881,False,55,FEMALE,3.0,NECK,BCC,PAT_46_881_939.png,True\n"
            "PAT_46,882,False,55,FEMALE,3.0,FACE,ACK,PAT_46_882_1.png,False\n"
        ],
        [0, 1, 0],
        3,
        2,
    ),
    "milk10k": (
        [
            "lesion_id,AKIEC,BCC,BEN_OTH,BKL,DF,INF,MAL_OTH,MEL,NV,SCCKA,VASC\n"
            "IL_1,0.0,1.0,0,0,0,0,0,0,0,0,0\nIL_2,0,0,0,0,0,1.0,0,0,0,0,0\n",
            "lesion_id,image_type,isic_id,attribution,copyright_license,age_approx,sex,skin_tone_class,site\n"
            "IL_1,clinical: close-up,ISIC_1,MILK study team,CC-BY-NC,80,male,3,head_neck\n"
            "IL_1,dermoscopic,ISIC_2,MILK study team,CC-BY-NC,80,male,3,head_neck\n"
            "IL_2,dermoscopic,ISIC_3,MILK study team,CC-BY-NC,40,female,4,trunk\n",
        ],
        [1, 1, 0],
        2,
        0,
    ),
    "derm7pt": (
        [
            "case_num,diagnosis,seven_point_score,elevation,location,sex,clinic,derm,case_id,notes\n"
            "1,basal cell carcinoma,0,palpable,abdomen,female,NEL/NEL025.JPG,NEL/Nel026.jpg,,\n"
            "2,clark nevus,1,flat,back,male,Nal/Nal001.jpg,Nal/Nal002.jpg,,\n"
            "3,melanoma (less than 0.76 mm),4,flat,back,male,Nml/Nml001.jpg,Nml/Nml002.jpg,,\n"
        ],
        [1, 0, 1],
        3,
        0,
    ),
    "fitzpatrick17k": (
        [
            "md5hash,fitzpatrick_scale,fitzpatrick_centaur,label,nine_partition_label,three_partition_label,qc,url\n"
            "5e82a45b,3,3,drug induced pigmentary changes,inflammatory,non-neoplastic,,http\n"
            "fa2911a9,-1,1,basal cell carcinoma,malignant epidermal,malignant,,http\n"
            "d2bac3c9,1,1,dermatofibroma,benign dermal,benign,,http\n"
        ],
        [0, 1, 0],
        3,
        0,
    ),
}


def read(tmp_path, name, end="\n"):
    texts = FIXTURES[name][0]
    paths = [tmp_path / f"{name}-{i}.csv" for i in range(len(texts))]
    for path, text in zip(paths, texts, strict=True):
        path.write_bytes(text.replace("\n", end).encode())
    return read_table(",".join(map(str, paths)))


def test_every_layout_has_a_fixture():
    assert FIXTURES.keys() == layouts().keys()


@pytest.mark.parametrize("name", FIXTURES)
def test_a_known_table_is_read_as_downloaded(tmp_path, name):
    _, labels, lesions, patients = FIXTURES[name]
    table = read(tmp_path, name, "\r\n")
    assert table.reading.layout == name
    policy = policy_of("auto", table)
    assert policy.name == layouts()[name].policy
    found, _ = label_rows(table, policy, chosen=False)
    assert found["label"].tolist() == labels
    assert (found["verdict"] == "").tolist() == [label >= 0 for label in labels]
    assert table.rows["lesion_id"].nunique() == lesions
    assert ("patient_id" in table.rows and table.rows["patient_id"].nunique()) == patients


@pytest.mark.parametrize(("benign", "malignant"), [("0.0", "1.0"), ("0", "1"), ("BENIGN", "Malignant")])
def test_the_test_table_of_2016_says_its_labels_as_numbers(tmp_path, benign, malignant):
    (tmp_path / "t.csv").write_text(f"ISIC_0000003,{benign}\nISIC_0000012,{malignant}\nISIC_0000014,{benign}\n")
    table = read_table(str(tmp_path / "t.csv"))
    assert table.reading.layout == "isic2016"
    assert table.rows["image_id"].tolist() == ["ISIC_0000003", "ISIC_0000012", "ISIC_0000014"]
    assert table.rows["stated_label"].tolist() == [0, 1, 0]


def test_test_images_of_2019_without_a_class_are_left_out(tmp_path):
    header = "image,MEL,NV,BCC,AK,BKL,DF,VASC,SCC,UNK,score_weight,validation_weight\n"
    (tmp_path / "t.csv").write_text(f"{header}ISIC_1,1.0,0,0,0,0,0,0,0,0,1,0\nISIC_2,0,0,0,0,0,0,0,0,1.0,0,0\n")
    table = read_table(str(tmp_path / "t.csv"))
    found, _ = label_rows(table, policy_of("auto", table), chosen=False)
    assert found["label"].tolist() == [1, -1]
    assert found["verdict"].tolist() == ["", "excluded_diagnosis"]


def test_facts_of_known_tables_have_their_columns(tmp_path):
    rows = read(tmp_path, "isic2019").rows
    assert rows["image_id"].tolist() == ["ISIC_1", "ISIC_2", "ISIC_3"]
    assert rows["localization"].tolist() == ["anterior torso", "head/neck", "unknown"]
    assert rows["lesion_id"].tolist() == ["ISIC_1", "BCN_2", "ISIC_3"]
    assert read(tmp_path, "isic2018").rows["dx_type"].tolist() == ["serial imaging", "histopathology"]
    rows = read(tmp_path, "isic-archive").rows
    assert rows["dx"].tolist() == ["nevus", "melanoma in situ", "solar or actinic keratosis"]
    assert rows["localization"].tolist() == ["head", "torso", "torso"]
    assert rows["skin_type"].tolist() == ["2", "unknown", "unknown"]
    assert rows["licence"].tolist() == ["CC-0", "CC-BY", "CC-BY"]
    rows = read(tmp_path, "isic2024").rows
    assert rows["dx"].tolist() == [
        "benign",
        "atypical intraepithelial melanocytic proliferation",
        "melanoma invasive",
    ]
    assert rows["tbp_lv_b"].tolist() == ["2", "2", "2"]
    rows = read(tmp_path, "milk10k").rows
    assert rows["image_id"].tolist() == ["ISIC_1", "ISIC_2", "ISIC_3"]
    assert rows["dx"].tolist() == ["bcc", "bcc", "inf"]
    assert rows["image_type"].tolist() == ["clinical: close-up", "dermoscopic", "dermoscopic"]
    rows = read(tmp_path, "derm7pt").rows
    assert rows["image_id"].tolist() == ["Nel026", "Nal002", "Nml002"]
    assert rows["folder"].tolist() == ["NEL", "Nal", "Nml"]
    rows = read(tmp_path, "pad-ufes-20").rows
    assert rows["image_id"].tolist()[0] == "PAT_1516_1765_530"
    assert rows["skin_type"].tolist() == ["unknown", "3", "3"]
    assert read(tmp_path, "isic2017").rows["dx"].tolist() == ["nevus", "melanoma", "seborrheic keratosis"]


def test_two_tables_may_come_in_either_order(tmp_path):
    texts = FIXTURES["isic2019"][0]
    for name, text in zip("ab", texts, strict=True):
        (tmp_path / f"{name}.csv").write_text(text)
    swapped = read_table(f"{tmp_path / 'b.csv'},{tmp_path / 'a.csv'}")
    assert swapped.rows["dx"].tolist() == ["mel", "scc", "ak"]


def test_an_image_without_facts_is_named(tmp_path):
    (tmp_path / "a.csv").write_text(FIXTURES["isic2019"][0][0])
    (tmp_path / "b.csv").write_text("image,sex\nISIC_1,male\n")
    with pytest.raises(Exception, match=r"no row for image ISIC_2 \(2 such images"):
        read_table(f"{tmp_path / 'a.csv'},{tmp_path / 'b.csv'}")


def test_layouts_map_only_to_known_meanings_and_policies():
    from components.ingest.labels import policy_names

    for name, layout in layouts().items():
        assert layout.columns.keys() <= USUAL.keys(), name
        assert layout.policy in policy_names(), name
        assert bool(layout.recognised_by) != bool(layout.without_header), name


def test_the_reference_page_is_the_layouts():
    assert REFERENCE.read_text(encoding="utf-8") == describe(), "run python -m components.ingest.layouts > that page"


def test_what_a_challenge_calls_benign_and_its_policy_leaves_out_is_noted(tmp_path):
    table = read(tmp_path, "isic2024")
    _, notes = label_rows(table, policy_of("auto", table), chosen=False)
    assert (
        "1 row with a label although policy isic excludes the diagnosis: the first is ISIC_3 (atypical intraepithelial "
        "melanocytic proliferation); label_policy=isic excludes them"
    ) in notes
    found, _ = label_rows(table, policy_of("isic", table), chosen=True)
    assert found["verdict"].tolist() == ["", "excluded_diagnosis", ""]


def test_the_challenge_of_2024_is_read_from_its_own_tables_too(tmp_path):
    (tmp_path / "truth.csv").write_text("isic_id,malignant\nISIC_1,0.0\nISIC_2,1.0\n")
    (tmp_path / "facts.csv").write_text("isic_id,patient_id,age_approx,sex\nISIC_2,IP_1,60,male\nISIC_1,IP_1,60,male\n")
    rows = read_table(f"{tmp_path / 'truth.csv'},{tmp_path / 'facts.csv'}").rows
    assert rows["stated_label"].tolist() == [0, 1]
    assert rows["patient_id"].tolist() == ["IP_1", "IP_1"]


def ingested(tmp_path, name, texts):
    """The index and account of a table, with an image for each of its rows."""
    paths = [tmp_path / f"{name}-{i}.csv" for i in range(len(texts))]
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text)
    (tmp_path / "images").mkdir()
    random = np.random.default_rng(len(name))
    for image_id in read_table(",".join(map(str, paths))).rows["image_id"]:
        noise = random.integers(0, 255, (6, 8, 3)).astype(np.uint8)
        picture = cv2.resize(noise, (64, 48), interpolation=cv2.INTER_CUBIC)
        (tmp_path / "images" / f"{image_id}.jpg").write_bytes(encode_jpeg(picture, 90))
    out = tmp_path / "index"
    run(IngestConfig(max_lost_pct=60), ",".join(map(str, paths)), [str(tmp_path / "images")], out)
    return read_index(out), read_account(out)


READ = REFERENCE.with_name("table-layouts-read.md")
_PAGE = """# What becomes of each known table

Made by `tests/components/ingest/test_layouts.py`, which compares it with what ingest and grouping do today (with
`LESIONFLOW_WRITE_PAGES=1` in the environment the test writes it). The tables are small ones of our own with the
columns, words and faults of the real ones, one image per row; [the layouts](table-layouts.md) say which column is what.
A group is what may not be divided between train, val and test; `-` stands for ids that the table does not have.

| layout | images | benign | malignant | no label | lesion ids | patient ids | groups | notes of ingest |
|---|---|---|---|---|---|---|---|---|
"""


def test_the_page_of_what_becomes_of_each_layout_is_what_ingest_does(tmp_path):
    lines = []
    for name, (texts, labels, lesions, patients) in FIXTURES.items():
        (tmp_path / name).mkdir()
        index, account = ingested(tmp_path / name, name, texts)
        counts = [int((index["label"] == label).sum()) for label in (0, 1, -1)]
        assert counts == [labels.count(label) for label in (0, 1, -1)], name
        groups = group_ids(index, [one for one in ("lesion_id", "patient_id") if one in index], None)
        for ids in ("lesion_id", "patient_id") if patients else ("lesion_id",):
            assert (groups[index[ids] != ""].groupby(index[ids]).nunique() == 1).all(), (name, ids)
        table = account["table"]
        assert table["patient_ids"] == patients
        assert table["lesion_ids"] in (0, lesions)
        facts = (name, account["rows"], *counts, table["lesion_ids"] or "-", patients or "-", groups.nunique())
        lines.append(f"| {' | '.join(map(str, facts))} | {'; '.join(account['notes'])} |")
    page = _PAGE + "\n".join(lines) + "\n"
    if os.environ.get("LESIONFLOW_WRITE_PAGES"):
        READ.write_text(page, encoding="utf-8")
    assert READ.read_text(encoding="utf-8") == page


@pytest.mark.parametrize("name", [name for name, layout in layouts().items() if "patient_id" in layout.columns])
def test_no_patient_of_a_known_table_is_in_two_splits(tmp_path, name):
    layout, (text, *_) = layouts()[name], FIXTURES[name][0]
    small = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False)
    many = pd.concat([small] * 60, ignore_index=True)
    number = np.arange(len(many))
    many[layout.columns["image_id"]] = [f"IMG_{i}" for i in number]
    if "lesion_id" in layout.columns:
        many[layout.columns["lesion_id"]] = [f"L{i}" for i in number]
    patients = np.random.default_rng(1).integers(0, len(many) // 4, len(many))
    many[layout.columns["patient_id"]] = [f"P{i}" for i in patients]
    index, account = ingested(tmp_path, name, [many.to_csv(index=False)])
    divide(SplitConfig(recipe="stratified"), tmp_path / "index", tmp_path / "split")
    rows = read_split(tmp_path / "split").rows
    usable = rows[rows["verdict"] == "ok"]
    assert usable["split"].nunique() == 3
    assert (usable.groupby("patient_id")["split"].nunique() == 1).all()
    assert account["table"]["patient_ids"] == index["patient_id"].nunique()
