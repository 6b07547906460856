"""The record of where every row of the table went."""

import json

import pytest
from pydantic import ValidationError

from components.common.artifacts.lineage import (
    NOTHING,
    Counts,
    Groups,
    Left,
    Lineage,
    NearDuplicates,
    Part,
    load_lineage,
)
from components.common.runtime.errors import ArtifactError


def counts(malignant, benign, unlabelled=0):
    return Counts(images=malignant + benign + unlabelled, malignant=malignant, benign=benign, unlabelled=unlabelled)


def part(malignant, benign, unusable=()):
    gone = sum((left.counts for left in unusable), NOTHING)
    usable = counts(malignant - gone.malignant, benign - gone.benign)
    return Part(assigned=counts(malignant, benign), unusable=list(unusable), usable=usable, lost_in_records=NOTHING)


GROUPS = Groups(known=True, joined_by=["lesion"], count=79, patients_across_splits=None, contradictions=0)


@pytest.fixture
def lineage():
    corrupt = Left(reason="corrupt", counts=counts(1, 0), diagnoses={"mel": 1})
    return Lineage(
        table=counts(40, 60, 5),
        lesions=80,
        groups=GROUPS,
        generated=0,
        malignant_diagnoses=["mel"],
        dropped=[Left(reason="unknown_diagnosis", counts=counts(0, 0, 5), diagnoses={"melanoma": 5})],
        undivided=NOTHING,
        parts={"train": part(20, 40), "val": part(10, 10), "test": part(10, 10, [corrupt])},
        near_duplicates=NearDuplicates(pairs=3, between_lesions=1, crossing=0),
        unread=[Left(reason="too_small", counts=counts(0, 2), diagnoses={"nv": 2})],
        read=counts(9, 8),
    )


def test_it_comes_back_as_it_was(lineage, tmp_path):
    lineage.save(tmp_path / "lineage.json")
    assert load_lineage(tmp_path / "lineage.json") == lineage
    assert load_lineage(tmp_path / "absent.json") is None
    assert lineage.unusable == counts(1, 0)
    assert lineage.usable == counts(39, 60)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda r: r["table"].update(images=104, malignant=39), "do not add up to the 104 of the table"),
        (lambda r: r["read"].update(images=18, benign=9), "do not add up to 19 of test"),
        (lambda r: r["parts"]["val"]["usable"].update(images=19, benign=9), "do not add up to 20 assigned ones"),
        (lambda r: r["read"].update(images=18), "18 images are not 9 \\+ 8 \\+ 0"),
        (lambda r: r["parts"].update(more=r["parts"]["val"]), "parts.more"),
        (lambda r: r.pop("groups"), "groups: missing"),
    ],
)
def test_counts_that_do_not_add_up_are_refused(lineage, tmp_path, change, said):
    lineage.save(tmp_path / "lineage.json")
    record = json.loads((tmp_path / "lineage.json").read_text())
    change(record)
    (tmp_path / "lineage.json").write_text(json.dumps(record))
    with pytest.raises(ArtifactError, match=said):
        load_lineage(tmp_path / "lineage.json")


def test_images_cannot_be_counted_below_nothing():
    with pytest.raises(ValidationError):
        counts(-1, 2)
