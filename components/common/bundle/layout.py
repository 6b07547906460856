"""What a bundle folder holds and what the numbers in its outputs mean; imports no TensorFlow."""

from __future__ import annotations

from components.common.artifacts import policy
from components.common.artifacts.calibration import Recalibration

SAVED_MODEL = "saved_model"
POLICY = policy.FILE
PREPROCESSING = "preprocessing.json"
LABELS = "labels.json"
CARD = "model_card.md"
FACTS = "card.json"
PARITY = "parity.json"
FORMATS = "formats.json"
OPERATIONS = "operations.json"
SELFTEST = "selftest.json"
SELFTEST_IMAGE = "selftest.jpg"
RECALIBRATION = Recalibration.FILE  # of a bundle that was adjusted for another site
REFUSAL = "refusal.json"
FINGERPRINTS = "fingerprints.npz"  # of a bundle that was exported with a split
REFERENCE_SCORES = "reference_probs.npz"  # what `lesionflow monitor` compares with, where nothing better is given
INTERNAL_SCORES = "internal_probs.npz"  # of a bundle that was handed over with its evaluation

MALIGNANT, BENIGN, REFER, UNREADABLE = 1, 0, 2, -1
DECISIONS = {MALIGNANT: "malignant", BENIGN: "benign", REFER: "refer", UNREADABLE: "not readable"}

# The position in this tuple is the status code inside the graph.
STATUSES = ("ok", "refer", "not_an_image", "corrupt", "unsupported", "too_small", "too_large", "not_dermoscopy")
OK, REFERRED, NOT_AN_IMAGE, CORRUPT, UNSUPPORTED, TOO_SMALL, TOO_LARGE, NOT_DERMOSCOPY = range(len(STATUSES))
READ = (STATUSES[OK], STATUSES[REFERRED], STATUSES[NOT_DERMOSCOPY])  # the network saw these images

# Where there is no such number: out of range, yet finite, because NaN is not JSON and would make the
# response of a whole batch unreadable to strict clients.
NO_PROBABILITY = -1.0
NO_LOGIT = 0.0
NO_DISTANCE = -1.0
MOST_DISTANCE = 1e6  # what is farther, or not a number, is answered as this

SIGNATURES = ("serving_default", "predict_pixels")
MEMBER_LOGITS = "member_logits"  # a third one, of ensembles only: what each member says by itself
OUTPUTS = ("probability", "decision", "logit", "policy_id", "status")
DISTANCE = "distance"  # a further output, of every bundle since there is `refusal.json`
