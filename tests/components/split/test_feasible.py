"""A run stops before training where a later step would stop it, and every way out that is printed works."""

import json
import re
import shlex
from dataclasses import replace

import numpy as np
import pytest

from components.common.artifacts.scores import Scores, load_scores, save_scores
from components.common.artifacts.split import read_record, read_split
from components.common.runtime.errors import DataError
from components.common.statistics.feasibility import Demands, GateBound
from components.split.config import SplitConfig
from components.split.feasible import refuse_infeasible, split_counts
from components.split.run import run

ASKED = Demands(folds=5, operating_point="lower_bound", target_sensitivity=0.90, delta=0.05, abstain_alpha=0.0)
GATE = (
    GateBound("sensitivity.lower >= 0.92", "sensitivity", "lower", 0.92),
    GateBound("auc >= 0.8", "roc_auc", "value", 0.8),
)


def said(split, asked):
    with pytest.raises(DataError) as caught:
        refuse_infeasible(split, asked)
    return str(caught.value)


def flags(text):
    """The parameters that each line of the ways out sets."""
    found = [line for line in text.splitlines() if line.startswith("  --set ")]
    words = [shlex.split(line.partition("   (")[0])[1::2] for line in found]
    return [dict(word.split("=", 1) for word in one) for one in words]


def parsed(change):
    kinds = {"target_sensitivity": float, "calibrate.folds": int, "calibrate.abstain_alpha": float}
    kinds |= {"split.val_share": float, "split.test_share": float, "gate_conditions": json.loads}
    return {name: kinds.get(name, str)(value) for name, value in change.items()}


@pytest.mark.parametrize("asked", [ASKED, replace(ASKED, abstain_alpha=0.03), replace(ASKED, gate=GATE, folds=50)])
def test_every_way_out_works_for_all_problems_at_once(rows, index, tmp_path, asked):
    source = index(rows(800))
    made = run(SplitConfig(), source, tmp_path / "out")
    ways = [parsed(one) for one in flags(said(made.path, asked))]
    assert len(ways) >= 2
    for number, change in enumerate(ways):
        shares = {name.removeprefix("split."): value for name, value in change.items() if name.startswith("split.")}
        again = run(SplitConfig(**shares), source, tmp_path / f"again{number}") if shares else made
        refuse_infeasible(again.path, asked.changed(change))


def test_the_share_that_is_proposed_is_the_smallest_that_was_tried(rows, index, tmp_path):
    source = index(rows(900))
    made = run(SplitConfig(), source, tmp_path / "out")
    (share,) = [one["split.val_share"] for one in flags(said(made.path, ASKED)) if "split.val_share" in one]
    below = run(SplitConfig(val_share=round(float(share) - 0.01, 2)), source, tmp_path / "below")
    assert "lower_bound" in said(below.path, ASKED)


def test_far_too_few_lesions_are_told_that_more_data_is_needed(rows, index, tmp_path):
    made = run(SplitConfig(), index(rows(120)), tmp_path / "out")
    counts = split_counts(read_record(made.path).counts)
    text = said(made.path, ASKED)
    assert "target_sensitivity=" not in text
    have = counts.malignant
    wanted = int(
        re.search(rf"more data: about (\d+) malignant groups are needed .*; the table has {have}$", text, re.M)[1]
    )
    assert wanted == pytest.approx(1.05 * 29 * have / counts.val.malignant, abs=1)
    few = counts.val.malignant
    assert f"(for trials only, not for patients: no guarantee, and the threshold rests on {few} malignant" in text


def test_where_no_parameter_helps_none_is_proposed(rows, index, tmp_path):
    table = rows(300, largest=1)
    malignant = table.index[table["label"] == 1]
    table.loc[malignant[8:], ["label", "dx"]] = [0, "nv"]
    made = run(SplitConfig(val_share=0.2, test_share=0.2), index(table), tmp_path / "out")
    assert split_counts(read_record(made.path).counts).val.malignant == 1
    text = said(made.path, ASKED)
    assert "--set" not in text
    assert "no other parameters were found that help; what helps is more data: about" in text


def test_a_group_of_a_large_share_is_named_among_the_ways_out(rows, index, tmp_path):
    table = rows(400)
    large = table.index[: len(table) // 3]
    table = table.assign(patient_id="")
    table.loc[large, "patient_id"] = "none given"
    made = run(SplitConfig(), index(table), tmp_path / "out")
    last = said(made.path, ASKED).splitlines()[-1]
    assert re.match(
        rf"one group, L\d+, holds {len(large)} of {len(table)} images \(33 %\) and \d+ of \d+ malignant", last
    )
    assert "patient_id 'none given' joins most of them" in last


def champion(split, change=lambda scores: scores):
    test = read_split(split).usable("test")
    n, text = len(test), {name: test[name].to_numpy(str) for name in ("image_id", "lesion_id", "group_id")}
    label = test["label"].to_numpy(np.int8)
    path = split.parent / "champion.npz"
    save_scores(path, change(Scores(**text, label=label, logit=np.zeros(n), probability=np.full(n, 0.5))))
    return str(path)


def test_a_champion_scored_on_other_images_or_labels_stops_the_run_before_training(rows, index, tmp_path):
    made = run(SplitConfig(), index(rows(400)), tmp_path / "out")
    asked = replace(ASKED, operating_point="youden")
    refuse_infeasible(made.path, asked, champion(made.path))
    other = champion(made.path, lambda scores: replace(scores, label=1 - scores.label))
    n = len(load_scores(tmp_path / "champion.npz"))
    with pytest.raises(DataError, match=f"^champion .*: {n} test images have another label there, for example"):
        refuse_infeasible(made.path, asked, other)
    fewer = champion(made.path, lambda scores: scores.take(np.arange(n - 1)))
    with pytest.raises(DataError, match=rf"scores are of {n - 1} images, test has {n}, {n - 1} in common"):
        refuse_infeasible(made.path, asked, fewer)
