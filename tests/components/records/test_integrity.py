import logging

import pytest

from components.common.runtime.errors import DataError
from components.records.integrity import LossLog, Lost, Tally, refuse_loss, refuse_rate, total


@pytest.mark.parametrize(
    ("expected", "found", "stops"),
    [
        ((8000, 2000), (7950, 1988), False),  # 0.62 % of both
        ((8000, 2000), (8000, 1995), True),  # five, all malignant
        ((8000, 2000), (8000, 1996), False),  # four: too few to say
        ((8000, 2000), (7900, 1990), True),  # benign thinned
        ((8000, 2000), (8000, 2000), False),
    ],
)
def test_loss_that_differs_between_classes_stops(expected, found, stops):
    tally = Tally(expected, found)
    if stops:
        with pytest.raises(DataError, match=r"benign \d+ of 8000 .*malignant \d+ of 2000 .*Fisher exact p ="):
            refuse_loss(tally, 5.0)
    else:
        refuse_loss(tally, 5.0)


def test_the_limit_itself_is_allowed():
    refuse_rate(Tally((80, 20), (76, 19)), 5.0)
    with pytest.raises(DataError, match=r"6 of 100 images lost \(6.00 %\), more than max_lost_pct 5"):
        refuse_rate(Tally((80, 20), (75, 19)), 5.0)


def test_tallies_add_up():
    assert total([Tally((1, 2), (1, 1)), Tally((3, 4), (2, 4))]) == Tally((4, 6), (3, 5))


def test_lost_images_are_logged_in_batches_while_it_happens(caplog):
    with caplog.at_level(logging.WARNING):
        losses = LossLog()
        for i in range(250):
            losses.add(Lost(f"im{i}", "train", 0, "missing: gone"))
        assert len(caplog.messages) == 2
        losses.flush()
        losses.flush()
    assert caplog.messages[0].startswith("100 images lost in train: im0 (missing: gone), im1 ")
    assert caplog.messages[0].endswith("and 95 more")
    assert caplog.messages[2].startswith("50 images lost in train: im200 ")
