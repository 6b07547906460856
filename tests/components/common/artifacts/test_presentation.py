"""How figures and foreign text are written for people."""

import pytest

from components.common.artifacts.estimate import Estimate
from components.common.artifacts.metrics import FIGURES
from components.common.artifacts.presentation import (
    NAMES,
    estimate_text,
    heading,
    markdown_code,
    markdown_text,
    percent_text,
)


def test_every_figure_has_one_name_and_no_two_share_it():
    assert set(NAMES) == set(FIGURES)
    assert len(set(NAMES.values())) == len(FIGURES)
    assert heading("number_needed_to_biopsy") == "Referrals per malignant lesion found"
    assert heading("roc_auc") == "ROC-AUC"


def test_values_are_written_with_their_interval():
    assert estimate_text(Estimate(value=0.8761, lower=0.85, upper=0.9)) == "0.876 (0.850 to 0.900)"
    assert estimate_text(Estimate(value=0.5, lower=None, upper=None)) == "0.500"
    assert estimate_text(Estimate(value=None, lower=None, upper=None)) == estimate_text(None) == "\N{EN DASH}"
    assert estimate_text(Estimate(value=0.01, lower=-0.01, upper=0.02), "{:+.3f}") == "+0.010 (-0.010 to +0.020)"
    assert percent_text(0.622) == "62.2\N{NO-BREAK SPACE}%"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("clinic a|clinic b", r"clinic a\|clinic b"),
        ("<img src=x onerror=alert(1)>", "&lt;img src=x onerror=alert(1)&gt;"),
        ("a & b", "a &amp; b"),
        ("*bold* `code` [link](x)", r"\*bold\* \`code\` \[link\](x)"),
        ("one\ntwo\r\x1b[31m\u202e", r"one two  \[31m "),
        ("lower_bound", "lower_bound"),
    ],
)
def test_foreign_text_is_shown_by_markdown_as_it_is(text, shown):
    assert markdown_text(text) == shown


def test_code_cannot_be_left_by_a_backtick():
    assert markdown_code("a`b|c\nd") == r"`a'b\|c d`"
