"""metrics.json as a typed model."""

import json

import pytest
from pydantic import ValidationError

from components.common.artifacts.estimate import Estimate
from components.common.artifacts.metrics import FIGURES, load_metrics, plain
from components.common.runtime.errors import ArtifactError


def test_what_is_written_is_read_and_written_again_byte_for_byte(metrics, tmp_path):
    metrics.save(tmp_path / "a.json")
    again = load_metrics(tmp_path / "a.json")
    again.save(tmp_path / "b.json")
    assert again == metrics
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def test_every_figure_is_found_by_its_name_in_the_file(metrics, tmp_path):
    metrics.save(tmp_path / "metrics.json")
    record = json.loads((tmp_path / "metrics.json").read_text())
    for name in FIGURES:
        assert plain(metrics.figure(name)) == record[name]
        assert plain(metrics.lesion_level.figure(name)) == record["lesion_level"][name]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda r: r.pop("roc_auc"), "roc_auc: missing"),
        (lambda r: r.update(n="812"), "n: Input should be a valid integer"),
        (lambda r: r["roc_auc"].update(value="0.9"), "roc_auc.value: Input should be a valid number"),
        (lambda r: r["roc_auc"].update(valeu=0.9), "roc_auc.valeu: Extra inputs are not permitted"),
        (lambda r: r["slices"][0].update(status="fine"), "slices.0.status: Input should be 'ok' or 'insufficient'"),
        (lambda r: r.update(slices={}), "slices: Input should be a valid list"),
        (lambda r: r["confusion"].update(tp=-1), "confusion.tp: Input should be greater than or equal to 0"),
    ],
)
def test_a_damaged_file_is_refused_by_the_field(metrics, tmp_path, change, said):
    metrics.save(tmp_path / "metrics.json")
    record = json.loads((tmp_path / "metrics.json").read_text())
    change(record)
    (tmp_path / "metrics.json").write_text(json.dumps(record))
    with pytest.raises(ArtifactError) as error:
        load_metrics(tmp_path / "metrics.json")
    assert f"metrics.json: {said}" in str(error.value)
    assert "evaluate the bundle again" in str(error.value)


def test_a_figure_that_is_not_finite_is_refused_where_it_is_made():
    with pytest.raises(ValidationError, match="finite number"):
        Estimate(value=float("nan"), lower=None, upper=None)
