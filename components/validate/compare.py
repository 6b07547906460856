"""There and here: figures of the internal test beside the clinic's, and which part of the difference is case mix."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from components.common.artifacts.estimate import Estimate
from components.common.artifacts.policy import DecisionPolicy
from components.common.artifacts.scores import Scores
from components.common.artifacts.validation import (
    CaseMix,
    Compared,
    DiagnosisShare,
    Labelling,
    Size,
    Verdict,
)
from components.common.statistics.promise import judge
from components.common.statistics.resampling import group_codes
from components.common.statistics.transport import FIGURES, Drawn, Mix, Sample, draw, standardise

_DELTA = 0.05  # where the policy names none
_NONE = frozenset({"", "unknown", "nan", "none"})

Text = npt.NDArray[np.str_]


@dataclass(frozen=True)
class Place:
    """Scores of one place and their diagnoses, by common names; None where there are none."""

    scores: Scores
    diagnosis: Text | None


def common_names(values: Iterable[str], names: Mapping[str, Iterable[str]]) -> Text:
    """Diagnoses by their codes where the label policy has one for the name: `Melanoma` and `mel` are both mel.

    Args:
        values: as a table writes them.
        names: further names of each code, as the index records them with its label policy.
    """
    codes = {name: code for code, known in names.items() for name in (code, *known)}

    def one(value: str) -> str:
        text = " ".join(value.strip().lower().split())
        parts = [text, *(part.strip() for part in reversed(text.split("::")))]
        return next((codes[part] for part in parts if part in codes), text)

    return np.array([one(value) for value in values], dtype=np.str_)


def compare(
    here: Place, there: Place | None, policy: DecisionPolicy, resamples: int, seed: int
) -> tuple[list[Compared], CaseMix | None]:
    """Each figure in both places, their differences, and the same with the internal test's mix of diagnoses.

    Both are resampled from one seed, as evaluate does, so that the intervals of the internal test are those of its own
    report; `Drawn.minus` pairs resamples in opposite order, which keeps the two sets independent.
    """
    drawn = draw(_sample(here.scores, policy), resamples, seed)
    other = draw(_sample(there.scores, policy), resamples, seed) if there is not None else {}
    mix = _mix(here, there)
    weighted: dict[str, Drawn] = {}
    if mix is not None and mix[0].weight.any():
        weighted = draw(_sample(here.scores, policy, mix[0]), resamples, seed)

    def estimate(figures: Mapping[str, Drawn], name: str) -> Estimate | None:
        return Estimate.of(figures[name].interval()) if name in figures else None

    def difference(figures: Mapping[str, Drawn], name: str) -> Estimate | None:
        return Estimate.of(figures[name].minus(other[name])) if name in figures and name in other else None

    compared = [
        Compared(
            name=name,
            there=estimate(other, name),
            here=Estimate.of(drawn[name].interval()),
            difference=difference(drawn, name),
            standardised=estimate(weighted, name),
            standardised_difference=difference(weighted, name),
        )
        for name in FIGURES
    ]
    return compared, mix[1] if mix is not None else None


def _sample(scores: Scores, policy: DecisionPolicy, mix: Mix | None = None) -> Sample:
    codes, groups = group_codes(scores.group_id)
    return Sample(
        score=scores.logit,
        probability=scores.probability,
        positive=policy.decide(scores.decided_by(scores.logit)),
        label=scores.label,
        codes=codes,
        groups=groups,
        weight=mix.weight if mix is not None else None,
    )


def _mix(here: Place, there: Place | None) -> tuple[Mix, CaseMix] | None:
    if there is None or here.diagnosis is None or there.diagnosis is None:
        return None
    if set(here.diagnosis.tolist()) <= _NONE or set(there.diagnosis.tolist()) <= _NONE:
        return None
    mix = standardise(here.diagnosis, there.diagnosis)
    rows = []
    for name in sorted({*here.diagnosis.tolist(), *there.diagnosis.tolist()}):
        share, wanted = float((here.diagnosis == name).mean()), float((there.diagnosis == name).mean())
        rows.append(DiagnosisShare(diagnosis=name, there=wanted, here=share, weight=wanted / share if share else 0.0))
    rows.sort(key=lambda row: (-row.there, -row.here, row.diagnosis))
    return mix, CaseMix(diagnoses=rows, represented=mix.represented, effective=mix.effective)


def size_of(scores: Scores) -> Size:
    """How many images and groups the figures of one place rest on."""
    malignant = scores.label == 1
    return Size(
        images=len(scores),
        malignant=int(malignant.sum()),
        groups=len(np.unique(scores.group_id)),
        malignant_groups=len(np.unique(scores.group_id[malignant])),
    )


def verdict(scores: Scores, policy: DecisionPolicy, units: str) -> Verdict:
    """Whether the promised sensitivity holds, by the rule that made the promise: one image per malignant group.

    Args:
        scores: of the clinic's images.
        policy: the bundle's.
        units: what a group is, in the plural.
    """
    point = policy.operating_point
    target, delta = point.get("target_sensitivity"), float(point.get("delta") or _DELTA)
    first = scores.first_image_per_group()
    malignant = first.take(np.flatnonzero(first.label == 1))
    found, of = int(policy.decide(malignant.decided_by(malignant.logit)).sum()), len(malignant)
    said = judge(found, of, float(target) if target is not None else 0.5, delta)
    told = Verdict(
        answer=said.answer if target is not None else "nothing promised",
        sentence="",
        target=float(target) if target is not None else None,
        delta=delta,
        found=found,
        of=of,
        lower=said.lower,
        upper=said.upper,
        more=said.more if target is not None else None,
    )
    benign = scores.take(np.flatnonzero(scores.label == 0))
    # a model that predicts malignant for everything keeps any promise of sensitivity: both belong in one sentence
    clear = ~policy.decide(benign.decided_by(benign.logit))
    cleared = f"{int(clear.sum()):,} of {len(benign):,} benign images cleared"
    refused = int(malignant.not_dermoscopy.sum())  # a refused image goes to a person, so it is not missed
    were = "was" if refused == 1 else "were"
    sent = f" ({refused:,} of those found {were} refused as not dermoscopic, so a person decides)" if refused else ""
    said_plainly = f"{_sentence(told, str(point.get('policy', 'unknown')), units)}{sent}; {cleared}"
    return told.model_copy(update={"sentence": said_plainly})


def _sentence(told: Verdict, rule: str, units: str) -> str:
    """The answer, as the first screen says it."""
    counted = f"{told.found} of {told.of} malignant {units} found"
    if told.target is None:
        return f"The policy promises no sensitivity (rule {rule}); here {counted}"
    words = "promised" if rule == "lower_bound" else "target"
    promise, sure = f"{words} sensitivity of {told.target:.2f}", f"with {100 * (1 - told.delta):g} % confidence"
    if told.answer == "holds":
        return f"The {promise} holds here: {counted}, {sure} at least {told.lower:.2f}"
    if told.answer == "does not hold":
        return f"The {promise} does not hold here: {counted}, {sure} at most {told.upper:.2f}"
    return (
        f"{told.of} malignant {units} are too few to tell whether the {promise} holds ({counted}): {_more(told.more)}"
    )


def _more(more: int | None) -> str:
    if more is None:
        return "no realistic number of further ones would decide it, the rate is too close to the target"
    return f"{more:,} more would decide it, if found at the same rate"


def labelling(policy: str, here: Place, shown: Mapping[str, int]) -> Labelling:
    """What counts as malignant here, compared with what the bundle was trained on.

    Args:
        policy: name of the label policy of this table.
        here: labels and diagnoses.
        shown: label of each diagnosis the bundle was trained on, by common names; empty where unknown.
    """
    if here.diagnosis is None or not shown:
        return Labelling(policy=policy, unlike=[], unknown={})
    words = ("benign", "malignant")
    pairs = sorted(set(zip(here.diagnosis.tolist(), here.scores.label.tolist(), strict=True)))
    unlike = [
        f"{name}: {words[label]} here, {words[shown[name]]} in training"
        for name, label in pairs
        if name in shown and shown[name] != label
    ]
    unknown = {
        name: int((here.diagnosis == name).sum()) for name, _ in pairs if name not in shown and name not in _NONE
    }
    return Labelling(policy=policy, unlike=unlike, unknown=unknown)
