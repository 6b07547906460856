"""Colours that stand together are told apart by everybody, and text is read on what is behind it."""

import re
from pathlib import Path

import numpy as np
import pytest
from colorspacious import cspace_convert, deltaE

from components.common.runtime.svg import ALARM, BENIGN, GRID, INK, MALIGNANT, MODEL, MUTED
from components.evaluate import report

CSS = (Path(report.__file__).parent / "templates" / "report.css").read_text()
WHITE = "#ffffff"
# each pair that one figure shows beside each other, where nothing but the colour says which is which
TOGETHER = {
    "found, missed": (MODEL, MALIGNANT),
    "found, false positive": (MODEL, ALARM),
    "missed, false positive": (MALIGNANT, ALARM),
    "false positive, cleared": (ALARM, GRID),
    "missed, cleared": (MALIGNANT, GRID),
    "histogram": (BENIGN, MALIGNANT),
    "sensitivity, specificity": (MALIGNANT, BENIGN),
    "sensitivity, predicted positive rate": (MALIGNANT, MUTED),
    "specificity, predicted positive rate": (BENIGN, MUTED),
    "model, refer everybody": (MODEL, MALIGNANT),
    "model, refer nobody": (MODEL, INK),
    "training loss, validation loss": (MUTED, MODEL),
    "ROC-AUC, average precision": (BENIGN, MODEL),
}
SEEN_AS = ("normal", "deuteranomaly", "protanomaly", "tritanomaly")


def rgb(colour):
    return np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])


def seen(colour, kind):
    """What somebody without one kind of cones sees (Machado 2009, severity 100)."""
    if kind == "normal":
        return rgb(colour)
    space = {"name": "sRGB1+CVD", "cvd_type": kind, "severity": 100}
    return np.clip(cspace_convert(rgb(colour), space, "sRGB1"), 0, 1)


def contrast(one, other):
    """WCAG 2's ratio of luminances, 1 to 21."""
    linear = [np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4) for c in (rgb(one), rgb(other))]
    low, high = sorted(float(c @ [0.2126, 0.7152, 0.0722]) for c in linear)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("kind", SEEN_AS)
@pytest.mark.parametrize("pair", TOGETHER.values(), ids=TOGETHER)
def test_colours_that_stand_together_are_told_apart(pair, kind):
    # in CAM02-UCS a difference of 1 is just seen when two fields touch; magenta and green, seen as one, were at 3
    assert deltaE(*(seen(one, kind) for one in pair), input_space="sRGB1") >= 14


@pytest.mark.parametrize("colour", [INK, MUTED, MODEL, MALIGNANT, BENIGN])
def test_lines_are_seen_on_white(colour):
    assert contrast(colour, WHITE) >= 3  # WCAG 1.4.11; light squares have an outline of MUTED


def rules():
    """(text, background) of every rule of the style sheet that sets both, and of text on white."""
    for selector, body in re.findall(r"([^{}]+)\{([^{}]*)\}", CSS):
        text = re.search(r"(?<![-\w])color:\s*(#[0-9a-f]{6}|#[0-9a-f]{3})\b", body)
        behind = re.search(r"background:\s*(#[0-9a-f]{6}|#[0-9a-f]{3})\b", body)
        if text:
            yield selector.strip().splitlines()[-1], full(text[1]), full(behind[1]) if behind else WHITE


def full(colour):
    return colour if len(colour) == 7 else "#" + "".join(2 * mark for mark in colour[1:])


def test_text_is_read_on_what_is_behind_it():
    found = list(rules())
    assert len(found) > 15
    assert [(one, round(contrast(text, back), 2)) for one, text, back in found if contrast(text, back) < 4.5] == []
