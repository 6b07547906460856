"""The model card: every number in it is read from an artifact; what an artifact lacks, the card leaves out.

Layout after Mitchell et al. 2019 (Model Cards for Model Reporting), front matter as Hugging Face reads it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, get_args

from components.common.artifacts.characteristics import FILE as CHARACTERISTICS
from components.common.artifacts.characteristics import Characteristics, Units, load_characteristics
from components.common.artifacts.folder import Artifact, open_artifact
from components.common.artifacts.ledger import FILE as OPENINGS
from components.common.artifacts.ledger import Opening, bundles_of, load_openings, times_text
from components.common.artifacts.lineage import FILE as LINEAGE
from components.common.artifacts.lineage import Counts, Lineage, SplitName, load_lineage
from components.common.artifacts.metrics import FILE as METRICS
from components.common.artifacts.metrics import Metrics, load_metrics
from components.common.artifacts.presentation import (
    form_of,
    heading,
    markdown_code,
    markdown_text,
    named,
    percent_text,
    reason_words,
    value_words,
)
from components.common.artifacts.slices import confirmed, gaps, skin_types_known
from components.common.artifacts.trust import FILE as TRUST
from components.common.artifacts.trust import Line, load_trust
from components.common.bundle import card_text, layout
from components.common.bundle.card_facts import CardFacts
from components.common.runtime.errors import ArtifactError


def write_card(folder: Path, facts: CardFacts) -> None:
    """Writes `card.json` and `model_card.md` into a bundle in the making."""
    facts.save(folder)
    (folder / layout.CARD).write_text(render(facts, None), encoding="utf-8")


def bundle_card(bundle: Path, evaluation: Path | None = None) -> str:
    """The card of a bundle as Markdown, with the metrics of its evaluation where one is given.

    A bundle is evaluated after it is made and never changes afterwards, so the card inside it has no test
    metrics: the card with them is made from bundle and evaluation when the model is staged or registered.

    Raises:
        ArtifactError: damaged, or the evaluation is of another bundle.
    """
    made = open_artifact(bundle, "bundle")
    facts = CardFacts.read(bundle)
    if evaluation is None:
        return render(facts, None)
    open_evaluation(evaluation, made)
    return render(facts, judged_by(evaluation), made.digest)


def open_evaluation(evaluation: Path, bundle: Artifact) -> Artifact:
    """The evaluation of a bundle.

    Raises:
        ArtifactError: damaged, or of another bundle.
    """
    judged = open_artifact(evaluation, "evaluation")
    if judged.made_from.get("bundle") != bundle.digest:
        raise ArtifactError(f"{evaluation}: made from another bundle than {bundle.path}; evaluate this one first")
    return judged


@dataclass(frozen=True)
class Judged:
    """What an evaluation adds to the card.

    Attributes:
        metrics: every figure.
        trust: the questions a reader should ask first, answered.
        lineage: where the rows of the table went; None for evaluations by version 0.1.
        openings: every time the test set was opened, this one last; empty where no ledger is kept.
        table1: who is in each split; None for evaluations by version 0.1.
    """

    metrics: Metrics
    trust: Sequence[Line] = ()
    lineage: Lineage | None = None
    openings: Sequence[Opening] = ()
    table1: Characteristics | None = None


def judged_by(evaluation: Path) -> Judged:
    """Reads what the card says of an evaluation.

    Raises:
        ArtifactError: a file of it is not readable.
    """
    return Judged(
        load_metrics(evaluation / METRICS),
        load_trust(evaluation / TRUST),
        load_lineage(evaluation / LINEAGE),
        load_openings(evaluation / OPENINGS),
        load_characteristics(evaluation / CHARACTERISTICS),
    )


def render(facts: CardFacts, judged: Judged | None, digest: str = "") -> str:
    """The card as Markdown, with its evaluation and the bundle's digest where they are given."""
    given = {
        **dict(facts),
        "metrics": judged.metrics if judged else None,
        "trust": judged.trust if judged else (),
        "lineage": judged.lineage if judged else None,
        "openings": judged.openings if judged else (),
        "table1": judged.table1 if judged else None,
        "digest": digest,
        "decisions": layout.DECISIONS,
    }
    return str(_template().render(**given))


@cache
def _template() -> Any:
    import jinja2

    loader = jinja2.PackageLoader("components.common.bundle", "templates")
    environment = jinja2.Environment(
        loader=loader,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        autoescape=False,
        finalize=_escaped,
    )
    environment.filters |= {
        "estimate": card_text.estimate,
        "scalar": card_text.scalar,
        "plain": card_text.plain,
        "heading": heading,
        "named": named,
        "reason": reason_words,
        "code": _code,
        "counted": _counted,
        "units": _units,
        "times": times_text,
        "bundles": bundles_of,
        "listed": card_text.listed,
    }
    environment.globals |= {
        "gaps": gaps,
        "confirmed": confirmed,
        "skin_types_known": skin_types_known,
        "slice_figure": card_text.slice_figure,
        "value_words": value_words,
        "form_of": form_of,
    }
    return environment.get_template("model_card.md.j2")


def _escaped(value: Any) -> Any:
    """Every text the template prints, escaped for Markdown; what `_code` and `tojson` made is safe already."""
    import markupsafe

    if isinstance(value, str) and not isinstance(value, markupsafe.Markup):
        return markdown_text(value)
    return value


def _code(value: Any) -> Any:
    import markupsafe

    return markupsafe.Markup(markdown_code(str(value)))  # safe: no mark of Markdown is left inside the backticks


def _counted(counts: Counts) -> Any:
    """The cells of a row of the table that follows the images."""
    import markupsafe

    cells = (counts.images, counts.malignant, counts.benign, counts.unlabelled or "")
    return markupsafe.Markup(" | ".join(str(cell) for cell in cells))  # numbers only


def _units(counts: Mapping[SplitName, Units], every: Mapping[SplitName, Units], lesions: bool) -> Any:
    """The cells of a row of Table 1: images with their share of the split, lesions and patients where they are known.

    Training, validation, test: a file has its keys sorted, so their order there says nothing.
    """
    import markupsafe

    cells = []
    for split in get_args(SplitName):
        one, images = counts[split], every[split].images
        parts = [f"{one.images} ({percent_text(one.images / images)})" if images else f"{one.images}"]
        if lesions:
            parts.append(f"{one.lesions} lesion{'s' * (one.lesions != 1)}")
        if one.patients is not None:
            parts.append(f"{one.patients} patient{'s' * (one.patients != 1)}")
        cells.append(", ".join(parts))
    return markupsafe.Markup(" | ".join(cells))  # numbers only
