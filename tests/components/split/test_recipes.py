from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.common.artifacts.split import SPLITS
from components.common.runtime.errors import ConfigError, DataError
from components.split.audit import refuse_leak
from components.split.config import SplitConfig
from components.split.recipes import assign, brought, places, seeded_hash


def divided(table, **config):
    """The number of each row's split in `SPLITS`, and its fold."""
    split, fold = assign(SplitConfig(**config), table)
    assert split.index.equals(table.index)
    return split.map(SPLITS.index).to_numpy(), None if fold is None else fold.to_numpy()


@st.composite
def collections(draw):
    """Any small collection: groups of any sizes, mixed diagnoses inside a group, odd names."""
    names = draw(st.lists(st.text(min_size=1, max_size=8), min_size=8, max_size=40, unique=True))
    size = draw(st.lists(st.integers(1, 6), min_size=len(names), max_size=len(names)))
    group = np.repeat(np.array(names, dtype=object), size)
    label = np.array(draw(st.lists(st.integers(0, 1), min_size=len(group), max_size=len(group))), dtype=np.int8)
    return pd.DataFrame(
        {
            "image_id": [f"i{k}" for k in range(len(group))],
            "group_id": pd.Series(group, dtype="str"),
            "lesion_id": pd.Series(group, dtype="str"),
            "dx": np.where(label == 1, "mel", "nv"),
            "label": label,
        }
    )


@settings(max_examples=60, deadline=None)
@given(collections(), st.sampled_from(["stratified", "kfold:3", "kfold:7", "reference"]), st.integers(0, 2**32 - 1))
def test_no_recipe_ever_leaks_a_group(table, recipe, seed):
    try:
        code, _ = divided(table, recipe=recipe, seed=seed)
    except DataError:  # the reference recipe needs two lesions of each label
        assert recipe == "reference"
        return
    assert table.assign(code=code).groupby("group_id")["code"].nunique().max() == 1
    refuse_leak(table.assign(split=code), "group_id")


@settings(max_examples=60, deadline=None)
@given(collections(), st.sampled_from(["stratified", "kfold:3", "kfold:50", "reference"]), st.data())
def test_the_order_of_the_rows_decides_nothing(table, recipe, data):
    if recipe == "reference":  # takes a group's label from its first row
        table["label"] = table.groupby("group_id")["label"].transform("first")
    order = data.draw(st.permutations(range(len(table))))
    try:
        code, fold = divided(table, recipe=recipe, seed=1)
    except DataError:
        return
    again, fold_again = divided(table.iloc[order].reset_index(drop=True), recipe=recipe, seed=1)
    assert np.array_equal(code[order], again)
    assert fold is fold_again is None or np.array_equal(fold[order], fold_again)


def places_by_hand(table, seed):
    """Places with exact fractions, group by group."""
    names = sorted(table["dx"].unique())
    stratum = {}
    for group, dx, label in zip(table["group_id"], table["dx"], table["label"], strict=True):
        stratum[group] = max(stratum.get(group, (0, 0)), (label, names.index(dx)))
    word = dict(zip(stratum, seeded_hash(list(stratum), seed).tolist(), strict=True))
    size = table["group_id"].value_counts()
    out = {}
    for one in set(stratum.values()):
        groups = sorted((group for group, own in stratum.items() if own == one), key=word.__getitem__)
        before, total = 0, int(sum(size[group] for group in groups))
        for group in groups:
            out[group] = Fraction(2 * before + int(size[group]), 2 * total)
            before += int(size[group])
    return [float(out[group]) for group in table["group_id"]]


@settings(max_examples=60, deadline=None)
@given(collections(), st.lists(st.sampled_from(["mel", "nv", "bkl"]), min_size=7, max_size=7))
def test_places_are_those_found_by_hand(table, dx):
    table["dx"] = [dx[i % 7] for i in range(len(table))]
    assert places(table, 5).tolist() == places_by_hand(table, 5)


def test_every_diagnosis_keeps_its_share(rows):
    table = rows(6000)
    code, _ = divided(table)
    for dx, part in table.groupby("dx"):
        share = np.bincount(code[part.index], minlength=3) / len(part)
        assert share == pytest.approx([0.7, 0.15, 0.15], abs=4.5 / len(part)), dx  # a group is at most 4 images


def test_shares_follow_the_parameters(rows):
    code, _ = divided(rows(3000), val_share=0.1, test_share=0.3)
    assert np.bincount(code) / len(code) == pytest.approx([0.6, 0.1, 0.3], abs=0.003)


def test_added_lesions_move_almost_nobody(rows):
    table = rows(5000)
    before, _ = divided(table)
    more = rows(100, seed=9).assign(group_id=lambda t: "new" + t["group_id"], image_id=lambda t: "new" + t["image_id"])
    after, _ = divided(pd.concat([more, table], ignore_index=True))
    assert (before != after[len(more) :]).mean() < 0.01


def test_seeds_give_different_splits_and_the_same_seed_the_same(rows):
    table = rows(500)
    one, again, other = (divided(table, seed=s)[0] for s in (1, 1, 2))
    assert np.array_equal(one, again)
    assert (one != other).mean() > 0.2


def test_the_hash_is_the_same_on_every_machine():
    assert seeded_hash(["HAM_0000118", "ä"], 42).tolist() == [421486108386555532, 15532136512261898778]


def test_folds_take_turns_as_test_and_cover_everything(rows):
    table = rows(1500)
    tests = []
    for fold in range(5):
        code, folds = divided(table, recipe="kfold:5", fold=fold)
        assert np.array_equal(code == 2, folds == fold)
        assert np.array_equal(code == 1, folds == (fold + 1) % 5)
        tests.append(code == 2)
    assert np.array_equal(np.sum(tests, axis=0), np.ones(len(table)))
    assert [t.mean() for t in tests] == pytest.approx([0.2] * 5, abs=0.006)


def test_a_fold_may_be_named_in_the_recipe(rows):
    table = rows(600)
    for fold in (0, 2):
        named, _ = divided(table, recipe=f"kfold:5:{fold}")
        assert np.array_equal(named, divided(table, recipe="kfold:5", fold=fold)[0])


def test_a_brought_split_is_read_with_common_spellings():
    table = pd.DataFrame({"image_id": list("abc"), "mine": [" Training", "valid", "TEST"]})
    assert brought(table, "mine").tolist() == brought(table, "Mine").tolist() == ["train", "val", "test"]


def test_a_brought_split_names_the_first_bad_row():
    table = pd.DataFrame({"image_id": list("abc"), "mine": ["train", "holdout", ""]})
    with pytest.raises(DataError, match=r"column:mine: image b has 'holdout' \(2 such rows\); expected train, val or"):
        brought(table, "mine")
    with pytest.raises(DataError, match=r"no such column; it has image_id, mine"):
        brought(table, "yours")


@pytest.mark.parametrize("recipe", ["reference", "stratified", "kfold:3", "kfold:3:2", "column:my split"])
def test_known_recipes_are_accepted(recipe):
    assert SplitConfig(recipe=recipe).recipe == recipe


@pytest.mark.parametrize(
    "recipe", ["", "random", "kfold:2", "kfold:5:", "kfold:5:x", "kfold:x", "kfold", "column:", "Reference"]
)
def test_unknown_recipes_are_one_line(recipe):
    with pytest.raises(ConfigError, match=r"^recipe: received .*allowed: reference, stratified, kfold:K"):
        SplitConfig.parse({"recipe": recipe})


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"val_share": 0.6, "test_share": 0.5}, "val_share, test_share: received 0.6 and 0.5"),
        ({"recipe": "kfold:5", "fold": 5}, "fold, recipe: received 5 with kfold:5; allowed: 0 to 4"),
        ({"recipe": "kfold:5:7"}, "fold, recipe: received 7 with kfold:5:7; allowed: 0 to 4"),
        ({"recipe": "kfold:5:2", "fold": 1}, "received 1 with kfold:5:2, which names a fold itself; allowed: one of"),
        ({"recipe": "reference", "near_duplicates": "group"}, "near_duplicates, recipe: received group with reference"),
        (
            {"recipe": "reference", "group_by": ["patient_id"]},
            "group_by, recipe: received ['patient_id'] with reference",
        ),
    ],
)
def test_impossible_pairs_are_one_line(values, words):
    with pytest.raises(ConfigError) as caught:
        SplitConfig.parse(values)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
