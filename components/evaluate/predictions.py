"""`predictions.csv`: the test scores for a spreadsheet, one row per image."""

from __future__ import annotations

import csv
import io

from components.common.artifacts.policy import DecisionPolicy
from components.common.artifacts.presentation import spreadsheet_text
from components.common.artifacts.scores import Scores

FILE = "predictions.csv"
COLUMNS = ("image_id", "lesion_id", "group_id", "label", "logit", "probability", "decision")
_CLASSES = ("benign", "malignant")


def predictions_csv(scores: Scores, policy: DecisionPolicy) -> str:
    """The file's content; numbers in full, ids so that no spreadsheet takes one for a formula."""
    decided = [_CLASSES[int(one)] for one in policy.decide(scores.logit)]
    if policy.abstain:
        low, high = policy.abstain["low"], policy.abstain["high"]
        between = (scores.probability > low) & (scores.probability < high)
        decided = ["refer" if inside else name for inside, name in zip(between, decided, strict=True)]
    decided = ["refer" if refused else name for refused, name in zip(scores.not_dermoscopy, decided, strict=True)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    columns = (scores.image_id, scores.lesion_id, scores.group_id)
    ids = ([spreadsheet_text(str(one)) for one in column] for column in columns)
    labels = [_CLASSES[int(one)] for one in scores.label]
    writer.writerows(zip(*ids, labels, scores.logit.tolist(), scores.probability.tolist(), decided, strict=True))
    return text.getvalue()
