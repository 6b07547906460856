import numpy as np
import pytest

from components.calibrate.selection import Candidate, cross_fit, fold_of, pick, reason
from components.common.artifacts.scores import Scores
from components.common.runtime.errors import DataError
from components.common.statistics.numeric import sigmoid
from components.common.statistics.reliability import calibration_error, calibration_error_null
from components.common.statistics.resampling import group_codes


@pytest.mark.parametrize("folds", [2, 5, 10])
def test_folds_share_no_group_and_hold_malignant_groups_evenly(sim, folds):
    scores = sim(400, 0)
    codes, groups = group_codes(scores.group_id)
    fold = fold_of(scores, folds, 3)
    for group in range(groups):
        assert len(set(fold[codes == group])) == 1
    per_fold = [len(set(codes[(fold == k) & (scores.label == 1)])) for k in range(folds)]
    assert max(per_fold) - min(per_fold) <= 1


def test_too_few_malignant_groups_for_the_folds_is_one_clear_error(sim):
    scores = sim(400, 0)
    keep = (scores.label == 0) | np.isin(scores.group_id, np.unique(scores.group_id[scores.label == 1])[:3])
    few = scores.take(np.flatnonzero(keep))
    with pytest.raises(DataError, match="3 malignant groups, expected at least 5"):
        cross_fit(few, 0.0, 5, 0)


def test_the_offset_alone_wins_when_only_class_weights_are_wrong(exact):
    found = cross_fit(exact(4000, 0, weight=4.12), float(np.log(4.12)), 5, 0)
    by_name = {c.name: c for c in found}
    assert by_name["offset"].log_loss < by_name["none"].log_loss - 0.05
    assert by_name["offset"].excess < 0.002
    assert found[0].log_loss == min(c.log_loss for c in found)


@pytest.mark.parametrize("weight", [1, 2, 4.12, 8])
def test_auto_gives_probabilities_within_the_null_band_on_simulated_scores(exact, weight):
    from components.calibrate.fitting import fit_calibrator

    val, test = exact(2000, 5, weight=weight, stretch=1.6), exact(3000, 6, weight=weight, stretch=1.6)
    chosen = pick(cross_fit(val, float(np.log(weight)), 5, 0)).name
    fitted = fit_calibrator(chosen, val.logit, val.label.astype(float), float(np.log(weight)))
    p = fitted.probability(test.logit)
    y = test.label.astype(float)
    # the fit itself has sampling error on top of the null's
    assert calibration_error(y, p) <= 1.3 * np.quantile(calibration_error_null(p), 0.95)
    assert calibration_error(y, sigmoid(test.logit)) > calibration_error(y, p)


def test_isotonic_needs_to_win_by_more_than_a_standard_error():
    isotonic, platt = Candidate("isotonic", 0.30, 0.0, 0.0), Candidate("platt", 0.31, 0.01, 0.02)
    assert pick([isotonic, platt]).name == "platt"
    assert "within one standard error" in reason([isotonic, platt], "platt", "auto")
    clear = Candidate("platt", 0.40, 0.10, 0.02)
    assert pick([isotonic, clear]).name == "isotonic"


def test_the_reason_names_the_numbers():
    first, second = Candidate("platt", 0.3001, 0.0, 0.0), Candidate("beta", 0.3051, 0.005, 0.001)
    text = reason([first, second], "platt", "auto")
    assert "platt (0.3001)" in text
    assert "more than twice its standard error 0.0010" in text
    assert reason([first, second], "beta", "beta").startswith("beta was requested (cross-fitted log loss 0.3051")


def test_a_calibrator_that_cannot_be_fitted_is_listed_with_its_reason(exact):
    scores = exact(600, 1)
    turned = Scores(**{**{k: getattr(scores, k) for k in scores.__dataclass_fields__}, "logit": -scores.logit})
    found = {c.name: c for c in cross_fit(turned, 0.0, 5, 0)}
    assert found["platt"].log_loss is None
    assert "does not rank" in found["platt"].note
