"""A policy says what every diagnosis means, and nothing about the ones it does not know."""

from pathlib import Path

import pytest
import yaml

from components.common.runtime.errors import ConfigError
from components.ingest.config import IngestConfig
from components.ingest.labels import describe, load_label_policy, policies_that_know, policy_names
from pipelines.parameter_texts import described_parameters

GOOD = {"name": "mine", "version": 2, "malignant": ["mel"], "benign": ["nv", "BKL"], "excluded": ["unk"]}


def write(tmp_path, value):
    path = tmp_path / "policy.yaml"
    path.write_text(value if isinstance(value, str) else yaml.safe_dump(value), encoding="utf-8")
    return path


def test_ham10000_counts_akiec_as_malignant():
    policy = load_label_policy("ham10000")
    assert policy.malignant == ("akiec", "bcc", "mel")
    assert policy.benign == ("bkl", "df", "nv", "vasc")
    assert [policy.label(dx) for dx in ("mel", "akiec", "nv", "xyz")] == [1, 1, 0, None]


def test_the_variant_leaves_akiec_out_without_forgetting_it():
    policy = load_label_policy("ham10000-without-akiec")
    assert policy.label("akiec") is None
    assert policy.knows("akiec") and not policy.knows("xyz")


@pytest.mark.parametrize("name", policy_names())
def test_every_shipped_policy_is_named_like_its_file(name):
    assert load_label_policy(name).name == name


def test_the_reference_page_is_the_policies():
    page = Path(__file__).parents[3] / "docs" / "reference" / "label-policies.md"
    assert page.read_text(encoding="utf-8") == describe(), "run make reference"


def test_the_parameter_names_every_policy_and_its_description_shows_them():
    text = IngestConfig.model_fields["label_policy"].description
    named = text.partition("the table; ")[2].partition(", or the URI")[0].split(", ")
    assert sorted(named) == policy_names()
    shown = " ".join(described_parameters("label_policy").split())
    for name in policy_names():
        policy = load_label_policy(name)
        assert policy.about and " ".join(policy.about.split()) in shown
        assert f"malignant: {', '.join(policy.malignant)}" in shown


@pytest.mark.parametrize("name", policy_names())
def test_what_pathology_cannot_decide_is_left_out(name):
    policy = load_label_policy(name)
    for text in ("Atypical Spitz tumour", "Melanocytic tumor of uncertain malignant potential", "melanocytoma"):
        assert (policy.knows(text), policy.label(text)) == (True, None)
    assert policy.label("lentigo maligna") == 1


def test_a_policy_of_ones_own_is_read_from_a_file(tmp_path):
    policy = load_label_policy(write(tmp_path, GOOD))
    assert (policy.name, policy.version) == ("mine", 2)
    assert (policy.malignant, policy.benign, policy.excluded) == (("mel",), ("bkl", "nv"), ("unk",))
    record = policy.record()
    assert record["benign"] == ["bkl", "nv"]
    assert "melanoma in situ" in record["names"]["mel"]


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("ham10000", {"Melanoma": 1, "melanoma  in situ": 1, "Solar or actinic keratosis": 1, "Nevus": 0, "SCC": None}),
        ("isic2019", {"squamous cell carcinoma": 1, "Bowen's disease": 1, "seborrheic keratosis": 0, "unk": None}),
        ("isic", {"actinic keratosis": None, "lentigo NOS": 0, "cafe-au-lait macule": 0, "melanoma metastasis": 1}),
        ("pad-ufes-20", {"ACK": 0, "NEV": 0, "SEK": 0, "SCC": 1}),
        ("milk10k", {"SCCKA": 1, "MAL_OTH": 1, "INF": 0, "BEN_OTH": 0, "AKIEC": 1}),
        ("derm7pt", {"melanoma (less than 0.76 mm)": 1, "reed or spitz nevus": 0, "miscellaneous": None}),
    ],
)
def test_policies_know_codes_and_names(name, labels):
    policy = load_label_policy(name)
    assert {dx: policy.label(dx) for dx in labels} == labels


@pytest.mark.parametrize("name", policy_names())
def test_indeterminate_is_left_out_by_every_policy(name):
    policy = load_label_policy(name)
    assert (policy.knows("Indeterminate"), policy.label("Indeterminate")) == (True, None)


@pytest.mark.parametrize("name", policy_names())
def test_no_policy_gives_a_name_to_two_groups(name):
    policy = load_label_policy(name)
    assert all(policy.knows(one) for names in policy.names.values() for one in names)


def test_a_hierarchical_diagnosis_is_known_by_its_most_specific_part():
    policy = load_label_policy("isic")
    text = "Benign::Benign melanocytic proliferations::Nevus::Nevus, Deep penetrating"
    assert (policy.knows(text), policy.label(text)) == (True, 0)
    assert policy.label("Malignant::Something new") is None


def test_a_policy_of_ones_own_comes_before_the_names_behind_its_codes(tmp_path):
    policy = load_label_policy(write(tmp_path, GOOD | {"excluded": ["Melanoma in situ"]}))
    assert [policy.label(dx) for dx in ("melanoma", "melanoma in situ")] == [1, None]
    policy = load_label_policy(write(tmp_path, GOOD | {"malignant": ["akiec"], "excluded": ["ak"]}))
    assert not policy.knows("actinic keratosis")  # a name of both, and they disagree


def test_other_policies_that_know_a_diagnosis_are_found():
    assert policies_that_know("AK") == ["isic", "isic2019"]
    assert policies_that_know("flat tyre") == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"malignant": []}, "malignant: received [], which is empty; allowed: a list of text, at least one"),
        ({"benign": "nv"}, "benign: received 'nv'; allowed: a list of text"),
        ({"benign": [False]}, "benign.0: received False, which is not text; write it in quotes"),
        ({"benign": ["nv", " "]}, "benign: received ['nv', ' ']; one of them is blank; allowed: codes or names"),
        ({"benign": ["nv", "mel"]}, "'mel' is in both malignant and benign"),
        ({"version": "1"}, "version: received '1'; allowed: an integer >= 1"),
        ({"version": True}, "version: received True; allowed: an integer >= 1"),
        ({"name": ""}, "name: received '', which is empty"),
        ({"malign": []}, "unknown parameter 'malign': did you mean 'malignant'?"),
    ],
)
def test_a_bad_policy_is_refused_by_field(tmp_path, change, message):
    with pytest.raises(ConfigError, match="label_policy") as caught:
        load_label_policy(write(tmp_path, GOOD | change))
    assert message in str(caught.value)


@pytest.mark.parametrize(("text", "message"), [("a: [", "not YAML"), ("- 1", "holds list"), ("", "holds NoneType")])
def test_a_file_that_is_not_a_policy_is_refused(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message):
        load_label_policy(write(tmp_path, text))


def test_an_unknown_name_lists_the_known_ones(tmp_path):
    with pytest.raises(
        ConfigError, match=r"received 'ham'; allowed: one of auto, .*ham10000, .* or the path of a YAML file"
    ):
        load_label_policy("ham")
    with pytest.raises(ConfigError, match="no such file"):
        load_label_policy(tmp_path / "absent.yaml")


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("Basal_cell_carcinoma", 1),
        ("seborrheic-keratosis", 0),
        ("Nevi", 0),
        ("Melanoma (MEL)", 1),
        ("Nevus (melanoma)", None),  # name and bracket contradict each other
        ("Melanoma (ruled out)", None),
    ],
)
def test_a_diagnosis_is_known_as_people_write_it(text, label):
    assert load_label_policy("ham10000").label(text) == label
