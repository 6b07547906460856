"""Tamperings with model, policy, bundle and evaluation; `test_tampering.py` lets each happen."""

import json

import numpy as np
import tamperings as t
from tamperings import DIGEST, LATER, tampering

from components.common.artifacts.folder import MANIFEST, sha256_file
from components.common.artifacts.npz import read_npz, write_npz
from components.common.artifacts.scores import load_scores


@tampering("train", "a file that the model never had", said="is not part of the artifact")
def _(store, older):
    (store / "train" / "run.py").write_text("import os")


@tampering("train", "a logit offset that is not a number", said="class_weight.json: logit_offset")
def _(store, older):
    t.document(store / "train" / "class_weight.json", logit_offset="none")


@tampering("train", "an image in the validation scores twice", said="appears 2 times")
def _(store, older):
    path = store / "train" / "val_probs.npz"
    write_npz(path, {name: np.append(column, column[:1]) for name, column in read_npz(path).items()})
    t.rehash(path.parent)


@tampering("train", "better validation scores before calibration, hashes recomputed", DIGEST)
def _(store, older):
    t.scored_otherwise(store / "train" / "val_probs.npz", t.better)


@tampering("train", "better validation scores after calibration", said="belongs to a val_probs.npz", read=t.by_export)
def _(store, older):
    t.scored_otherwise(store / "train" / "val_probs.npz", t.better)


@tampering("train", "the network of an older run, after calibration", said="belongs to a model.keras", read=t.by_export)
def _(store, older):
    t.borrowed("train/model.keras", store, older)


@tampering("train", "another logit offset after calibration", said="was made from the model", read=t.by_export)
def _(store, older):
    t.document(store / "train" / "class_weight.json", logit_offset=0.0)


@tampering("train", "the model of an older run, after calibration", said="belongs to a", read=t.by_export)
def _(store, older):
    t.replaced("train", store, older)


@tampering("train", "model and policy of an older run, before export", LATER, "was made from the", t.by_evaluate)
def _(store, older):
    t.replaced("train", store, older)
    t.replaced("calibrate", store, older)
    t.bundled(store, older)


@tampering("calibrate", "the threshold edited, its id left as it was", said="edited after calibration")
def _(store, older):
    t.document(store / "calibrate" / "decision_policy.json", threshold_logit=-99.0)


@tampering("calibrate", "the threshold on the logit edited, id recomputed", said="threshold")
def _(store, older):
    t.ruled_otherwise("calibrate", store, threshold_logit=-99.0)


@tampering("calibrate", "a prevalence that the counts do not give, id recomputed", said="prevalence")
def _(store, older):
    t.ruled_otherwise("calibrate", store, prevalence=0.9)


@tampering("calibrate", "the policy of another model", said="belongs to a")
def _(store, older):
    t.borrowed("calibrate/decision_policy.json", store, older)


@tampering("calibrate", "another model's policy that claims this one", said="was made from the model")
def _(store, older):
    claimed = {
        name: sha256_file(store / "train" / f)
        for name, f in (("model_sha256", "model.keras"), ("val_probs_sha256", "val_probs.npz"))
    }
    t.replaced("calibrate", store, older)
    t.ruled_otherwise("calibrate", store, **claimed)


@tampering("calibrate", "another threshold, coherent in everything", DIGEST)
def _(store, older):
    t.ruled_otherwise("calibrate", store, **t.coherent(t.load_policy(store / "calibrate" / "decision_policy.json")))


@tampering("export", "the threshold in the bundle edited, hashes recomputed", said="edited after calibration")
def _(store, older):
    t.document(store / "export" / "decision_policy.json", threshold_logit=-99.0)


@tampering(
    "export", "another threshold in the bundle, coherent in every document", said="the graph predicts with policy",
    read=t.by_whoever_loads_it,
)  # fmt: skip
def _(store, older):
    t.ruled_otherwise("export", store, **t.coherent(t.load_policy(store / "export" / "decision_policy.json")))


@tampering("export", "an operation in the graph renamed, hashes recomputed", said="which bundles are not made of")
def _(store, older):
    path = store / "export" / "saved_model" / "saved_model.pb"
    path.write_bytes(path.read_bytes().replace(b"Conv2D", b"SaveV2"))
    t.rehash(store / "export")


@tampering("export", "a warm-up file beside the graph, hashes recomputed", said="not part of a bundle's model")
def _(store, older):
    path = store / "export" / "saved_model" / "assets.extra" / "tf_serving_warmup_requests"
    path.parent.mkdir()
    path.write_bytes(b"x")
    t.rehash(store / "export")


@tampering("export", "artifact.json names a file outside of the bundle", said="is not the name of a file inside")
def _(store, older):
    path = store / "export" / MANIFEST
    record = json.loads(path.read_text())
    record["files"]["../../etc/passwd"] = "0" * 64
    path.write_text(json.dumps(record))


@tampering(
    "export", "the weights of another network, hashes recomputed", said="the test image gives logit",
    read=t.by_whoever_loads_it,
)  # fmt: skip
def _(store, older):
    t.borrowed_folder("export/saved_model", store, older)


@tampering(
    "export",
    "the threshold inside the graph moved, hashes recomputed",
    said="the graph predicts",
    read=t.by_whoever_loads_it,
)
def _(store, older):
    t.threshold_in_graph(store / "export")


@tampering("export", "the weights of another network, self-test recomputed", DIGEST, read=t.by_whoever_loads_it)
def _(store, older):
    t.borrowed_folder("export/saved_model", store, older)
    t.selftest_again(store / "export")


@tampering("export", "the bundle of an older run", said="was made from the")
def _(store, older):
    t.replaced("export", store, older)


@tampering("evaluate", "a verdict in gate.json edited, hashes recomputed", said="its verdict on")
def _(store, older):
    t.document(store / "evaluate" / "gate.json", conditions=lambda all_: [one | {"received": 0.99} for one in all_])


@tampering("evaluate", "gate.json without conditions", said="its conditions are")
def _(store, older):
    t.document(store / "evaluate" / "gate.json", conditions=[])


@tampering("evaluate", "gate.json and context.json without conditions", said="this run was given")
def _(store, older):
    t.document(store / "evaluate" / "gate.json", conditions=[])
    t.document(store / "evaluate" / "context.json", settings=lambda settings: settings | {"gate": []})


@tampering("evaluate", "an interval in metrics.json edited", said="roc_auc.lower is not what test_probs.npz gives")
def _(store, older):
    t.document(store / "evaluate" / "metrics.json", roc_auc=lambda auc: auc | {"lower": 0.99 * auc["lower"]})


@tampering("evaluate", "the worst slice left out of metrics.json", said="slices is not what")
def _(store, older):
    t.document(store / "evaluate" / "metrics.json", slices=lambda slices: slices[1:])


@tampering("evaluate", "every answer in trust.json green", said="its answers are not those")
def _(store, older):
    t.document(store / "evaluate" / "trust.json", lines=lambda lines: [one | {"level": "green"} for one in lines])


@tampering("evaluate", "images moved between classes in lineage.json", said="add up")
def _(store, older):
    def fewer(read):
        return read | {"malignant": read["malignant"] - 1, "benign": read["benign"] + 1}

    t.document(store / "evaluate" / "lineage.json", read=fewer)


@tampering("evaluate", "better test scores, hashes recomputed", said="belong to another policy")
def _(store, older):
    t.scored_otherwise(store / "evaluate" / "test_probs.npz", t.better)


@tampering("evaluate", "the test scores of an older run", said="")
def _(store, older):
    t.borrowed("evaluate/test_probs.npz", store, older)


@tampering("evaluate", "the validation scores of an older run", said="was chosen on other validation scores")
def _(store, older):
    t.borrowed("evaluate/val_probs.npz", store, older)


@tampering("evaluate", "the policy of an older run", said="")
def _(store, older):
    t.borrowed("evaluate/decision_policy.json", store, older)


@tampering("evaluate", "a decision in predictions.csv edited", said="not what the figures give")
def _(store, older):
    path = store / "evaluate" / "predictions.csv"
    path.write_text(path.read_text().replace(",benign\n", ",malignant\n", 1))
    t.rehash(path.parent)


@tampering("evaluate", "a figure in summary.md edited", said="not what the figures give")
def _(store, older):
    path = store / "evaluate" / "summary.md"
    path.write_text(path.read_text().replace("0.", "0.9", 1))
    t.rehash(path.parent)


@tampering("evaluate", "the evaluation of an older run", said="made from another bundle", read=t.by_register)
def _(store, older):
    t.replaced("evaluate", store, older)


@tampering("evaluate", "the same, claiming this bundle", said="provenance: its digests are not those")
def _(store, older):
    made_from = json.loads((store / "evaluate" / MANIFEST).read_text())["made_from"]
    t.replaced("evaluate", store, older)
    t.rehash(store / "evaluate", made_from=made_from)


@tampering("evaluate", "a report that says good where it said problem", DIGEST)
def _(store, older):
    path = store / "evaluate" / "report.html"
    path.write_text(path.read_text().replace("problem", "good"))
    t.rehash(path.parent)


@tampering("evaluate", "better test scores and all that follows, made by our own code", DIGEST)
def _(store, older):
    t.evaluated_again(store / "evaluate", t.better(load_scores(store / "evaluate" / "test_probs.npz")))
