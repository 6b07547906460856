import re
from html.parser import HTMLParser

import numpy as np
import pytest

from components.common.artifacts.estimate import Estimate
from components.common.artifacts.metrics import Confusion, load_metrics
from components.common.artifacts.records_manifest import Lost, RecordsManifest
from components.common.artifacts.scores import load_scores
from components.common.artifacts.split import SplitRecord
from components.evaluate.__main__ import main
from components.evaluate.checklist import AUTHOR, checklist
from components.evaluate.drawings import interval_svg, scale_svg, thousand_svg
from components.evaluate.report import _spell
from components.evaluate.summary import per_thousand, per_thousand_ranges


def estimate(value, lower=None, upper=None):
    return Estimate(value=value, lower=lower, upper=upper)


def test_an_interval_and_the_counts_behind_it_have_one_way_to_be_written():
    small = '<span class="ci"> {}</span>'
    assert _spell(estimate(0.966, 0.89, 1), "{:.2f}", "29/30") == "0.97" + small.format("29/30 (0.89 to 1.00)")
    assert _spell(estimate(0.861, 0.75, 0.95)) == "0.861" + small.format("(0.750 to 0.950)")
    assert _spell(estimate(0.5), "{:.2f}", "1/2") == "0.50" + small.format("1/2")
    assert _spell(estimate(0.5)) == "0.500"


@pytest.fixture
def html(saved, tmp_path):
    arguments = ["--probs", saved / "test_probs.npz", "--policy", saved / "decision_policy.json", "--resamples", 200]
    gate = ["--gate", "auc >= 0.5", "auc >= 0.999"]
    assert main([str(a) for a in ("report", *arguments, *gate, "--out", tmp_path / "out")]) == 0
    return (tmp_path / "out" / "report.html").read_text()


class Strict(HTMLParser):
    """Collects references and unbalanced tags."""

    VOID = ("meta", "img", "br", "path", "circle", "use", "rect", "link", "input")

    def __init__(self):
        super().__init__()
        self.open, self.wrong, self.refs, self.tags = [], [], [], set()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.refs += [v for k, v in attrs if k in ("src", "href", "xlink:href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.add(tag)
        self.refs += [v for k, v in attrs if k in ("src", "href", "xlink:href")]

    def handle_endtag(self, tag):
        if tag in self.VOID:
            return
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)


def test_the_file_needs_nothing_from_outside_and_no_script(html):
    page = Strict()
    page.feed(html)
    assert page.wrong == []
    assert page.open == []
    assert not {"script", "link", "iframe"} & page.tags
    assert all(ref.startswith("data:image/") for ref in page.refs if not ref.startswith("#"))
    assert all(f'id="{ref[1:]}"' in html for ref in page.refs if ref.startswith("#"))
    assert "@import" not in html
    assert "url(" not in html.replace("url(#", "")


def test_every_figure_and_section_is_there(html):
    for label in ("ROC curve", "Precision-recall", "Histogram", "Reliability", "Decision curve", "over the threshold"):
        assert f'aria-label="{label}' in html or re.search(f'aria-label="[^"]*{label}', html), label
    for words in (
        "In plain words",
        "Release gate",
        "too few (n =",
        "Before you trust this",
        "Shortcuts: how well can the label be guessed without the image?",
        "skin-tone",
        "TRIPOD",
    ):
        assert words in html
    assert "nan" not in re.sub(r"<svg.*?</svg>|[a-z]*nan[a-z]+", "", html, flags=re.DOTALL)
    assert html.count('bad">missed<') == 1
    assert "@media print" in html
    assert "width=device-width" in html


def test_text_from_the_table_cannot_become_markup(saved, tmp_path):
    from components.common.artifacts.scores import load_extra, load_scores, save_scores

    columns = load_extra(saved / "test_probs.npz")
    columns["sex"] = columns["sex"].astype("<U40")
    columns["sex"][:40] = "<script>alert(1)</script>"
    save_scores(saved / "test_probs.npz", load_scores(saved / "test_probs.npz"), columns)
    arguments = ["--probs", saved / "test_probs.npz", "--policy", saved / "decision_policy.json", "--resamples", 200]
    assert main([str(a) for a in ("report", *arguments, "--out", tmp_path / "out")]) == 0
    html = (tmp_path / "out" / "report.html").read_text()
    assert "<script>" not in html
    assert "&lt;script&gt;" in html


@pytest.mark.parametrize(
    ("tp", "fn", "fp", "tn"), [(150, 7, 289, 554), (1, 0, 0, 2), (0, 3, 0, 0), (333, 334, 333, 1), (5, 5, 5, 1490)]
)
def test_the_thousand_add_up(tp, fn, fp, tn):
    k = per_thousand(Confusion(tp=tp, fn=fn, fp=fp, tn=tn))
    counts = (k.found, k.missed, k.false_positives, k.cleared)
    assert sum(counts) == 1000
    assert min(counts) >= 0
    squares = thousand_svg([(count, "#000") for count in counts], "x")
    assert squares.count("z") == 1000


def test_how_far_the_thousand_may_be_off_holds_the_thousand():
    k = per_thousand(Confusion(tp=36, fn=0, fp=109, tn=82))
    found = per_thousand_ranges(k, estimate(1.0, 0.903, 1.0), estimate(0.43, 0.356, 0.5))
    assert found.missed == (0, 15)
    assert found.found == (144, 159)
    assert found.false_positives == (421, 542)
    assert per_thousand_ranges(k, estimate(1.0), estimate(0.43)).missed == (0, 0)


def test_a_forest_row_lies_on_its_scale():
    svg = interval_svg(estimate(0.5, 0.25, 1.0), enough=True)
    assert 'cx="60.0"' in svg
    assert "M32.0 8H116.0" in svg
    assert "stroke-dasharray" not in svg
    assert interval_svg(estimate(None), enough=True) == ""
    compared = interval_svg(estimate(0.5), enough=False, overall=0.75)
    assert 'd="M88.0 0v16"' in compared
    assert "H" not in compared.replace("viewBox", "")
    assert scale_svg().count("<text") == 3


def test_the_checklist_answers_what_the_artifacts_know(saved, tmp_path):
    arguments = ["--probs", saved / "test_probs.npz", "--policy", saved / "decision_policy.json", "--resamples", 200]
    assert main([str(a) for a in ("report", *arguments, "--out", tmp_path / "out")]) == 0
    metrics = load_metrics(tmp_path / "out" / "metrics.json")
    bare = {item.topic: item for item in checklist(metrics, None, {})}
    assert bare["Model and training"].answer == AUTHOR
    training = {
        "model": {"architecture": "resnet50", "parameters": 10},
        "training_config": {"epochs": 3, "class_balance": "none"},
    }
    full = {item.topic: item for item in checklist(metrics, None, {"training": training})}
    assert full["Model and training"].answer == "resnet50, 10 parameters, at most 3 epochs"
    assert full["Class imbalance"].answer == "none: the loss is not weighted"
    assert bare["Class imbalance"].answer == bare["Training against evaluation data"].answer == AUTHOR
    assert full["Funding"].open
    assert "rosendahl" in full["Sources of the data"].answer


def test_a_flood_of_values_and_lost_images_leaves_a_report_of_bounded_size(saved, tmp_path):
    """Every part that grows with the data is cut: slices, lists, curves; the rest is fixed."""
    from components.common.artifacts.json_file import write_json
    from components.common.artifacts.scores import load_extra, load_scores, save_scores
    from components.evaluate.context import SCHEMA, data_quality

    scores, columns = load_scores(saved / "test_probs.npz"), load_extra(saved / "test_probs.npz")
    for name in ("localization", "dx", "dataset"):
        columns[name] = np.array([f"{name} {k}" for k in range(len(scores))])
    save_scores(saved / "test_probs.npz", scores, columns)
    lost = [{"image_id": f"x{k}", "split": "train", "label": 0, "reason": "missing"} for k in range(20_000)]
    manifest = RecordsManifest(None, 95, {}, {}, {}, [Lost(**one) for one in lost], 0, {})
    pairs = [[f"a{k}", f"b{k}"] for k in range(20_000)]
    table = {f"site {k}": {"test": {"images": 1, "share": 0.1}} for k in range(20_000)}
    audit = {
        "near_duplicates": {"pairs": 20_000, "crossing": 20_000, "crossing_pairs": pairs},
        "tables": {"site": table},
    }
    split = SplitRecord("test", 0, "a" * 64, {}, audit=audit, warnings=["one group of <b> holds 600 of 700 images"])
    quality = data_quality(manifest, lost, lost, split)
    write_json(saved / "context.json", {"schema": SCHEMA, "data": quality})
    arguments = ["--probs", saved / "test_probs.npz", "--policy", saved / "decision_policy.json", "--resamples", 200]
    assert main([str(a) for a in ("report", *arguments, "--out", tmp_path / "out")]) == 0
    assert (tmp_path / "out" / "report.html").stat().st_size < 1_000_000
    assert "<li>one group of &lt;b&gt; holds 600 of 700 images</li>" in (tmp_path / "out" / "report.html").read_text()


TRIPOD = {
    *map(str, (1, 2, 4, 7, 10, 11, 13, 14, 15, 16, 17, 19, 21, 22, 24, 25, 26)),
    *("3a", "3b", "3c", "5a", "5b", "6a", "6b", "6c", "8a", "8b", "8c", "9a", "9b", "9c"),
    *("12a", "12b", "12c", "12d", "12e", "12f", "12g", "18a", "18b", "18c", "18d", "18e", "18f"),
    *("20a", "20b", "20c", "23a", "23b", "27a", "27b", "27c"),
}


def test_the_checklist_has_every_item_of_both_guidelines_once(metrics):
    items = checklist(metrics, None, {})
    tripod = [number for item in items for number in item.tripod.split(", ") if number]
    claim = [number for item in items for number in item.claim.split(", ") if number]
    assert sorted(tripod) == sorted(TRIPOD)
    assert sorted(map(int, claim)) == list(range(1, 45))


def test_both_units_stand_in_the_headline_and_the_own_prevalence_in_the_last_row(html, saved):
    scores = load_scores(saved / "test_probs.npz")
    malignant = len(np.unique(scores.lesion_id[scores.label == 1]))
    assert re.search(rf"<b>\d+ of {malignant} malignant lesions</b>", html)
    assert re.search(rf"<b>\d+ of {int(scores.label.sum())} malignant images</b>", html)
    own = re.search(r'<tr class="own">.*?</tr>', html, re.DOTALL)[0]
    assert "this test" in own
    assert "cancer" not in html.lower().replace("skin-cancer", "")


def test_figures_that_cannot_exist_are_dashes(html):
    row = re.search(r'<tr><th scope="row">nv \(melanocytic nevus\)</th>.*?</tr>', html, re.DOTALL)[0]
    assert row.count("&ndash;") == 2  # no malignant image: no sensitivity, no ROC-AUC
