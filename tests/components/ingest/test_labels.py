"""A policy says what every diagnosis means, and nothing about the ones it does not know."""

import pytest
import yaml

from components.common.runtime.errors import ConfigError
from components.ingest.labels import LabelPolicy, load_label_policy, policy_names

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


def test_a_policy_of_ones_own_is_read_from_a_file(tmp_path):
    policy = load_label_policy(write(tmp_path, GOOD))
    assert policy == LabelPolicy("mine", 2, ("mel",), ("bkl", "nv"), ("unk",))
    assert policy.record() == {
        "name": "mine", "version": 2, "malignant": ["mel"], "benign": ["bkl", "nv"], "excluded": ["unk"],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"malignant": []}, "malignant is empty"),
        ({"benign": "nv"}, "expected a list of diagnosis codes"),
        ({"benign": [False]}, "expected a list of diagnosis codes"),
        ({"benign": ["nv", "mel"]}, "'mel' is in both malignant and benign"),
        ({"version": "1"}, "version is '1'"),
        ({"version": True}, "version is True"),
        ({"name": ""}, "name is ''"),
        ({"malign": []}, "unknown field 'malign'"),
    ],
)
def test_a_bad_policy_is_refused_by_field(tmp_path, change, message):
    with pytest.raises(ConfigError, match="label_policy") as caught:
        load_label_policy(write(tmp_path, GOOD | change))
    assert message in str(caught.value)


@pytest.mark.parametrize(("text", "message"), [("a: [", "not YAML"), ("- 1", "holds list"), ("", "holds NoneType")])
def test_a_file_that_is_no_policy_is_refused(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message):
        load_label_policy(write(tmp_path, text))


def test_an_unknown_name_lists_the_known_ones(tmp_path):
    with pytest.raises(ConfigError, match=r"received 'ham'; allowed: one of ham10000, .* or the path of a YAML file"):
        load_label_policy("ham")
    with pytest.raises(ConfigError, match="no such file"):
        load_label_policy(tmp_path / "absent.yaml")
