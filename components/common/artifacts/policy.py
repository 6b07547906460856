"""The decision policy: from a raw logit to a probability and a decision.

`decision_policy.json` is the only place where a threshold lives. Calibrate writes it; export bakes it
into the serving graph; evaluate reads it. The decision is taken on the raw logit, which calibration
only relabels: every calibrator here is monotone, so both scales give the same decision.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, Strict

from components.common.artifacts.folder import sha256_bytes
from components.common.artifacts.json_file import (
    Document,
    Number,
    Sha256,
    dump_json,
    read_json,
    read_record,
    shown,
    write_json,
)
from components.common.runtime.errors import ArtifactError
from components.common.statistics.numeric import Floats, logit_of, sigmoid

SCHEMA = "lesionflow.decision_policy/1"
CALIBRATORS = ("none", "offset", "temperature", "platt", "beta", "isotonic")
FILE = "decision_policy.json"
MOST_SITE = 80  # characters in the name of a site
_AGAIN = "make it again with `python -m components.calibrate`"
_ROUNDING = 1e-9  # between the mathematical libraries of two machines
# parameters of each rule for the operating point
ASKED: Mapping[str, tuple[str, ...]] = {
    "lower_bound": ("target_sensitivity", "delta"),
    "point": ("target_sensitivity",),
    "cost": ("cost_ratio",),
    "youden": (),
    "kept": (),  # the threshold of the parent policy, when a bundle is adjusted for another site
}
_NEEDED = {"temperature": ("t",), "platt": ("a", "b"), "beta": ("a", "b", "c"), "isotonic": ("x", "y")}

Share = Annotated[float, Strict(), Field(ge=0, le=1)]
Inside = Annotated[float, Strict(), Field(gt=0, lt=1)]
_Whole = Annotated[int, Strict(), Field(ge=1)]


@dataclass(frozen=True)
class Calibrator:
    """A monotone map from a raw logit s to P(malignant). `u = s - offset` undoes known class weights.

    By name, with parameters:
        none: sigmoid(s), offset 0.
        offset: sigmoid(u).
        temperature: sigmoid(u / t), t > 0 (Guo 2017).
        platt: sigmoid(a u + b), a > 0 (Platt 1999).
        beta: sigmoid(a ln q - b ln(1 - q) + c) with q = sigmoid(u), a, b >= 0 (Kull 2017).
        isotonic: x, y: piecewise linear in u between knots, constant outside (Niculescu-Mizil 2005).

    Attributes:
        name: one of `CALIBRATORS`.
        offset: ln(w1 / w0) of the class weights used in training.
        parameters: the fitted numbers named above.
    """

    name: str
    offset: float = 0.0
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.name not in CALIBRATORS:
            raise ArtifactError(f"calibrator {shown(self.name)} is unknown; known are {', '.join(CALIBRATORS)}")
        needed = _NEEDED.get(self.name, ())
        if sorted(self.parameters) != sorted(needed):
            raise ArtifactError(
                f"calibrator {self.name} has parameters {shown(sorted(self.parameters))}, expected {sorted(needed)}"
            )
        if not self._monotone():
            raise ArtifactError(
                f"calibrator {self.name} with {shown(dict(self.parameters))} and offset {self.offset} is not a "
                "monotone map from logit to probability: calibrate the model again"
            )

    def _monotone(self) -> bool:
        p = {name: np.asarray(value, np.float64) for name, value in self.parameters.items()}
        if not all(np.isfinite(v).all() for v in (*p.values(), np.asarray(self.offset, np.float64))):
            return False
        if self.name == "isotonic":
            x, y = p["x"], p["y"]
            knots = x.ndim == y.ndim == 1 and len(x) == len(y) > 0 and bool((np.diff(x) >= 0).all())
            return knots and bool((np.diff(y) >= 0).all() and y[0] >= 0 and y[-1] <= 1)
        if any(value.ndim for value in p.values()):
            return False
        if self.name == "beta":
            return bool(p["a"] >= 0 and p["b"] >= 0)
        return all(bool(p[name] > 0) for name in ("t", "a") if name in p)

    def probability(self, logit: Floats) -> Floats:
        """P(malignant) for raw logits of any shape, in [0, 1]."""
        u = np.asarray(logit, np.float64) - (0.0 if self.name == "none" else self.offset)
        p = self.parameters
        if self.name == "temperature":
            return sigmoid(u / p["t"])
        if self.name == "platt":
            return sigmoid(p["a"] * u + p["b"])
        if self.name == "beta":
            # ln sigmoid(u) = -softplus(-u), exact where sigmoid itself saturates
            return sigmoid(-p["a"] * np.logaddexp(0.0, -u) + p["b"] * np.logaddexp(0.0, u) + p["c"])
        if self.name == "isotonic":
            return np.asarray(np.interp(u, p["x"], p["y"]), np.float64)
        return sigmoid(u)

    def recalibrated(self, intercept: float, slope: float) -> Calibrator:
        """The calibrator whose logit is `intercept + slope * (logit of this one's probability)` (Cox 1958).

        Exact for every calibrator but isotonic, whose knots are moved: between two knots it stays linear in
        probability.

        >>> Calibrator("temperature", 0.5, {"t": 2.0}).recalibrated(0.1, 0.8)
        Calibrator(name='platt', offset=0.5, parameters={'a': 0.4, 'b': 0.1})
        """
        p = self.parameters
        if self.name == "isotonic":
            moved = sigmoid(intercept + slope * logit_of(np.asarray(p["y"])))
            return Calibrator("isotonic", self.offset, {"x": list(p["x"]), "y": [float(y) for y in moved]})
        if self.name == "beta":
            scaled = {name: slope * p[name] for name in ("a", "b")}
            return Calibrator("beta", self.offset, {**scaled, "c": intercept + slope * p["c"]})
        a, b = {"temperature": (1 / p.get("t", 1.0), 0.0), "platt": (p.get("a", 1.0), p.get("b", 0.0))}.get(
            self.name, (1.0, 0.0)
        )
        return Calibrator("platt", self.offset, {"a": slope * a, "b": intercept + slope * b})


@dataclass(frozen=True)
class DecisionPolicy:
    """One recorded decision rule: malignant if and only if the raw logit >= `threshold_logit`.

    Attributes:
        calibrator: from logit to probability.
        threshold_logit: threshold on the raw logit; what the decision uses.
        threshold_probability: the same threshold on the calibrated scale; what people read.
        operating_point: how the threshold was chosen: policy, target_sensitivity, delta, and so on.
        counts: images and groups it was chosen on: n, malignant, groups, malignant_groups.
        prevalence: malignant share of the validation images.
        abstain: None, or {"low": p, "high": p}: probabilities strictly between are referred to a person.
        model_sha256: sha256 of the `model.keras` it belongs to.
        val_probs_sha256: sha256 of the scores it was chosen on.
        parent: None, or {"policy_id": id, "site": name}: the policy that this one adjusts, and for which site.
    """

    calibrator: Calibrator
    threshold_logit: float
    threshold_probability: float
    operating_point: Mapping[str, Any]
    counts: Mapping[str, int]
    prevalence: float
    model_sha256: str
    val_probs_sha256: str
    abstain: Mapping[str, float] | None = None
    parent: Mapping[str, str] | None = None

    @property
    def policy_id(self) -> str:
        """First 12 hex digits of the sha256 over the policy's content."""
        return sha256_bytes(dump_json(self._content()).encode())[:12]

    def probability(self, logit: Floats) -> Floats:
        """Calibrated P(malignant) for raw logits of any shape."""
        return self.calibrator.probability(logit)

    def decide(self, logit: Floats) -> npt.NDArray[np.bool_]:
        """True where the decision is malignant; same shape as `logit`."""
        return np.asarray(logit, np.float64) >= self.threshold_logit

    def save(self, path: Path) -> None:
        """Writes `decision_policy.json`, with its id."""
        write_json(path, {"schema": SCHEMA, "policy_id": self.policy_id, **self._content()})

    def _content(self) -> dict[str, Any]:
        content = asdict(self)
        content["calibrator"]["parameters"] = dict(self.calibrator.parameters)
        if self.parent is None:
            del content["parent"]  # as it was before policies had parents: ids stay what they are
        return content


def load_policy(path: Path) -> DecisionPolicy:
    """Reads a decision policy and checks that it can be one.

    Raises:
        ArtifactError: one line with the file and the field: wrong schema, a field that is missing, of another type or
            out of its bounds, fields that contradict each other, or an id that does not match the content.
    """
    document = read_record(path, SCHEMA, _Document, _AGAIN)
    record = read_json(path, SCHEMA)  # numbers as they are written, which is what the id was made of
    values = {key: record[key] for key in record if key not in ("schema", "policy_id")}
    try:
        policy = DecisionPolicy(**{**values, "calibrator": Calibrator(**values["calibrator"])})
    except ArtifactError as error:
        raise ArtifactError(f"{path}: {error}") from error
    if document.policy_id != policy.policy_id:
        raise ArtifactError(
            f"{path}: policy_id is {document.policy_id}, its content gives {policy.policy_id}; the file was edited "
            f"after calibration: {_AGAIN}"
        )
    for wrong in _contradictions(policy, document.operating_point):
        raise ArtifactError(f"{path}: {wrong}; {_AGAIN}")
    return policy


class _Calibrator(Document):
    name: str
    offset: Number
    parameters: dict[str, Number | list[Number]]


class _Counts(Document):
    n: _Whole
    malignant: _Whole
    groups: _Whole
    malignant_groups: _Whole


class _Band(Document):
    low: Share
    high: Share


class _Parent(Document):
    policy_id: Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]
    site: Annotated[str, Strict(), Field(min_length=1, max_length=MOST_SITE)]


class _OperatingPoint(Document):
    policy: Literal["lower_bound", "point", "cost", "youden", "kept"]
    target_sensitivity: Inside | None = None
    delta: Inside | None = None
    cost_ratio: Annotated[float, Strict(), Field(gt=0)] | None = None
    sensitivity: Share
    lesion_sensitivity: Share
    sensitivity_lower: Share
    specificity: Share
    chance: Share | None
    guarantee: Annotated[str, Strict(), Field(min_length=1, max_length=1000)]


class _Document(Document):
    policy_id: Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]
    calibrator: _Calibrator
    threshold_logit: Number
    threshold_probability: Share
    operating_point: _OperatingPoint
    counts: _Counts
    prevalence: Inside
    abstain: _Band | None
    model_sha256: Sha256
    val_probs_sha256: Sha256
    parent: _Parent | None = None


def _contradictions(policy: DecisionPolicy, point: _OperatingPoint) -> Iterator[str]:
    """What no calibration can have written although each field by itself is possible."""
    threshold, counts = policy.threshold_probability, policy.counts
    calibrated = float(policy.probability(np.array(policy.threshold_logit)))
    if abs(calibrated - threshold) > _ROUNDING:
        yield f"threshold_probability is {threshold:.6g}, the calibrator gives {calibrated:.6g} at threshold_logit"
    if not (
        counts["malignant_groups"] <= min(counts["malignant"], counts["groups"])
        and counts["malignant"] < counts["n"]
        and counts["groups"] <= counts["n"]
    ):
        yield f"counts are {dict(counts)}, which no validation split has"
    if abs(policy.prevalence - counts["malignant"] / counts["n"]) > _ROUNDING:
        yield f"prevalence is {policy.prevalence:.6g}, counts say {counts['malignant']} of {counts['n']}"
    band = policy.abstain
    if band and not band["low"] <= threshold <= band["high"]:
        yield f"abstain is {band['low']:.6g} to {band['high']:.6g}, which does not hold threshold_probability"
    yield from (f"operating_point: {wrong}" for wrong in _point_contradictions(point))


def _point_contradictions(point: _OperatingPoint) -> Iterator[str]:
    for name in ("target_sensitivity", "delta", "cost_ratio"):
        if (getattr(point, name) is not None) != (name in ASKED[point.policy]):
            allowed = ", ".join(ASKED[point.policy]) or "none of its own"
            yield f"rule {point.policy} with parameter {name} {getattr(point, name)}, expected {allowed}"
    if point.sensitivity_lower > min(point.sensitivity, point.lesion_sensitivity) + _ROUNDING:
        yield f"sensitivity_lower {point.sensitivity_lower:.6g} is above the sensitivity it bounds"
    reached = {"lower_bound": point.sensitivity_lower, "point": point.sensitivity}.get(point.policy)
    if reached is not None and reached < (point.target_sensitivity or 0.0) - _ROUNDING:
        yield f"rule {point.policy} reaches {reached:.6g}, target_sensitivity is {point.target_sensitivity}"
    if (point.chance is None) != (reached is None):
        yield f"rule {point.policy} with chance {point.chance}, expected {'null' if reached is None else 'a number'}"
