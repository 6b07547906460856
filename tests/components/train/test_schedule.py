import math

import pytest

from components.train.schedule import RunState, learning_rate


def rates(config, steps=10):
    out = []
    for epoch in range(config.epochs):
        state = RunState(epoch=epoch)
        out += [learning_rate(config, state, step, steps) for step in range(steps)]
    return out


def test_cosine_warms_up_to_the_peak_and_falls_to_almost_zero(tiny):
    config = tiny(epochs=4, warmup_epochs=1.0, learning_rate=0.01)
    course = rates(config)
    assert course[0] == pytest.approx(0.01 / 11)
    assert course[10] == pytest.approx(0.01)
    assert course[:10] == sorted(course[:10])
    assert course[10:] == sorted(course[10:], reverse=True)
    assert course[-1] < 0.0001
    assert course[25] == pytest.approx(0.01 * 0.5 * (1 + math.cos(math.pi * 0.5)))


def test_plateau_lowers_after_patience_and_starts_counting_again(tiny):
    config = tiny(schedule="plateau", warmup_epochs=0, plateau_factor=0.5, plateau_patience=2, learning_rate=0.01)
    state = RunState()
    course = []
    for value in (0.5, 0.4, 0.4, 0.4, 0.4, 0.6):
        state.epoch += 1
        state.judge(value, config)
        course.append(learning_rate(config, state, 0, 10))
    assert course == pytest.approx([0.01, 0.01, 0.005, 0.005, 0.0025, 0.0025])
    assert (state.best, state.best_epoch, state.wait) == (0.6, 6, 0)


def test_early_stopping_counts_epochs_since_the_best(tiny):
    config = tiny(early_stopping_patience=2)
    state = RunState()
    stops = []
    for value in (0.5, 0.5, 0.4):  # an equal value is no progress
        state.epoch += 1
        state.judge(value, config)
        stops.append(state.stops_early(config))
    assert stops == [False, False, True]
    assert not state.stops_early(tiny(early_stopping_patience=0))


def test_a_divergence_lowers_every_later_rate(tiny):
    config, state = tiny(), RunState(epoch=1)
    before = learning_rate(config, state, 3, 10)
    state.lower_after_divergence()
    assert learning_rate(config, state, 3, 10) == pytest.approx(before / 10)
    assert state.recoveries == 1
