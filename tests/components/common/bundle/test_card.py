"""The card: numbers from artifacts, nothing for what they lack."""

import csv
import json
from dataclasses import replace

import pytest
import yaml

from components.common.artifacts.characteristics import (
    Characteristic,
    Characteristics,
    Level,
    Units,
    load_characteristics,
)
from components.common.artifacts.estimate import CountedEstimate, Estimate, GradedEstimate, SourceEstimate
from components.common.artifacts.folder import Artifact, open_artifact
from components.common.artifacts.json_file import read_json
from components.common.artifacts.ledger import Opening
from components.common.artifacts.lineage import Lineage, generated_notice
from components.common.artifacts.metrics import Refused, Shortcuts, SliceRow
from components.common.artifacts.model import Model, ModelFacts
from components.common.artifacts.split import read_record
from components.common.artifacts.trust import answered
from components.common.bundle.card import Judged, bundle_card, render
from components.common.bundle.card_facts import CardFacts
from components.common.bundle.card_text import estimate, plain, training_history
from components.common.runtime.errors import ArtifactError


def estimate_of(value, lower=None, upper=None):
    return Estimate(value=value, lower=lower, upper=upper)


def graded(value, lower=None, upper=None, status="ok"):
    return GradedEstimate(value=value, lower=lower, upper=upper, status=status)


def slice_row(name, value, n, malignant, *, sensitivity=None, specificity=None, roc_auc=None):
    empty = graded(None)
    return SliceRow(
        slice=name,
        value=value,
        n=n,
        malignant=malignant,
        groups=n,
        status="ok",
        sensitivity=sensitivity or empty,
        specificity=specificity or empty,
        predicted_positive_rate=empty,
        roc_auc=roc_auc or empty,
    )


SLICES = [
    slice_row(
        "sex",
        "male",
        800,
        178,
        sensitivity=graded(0.9, 0.8, 0.95),
        specificity=graded(0.6, 0.5, 0.7),
        roc_auc=graded(0.9),
    ),
    slice_row("sex", "unknown", 5, 1, sensitivity=graded(0.2, 0.1, 0.9, "insufficient"), roc_auc=graded(0.85)),
    slice_row("sex", "female", 700, 110, specificity=graded(0.7, 0.6, 0.8)),
]


@pytest.fixture(scope="module")
def judged(metrics):
    """Metrics with figures of our own."""
    figures = {
        "n": 1505,
        "malignant": 288,
        "groups": 1121,
        "roc_auc": estimate_of(0.8844, 0.861, 0.905),
        "calibration": metrics.calibration.model_copy(update={"slope": estimate_of(1.02, 0.9, 1.1)}),
        "slices": SLICES,
    }
    return metrics.model_copy(update=figures)


def shown(facts, judged=None):
    """The card of facts as they stand in `card.json`."""
    return render(CardFacts.model_validate(facts), judged)


def front_matter(card):
    return yaml.safe_load(card.split("---\n")[1])


def test_card_of_a_bundle_states_rule_data_and_evidence(exported, export_inputs):
    card = (exported.path / "model_card.md").read_text()
    assert front_matter(card)["pipeline_tag"] == "image-classification"
    rule = export_inputs.rule
    for text in (
        rule.policy_id,
        f"{rule.threshold_logit:.6g}",
        f"{rule.threshold_probability:.4f}",
        "not a medical device",
        "no skin-tone labels",
        "lower_bound",
        read_record(export_inputs.split).sha256,
        "| val | 24 | 8 |",
        "| mel | malignant |",
        "On 24 validation images",
        "the test split is not opened before that",
    ):
        assert text in card, text
    assert "{{" not in card
    assert "None" not in card


def test_bundle_card_has_intervals_slices_and_a_model_index(exported, judged):
    facts = json.loads((exported.path / "card.json").read_text())
    card = shown(facts, Judged(judged))
    assert "| ROC-AUC | 0.884 (0.861 to 0.905) |" in card
    assert "| Referrals per malignant lesion found |" in card
    assert "| slope | 1.020 (0.900 to 1.100) | 1 |" in card
    assert "| Sex | female | 700 | 110 | \N{EN DASH} | 413/590, 0.700 (0.600 to 0.800) | \N{EN DASH} |" in card
    assert "| Sex | not recorded | 5 | 1 | too few (n = 1) |" in card
    assert "- Largest gap in ROC-AUC by sex: 0.050 (not recorded 0.850, male 0.900)" in card
    assert "Largest gap in sensitivity" not in card  # one group alone is large enough
    results = front_matter(card)["model-index"][0]["results"][0]
    assert results["metrics"][0] == {"type": "roc_auc", "value": 0.8844}


def test_metrics_of_another_bundle_are_refused(exported, evaluation_of, tmp_path):
    digest = open_artifact(exported.path, "bundle").digest
    for name, made_from in (("own", digest), ("other", "0" * 64)):
        evaluation_of(tmp_path / name, made_from, n=1505, groups=1121)
    assert "1505 images of 1121 lesion groups" in bundle_card(exported.path, tmp_path / "own")
    with pytest.raises(ArtifactError, match="made from another bundle"):
        bundle_card(exported.path, tmp_path / "other")


GAIN = {"before": 0.7, "after": 0.75, "gain": {"value": 0.05, "lower": -0.01, "upper": 0.11}}


def test_an_ensemble_shows_its_members_and_its_gain(exported):
    facts = json.loads((exported.path / "card.json").read_text())
    scored = {"folds": 5, "roc_auc": 0.8, "average_precision": 0.7, "seconds": 4.5, "commit": "abcdef0123456789"}
    members = [{"model_sha256": f"{k}" * 64, "fold": k, **scored} for k in range(2)]
    ensemble = {"members": members, "images": 24, "over_members": {"roc_auc": GAIN}}
    card = shown(facts | {"ensemble": ensemble})
    assert "| `111111111111` | fold 1 of 5 | 0.8 | 0.7 | abcdef012345 |" in card
    assert "| mean of the members | ROC-AUC | 0.7000 | 0.7500 | +0.0500 (-0.0100 to +0.1100) |" in card
    assert "training took 9 seconds for all members together" in card
    assert "single model |" not in card
    against = ensemble | {"single": {"folds": 0}, "over_single": {"roc_auc": GAIN}}
    assert "the comparison favours the single model" in shown(facts | {"ensemble": against})
    members[0]["folds"] = 0  # stopped by the same images as the single model
    assert "favours" not in shown(facts | {"ensemble": against})


def test_the_gain_of_augmentation_is_shown_with_its_interval(exported):
    facts = json.loads((exported.path / "card.json").read_text())
    found = {
        "log_loss": GAIN,
        "average_precision": GAIN,
        "sensitivity": GAIN | {"gain": {"value": 0.05}},
        "images": 24,
        "changed_decisions": 3,
    }
    card = shown(facts | {"parity": facts["parity"] | {"augmentation": found}})
    assert "| Average precision | 0.7000 | 0.7500 | +0.0500 (-0.0100 to +0.1100) |" in card
    assert "| Sensitivity | 0.7000 | 0.7500 | +0.0500 |" in card
    assert "3 decisions change" in card


def test_limits_state_what_the_evaluation_found_and_nothing_else(exported, metrics):
    facts = json.loads((exported.path / "card.json").read_text())
    assert "compare the figures on histology-confirmed lesions alone" in shown(facts)
    kinds = [slice_row("dx_type", "histo", 171, 55), slice_row("dx_type", "follow_up", 128, 0)]
    shortcuts = Shortcuts(
        alone={"source": CountedEstimate(value=0.77, lower=None, upper=None, n=299, malignant=55)},
        model=CountedEstimate(value=0.9, lower=None, upper=None, n=299, malignant=55),
        histology_only=CountedEstimate(value=0.8, lower=None, upper=None, n=171, malignant=55),
        within_source=[
            SourceEstimate(source="a", value=0.7, lower=None, upper=None, n=65, malignant=30),
            SourceEstimate(source="b", value=0.6, lower=None, upper=None, n=9, malignant=2),
        ],
    )
    card = shown(facts, Judged(metrics.model_copy(update={"slices": kinds, "shortcuts": shortcuts})))
    assert "55 of 55 malignant and 116 of 244 benign ones were confirmed by histology" in card
    assert "those alone ROC-AUC is 0.800, on all 0.900" in card
    assert "- a: 0.700 (65 images, 30 malignant)" in card
    assert "- b:" not in card
    assert "reaches ROC-AUC 0.770: it goes\n  together with the label" in card
    chance = CountedEstimate(value=0.52, lower=0.46, upper=0.58, n=299, malignant=55)
    harmless = shortcuts.model_copy(update={"alone": {"source": chance}})
    card = shown(facts, Judged(metrics.model_copy(update={"shortcuts": harmless})))
    assert "reaches ROC-AUC 0.520 (0.460 to 0.580). ROC-AUC of the model within one source, where" in card


def test_the_card_names_the_bundle_it_describes(exported, evaluation_of, tmp_path):
    digest = open_artifact(exported.path, "bundle").digest
    evaluation_of(tmp_path / "evaluation", digest)
    assert digest in bundle_card(exported.path, tmp_path / "evaluation")
    assert bundle_card(exported.path) == (exported.path / "model_card.md").read_text()


def test_generated_images_stand_over_the_card_before_any_evaluation_and_after_an_adjustment(bundle_facts):
    said = generated_notice(9, 9)
    assert said not in shown(bundle_facts)
    assert shown({**bundle_facts, "notice": said}).count(f"**{said}**") == 1


def test_a_card_without_training_facts_leaves_them_out(exported):
    facts = json.loads((exported.path / "card.json").read_text())
    card = shown(facts | {"training": {}, "environment": {}, "split": {}})
    assert "the data is not described here" in card


def test_text_from_a_table_is_shown_as_it_is_and_cannot_become_markup(exported, metrics):
    facts = json.loads((exported.path / "card.json").read_text())
    rows = [
        slice_row("site", "<img src=x onerror=alert(1)>", 31, 9),
        slice_row("source", "clinic a|clinic *b*\n# c", 31, 9),
    ]
    facts = facts | {"training": {"note": "`x` | [y](z)"}, "split": facts["split"] | {"recipe": "a`|b"}}
    card = shown(facts, Judged(metrics.model_copy(update={"slices": rows})))
    assert "| Site of the lesion | &lt;img src=x onerror=alert(1)&gt; | 31 |" in card
    assert r"| Acquisition source | clinic a\|clinic \*b\* # c | 31 |" in card
    assert r"note \`x\` \| \[y\](z)" in card
    assert r"recipe `a'\|b`" in card


def test_the_card_asks_the_same_questions_and_shows_the_same_flow(exported, metrics):
    facts = json.loads((exported.path / "card.json").read_text())
    lines = [answered("lost_images", "red", "60 rows | <b>", "data")]
    counts = {"images": 100, "malignant": 20, "benign": 80}
    nothing = {"images": 0, "malignant": 0, "benign": 0}
    part = {"assigned": nothing, "unusable": [], "usable": nothing, "lost_in_records": None}
    test = {"assigned": counts, "unusable": [], "usable": counts, "lost_in_records": None}
    spelled = {"images": 60, "malignant": 0, "benign": 0, "unlabelled": 60}
    lineage = Lineage.model_validate(
        {
            "table": {"images": 160, "malignant": 20, "benign": 80, "unlabelled": 60},
            "lesions": 100,
            "groups": {
                "known": True,
                "joined_by": ["lesion"],
                "count": 100,
                "patients_across_splits": None,
                "contradictions": 0,
            },
            "generated": 160,
            "malignant_diagnoses": ["mel"],
            "dropped": [{"reason": "unknown_diagnosis", "counts": spelled, "diagnoses": {"melanoma|": 60}}],
            "undivided": nothing,
            "parts": {"train": part, "val": part, "test": test},
            "near_duplicates": None,
            "unread": [],
            "read": counts,
        }
    )
    card = shown(facts, Judged(metrics, lines, lineage))
    assert r"| problem | Was anything lost, and from which class? | 60 rows \| &lt;b&gt; |" in card
    assert r"| less: diagnosis missing, or unknown to the label policy (melanoma\| 60) | 60 | 0 | 0 | 60 |" in card
    assert "| evaluated | 100 | 20 | 80 |  |" in card
    assert "**Generated data: 160 of 160 images were drawn by a program." in card


def test_estimates_read_as_value_and_interval():
    assert estimate(estimate_of(0.5)) == "0.500"
    assert estimate(None) == estimate(estimate_of(None)) == "not estimable"
    assert plain({"schema": "x", "a_b": 0.123456, "deep": {}, "ok": True}) == {"a b": "0.1235", "ok": "yes"}


def test_training_history_gives_time_and_best_validation_figures(tmp_path):
    rows = list(csv.DictReader(["epoch,seconds,val_average_precision,val_roc_auc", "1,10.5,0.5,0.8", "2,9.5,0.6,nan"]))
    facts = ModelFacts(architecture="small_cnn", image_size=(72, 96))
    model = Model(Artifact(tmp_path, "model", "", {}, {}), facts, {}, {}, {}, {}, [])
    assert training_history(model) == {}
    assert training_history(replace(model, history=rows)) == {
        "epochs_run": 2,
        "seconds_of_training": 20.0,
        "best_validation_average_precision": 0.6,
    }


@pytest.fixture
def bundle_facts(exported):
    return json.loads((exported.path / "card.json").read_text())


def characteristics_of(patients):
    def units(images, lesions):
        return Units(images=images, lesions=lesions, patients=patients)

    every = {"train": units(8, 6), "val": units(4, 3), "test": units(4, 4)}
    few = {"train": units(2, 1), "val": units(0, 0), "test": units(1, 1)}
    sex = Characteristic(name="sex", levels=[Level(value="female", counts=every), Level(value="unknown", counts=few)])
    return Characteristics(all=every, malignant=few, age={}, columns=[sex], absent=["skin_type"])


def test_the_card_says_who_is_in_each_split_and_how_often_the_test_set_was_opened(bundle_facts, metrics):
    openings = [
        Opening(split="s", bundle=one * 64, commit="c" * 40, time=f"2026-11-28T0{k}:00:00Z")
        for k, one in enumerate("aba")
    ]
    card = shown(bundle_facts, Judged(metrics, openings=openings, table1=characteristics_of(None)))
    assert (
        "| malignant | 2 (25.0\N{NO-BREAK SPACE}%), 1 lesion | 0 (0.0\N{NO-BREAK SPACE}%), 0 lesions | 1 (25.0" in card
    )
    assert "| Sex: not recorded | 2 (25.0\N{NO-BREAK SPACE}%), 1 lesion |" in card
    assert "not in the table: skin type (Fitzpatrick)." in card
    assert "This test set has been opened 3 times, by 2 bundles:" in card
    assert "| 2026-11-28T01:00:00Z | `bbbbbbbbbbbb` | `cccccccccccccccccc` |" in card
    lesion = metrics.lesion_level
    assert f"Found: {lesion.confusion.tp} of {lesion.malignant} malignant lesions (probabilities of a lesion's" in card
    assert "The reporting checklist (TRIPOD+AI 2024, CLAIM 2024) is in the evaluation's report" in card
    assert "5 patients" in shown(bundle_facts, Judged(metrics, table1=characteristics_of(5)))


def test_the_card_has_the_counts_of_a_split_below_its_name_also_when_read_from_the_file(
    bundle_facts, metrics, tmp_path
):
    """Keys are sorted in the file: test, train, val."""
    characteristics_of(5).save(tmp_path / "characteristics.json")
    table1 = load_characteristics(tmp_path / "characteristics.json")
    card = shown(bundle_facts, Judged(metrics, table1=table1))
    header, _, every = card[card.index("| | training | validation | test |") :].splitlines()[:3]
    assert header == "| | training | validation | test |"
    assert [cell.strip()[:1] for cell in every.split("|")[2:5]] == ["8", "4", "4"]
    assert [cell.split(", ")[1] for cell in every.split("|")[2:5]] == ["6 lesions", "3 lesions", "4 lesions"]


def test_without_a_ledger_the_card_says_that_nobody_knows(bundle_facts, metrics):
    assert "No ledger was kept: how often this test set has been opened" in shown(bundle_facts, Judged(metrics))
    assert "ledger" not in shown(bundle_facts)


def test_skin_types_that_are_known_are_not_called_unknown(bundle_facts, metrics):
    assert "The data carries no skin-tone labels" in shown(bundle_facts, Judged(metrics))
    known = metrics.model_copy(update={"slices": [*metrics.slices, slice_row("skin_type", "2", 80, 20)]})
    assert "The data carries no skin-tone labels" not in shown(bundle_facts, Judged(known))


def test_a_model_chosen_from_several_says_from_which(exported):
    facts = read_json(exported.path / "card.json", "lesionflow.card/1")
    members = [{"name": f"seed {k}", "average_precision": 0.5 + k / 10, "roc_auc": 0.8} for k in range(3)]
    card = shown(facts | {"selection": {"members": members, "chosen": 2, "images": 24}})
    assert "### Chosen from 3 members" in card
    assert "| seed 2 | 0.8 | 0.7 | chosen |" in card
    assert card.count("chosen |") == 1
    assert "Chosen from" not in shown(facts)


def test_the_card_says_what_is_refused_and_that_a_bundle_from_before_checks_nothing(exported, judged):
    facts = json.loads((exported.path / "card.json").read_text())
    assert "Pictures that are not dermoscopy: not checked (0 readable training images" in shown(facts)
    before = {name: value for name, value in facts.items() if name != "refusal"}
    assert "not checked (made by a version that did not check)" in shown(before)
    share = estimate_of(0.002, 0.0, 0.005)
    refused = Refused(images=3, malignant=1, share=share, groups=2)
    card = shown(facts, Judged(judged.model_copy(update={"refused": refused})))
    assert "Of the test images, 3 of 1505 were refused\n  (1 malignant)" in card
