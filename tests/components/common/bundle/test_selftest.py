"""The generated image that travels with a bundle."""

import json

import numpy as np

from components.common.bundle.selftest import generated_image, run_selftest


def test_generated_images_are_repeatable_and_differ_by_seed():
    first = generated_image(0, 60, 80)
    assert first.shape == (60, 80, 3)
    assert first.dtype == np.uint8
    np.testing.assert_array_equal(first, generated_image(0, 60, 80))
    assert (first != generated_image(1, 60, 80)).any()


def test_the_bundle_gives_its_recorded_answer_again(bundle, exported):
    record = json.loads((exported.path / "selftest.json").read_text())
    figures = run_selftest(bundle)
    assert figures.recorded_logit == record["logit"]
    assert abs(figures.received_logit - record["logit"]) < 1e-5
    assert record["status"] == "ok"
