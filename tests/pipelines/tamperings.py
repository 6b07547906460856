"""What somebody who may write to the artifact store does between two tasks; `test_tampering.py` lets each happen.

`store` and `older` are folders with the artifacts of two runs, by step. Every edit makes hashes and documents as
consistent as its maker can; hashes alone are repaired by `rehash`.
"""

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from components.calibrate.config import CalibrateConfig
from components.calibrate.run import run as calibrate
from components.common.artifacts.folder import MANIFEST, SIGNATURE, open_artifact, sha256_file
from components.common.artifacts.index import read_index, write_index
from components.common.artifacts.json_file import dump_json
from components.common.artifacts.model import open_model
from components.common.artifacts.policy import load_policy
from components.common.artifacts.scores import Scores, load_extra, load_scores, save_scores
from components.common.artifacts.split import split_digest
from components.common.bundle.verify import verify_bundle
from components.evaluate.analysis import Settings
from components.evaluate.belongs import check_together, refuse_seen, refuse_val_overlap
from components.evaluate.config import EvaluateConfig
from components.evaluate.proof import enforce
from components.evaluate.regenerate import load_context, render
from components.evaluate.scoring import open_split
from components.export.run import check_made_from
from components.records.sources import read_sources
from components.split.config import SplitConfig
from components.split.run import run as divide
from components.train.records import load_split
from pipelines.registry.registration import registration_of

REFUSED, LATER, DIGEST = "refused", "caught later", "only by a digest or key"
ASKED = {"gate": ["auc >= 0.5"], "resamples": 200}
TAMPERINGS = []


@dataclass(frozen=True)
class Tampering:
    """One of them.

    Attributes:
        step: whose artifact is changed.
        what: in words.
        edit: does it.
        end: REFUSED by the next that reads it; LATER by another task; DIGEST: accepted by all of them.
        said: part of the error.
        read: how it is read, given the store and a scratch folder.
    """

    step: str
    what: str
    edit: object
    end: str
    said: str
    read: object


# by whom artifacts are read


def by_split(store, scratch):
    divide(SplitConfig.parse({"recipe": "stratified"}), store / "ingest", scratch / "split")


def by_records(store, _):
    open_artifact(store / "split", "split")
    read_sources(store / "split")


def by_train(store, _):
    open_artifact(store / "records", "records")
    return {name: load_split(store / "records", name, (24, 32), "memory").rows for name in ("train", "val")}


def by_calibrate(store, scratch):
    calibrate(CalibrateConfig.parse({"operating_point": "point"}), store / "train", scratch / "policy")


def by_export(store, _):
    policy = open_artifact(store / "calibrate", "policy")
    check_made_from(policy, open_model(store / "train"), load_policy(policy.path / "decision_policy.json"))


def by_evaluate(store, _):
    """All that evaluate looks at before it loads the bundle."""
    bundle, split = open_artifact(store / "export", "bundle"), open_artifact(store / "split", "split")
    model, records = open_model(store / "train"), open_artifact(store / "records", "records")
    divided = open_split(store / "split")
    verify_bundle(bundle.path, load=False)
    check_together(bundle, split, model, records, load_policy(bundle.path / "decision_policy.json"))
    refuse_seen(bundle, split, divided)


def by_evaluate_of_what_was_trained(store, scratch):
    """The scores of a model that was trained on these records, against those of the test images."""
    rows, test = by_train(store, scratch)["val"], load_scores(store / "evaluate" / "test_probs.npz")
    blank = np.zeros(len(rows))
    refuse_val_overlap(test, Scores(rows.image_id, rows.lesion_id, rows.group_id, rows.label, blank, blank))


def by_whoever_loads_it(store, _):
    verify_bundle(store / "export")


def by_the_gate(store, _):
    enforce(store / "evaluate", EvaluateConfig.parse(ASKED))


def by_register(store, _):
    registration_of(store / "export", store / "evaluate", uri="gs://bucket/model")


READERS = {
    "ingest": by_split, "split": by_records, "records": by_train, "train": by_calibrate, "calibrate": by_export,
    "export": by_evaluate, "evaluate": by_the_gate,
}  # fmt: skip


# how artifacts are edited


def tampering(step, what, end=REFUSED, said="", read=None):
    """Notes the function below as a tampering."""

    def note(edit):
        TAMPERINGS.append(Tampering(step, what, edit, end, said, read or READERS[step]))
        return edit

    return note


def rehash(folder, **changes):
    """Makes `artifact.json` fit the files, as whoever made the artifact would have written it."""
    record = json.loads((folder / MANIFEST).read_text())
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name not in (MANIFEST, SIGNATURE))
    record |= {"files": {path.relative_to(folder).as_posix(): sha256_file(path) for path in paths}} | changes
    (folder / MANIFEST).write_text(dump_json(record))


def document(path, **changes):
    """Replaces fields of a JSON document; a callable gets the old value."""
    record = json.loads(path.read_text())
    record |= {name: value(record[name]) if callable(value) else value for name, value in changes.items()}
    path.write_text(dump_json(record))
    rehash(path.parent)


def replaced(step, store, older):
    shutil.rmtree(store / step)
    shutil.copytree(older / step, store / step)


def borrowed(path, store, older):
    shutil.copy(older / path, store / path)
    rehash((store / path).parent)


def divided_otherwise(store, change, *, digest=True):
    path, record = store / "split" / "split.csv", store / "split" / "split.json"
    rows = change(pd.read_csv(path, dtype={"label": "int8"}, keep_default_na=False))
    rows.to_csv(path, index=False, lineterminator="\n")
    rehash(store / "split")
    if digest:
        document(record, sha256=split_digest(rows["image_id"], rows["split"]))


def ruled_otherwise(step, store, **changes):
    """Another rule with its id recomputed, in the preparation beside it, too."""
    path = store / step / "decision_policy.json"
    policy = replace(load_policy(path), **changes)
    policy.save(path)
    rehash(path.parent)
    if step == "export":
        document(path.with_name("preprocessing.json"), policy_id=policy.policy_id)


def coherent(policy):
    logit = policy.threshold_logit + 1.0
    probability = float(policy.probability(np.array([logit]))[0])
    return {"threshold_logit": logit, "threshold_probability": probability}


def scored_otherwise(path, change):
    scores, columns = load_scores(path), load_extra(path)
    save_scores(path, change(scores), columns)
    rehash(path.parent)


def better(scores):
    return replace(scores, logit=scores.logit + np.where(scores.label == 1, 0.5, 0.0))


def moved(rows, column):
    """The first test image, or its whole lesion, is trained on."""
    first = rows[rows["split"] == "test"].iloc[0]
    return rows.assign(split=rows["split"].mask(rows[column] == first[column], "train"))


def flipped(rows):
    return rows.assign(label=rows["label"].mask(rows.index == 0, 1 - rows["label"]).astype("int8"))


def evaluated_again(folder, scores):
    """Everything that follows from other scores, made by our own code."""
    policy, probs = folder / "decision_policy.json", folder / "test_probs.npz"
    calibrated = replace(scores, probability=load_policy(policy).probability(scores.logit))
    save_scores(probs, calibrated, load_extra(probs))
    render(
        probs=probs,
        val_probs=folder / "val_probs.npz",
        policy=policy,
        context=load_context(None, probs),
        beside=folder,
        settings=Settings(ASKED["resamples"], 0),
        gate=ASKED["gate"],
        folder=folder,
    )
    rehash(folder)


def bit(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def borrowed_folder(path, store, older):
    shutil.rmtree(store / path)
    shutil.copytree(older / path, store / path)
    rehash(store / Path(path).parts[0])


def selftest_again(bundle):
    """The answer to the test image made right, as somebody does who can run the graph."""
    from components.common.bundle.load import load_bundle

    found = load_bundle(bundle).predict([(bundle / "selftest.jpg").read_bytes()])
    document(bundle / "selftest.json", logit=float(found.logit[0]), probability=float(found.probability[0]))


def weaken(path):
    """Every large constant of a graph, which are the network's weights, a tenth smaller."""
    from tensorflow.core.protobuf import saved_model_pb2

    model = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    graph = model.meta_graphs[0].graph_def
    for nodes in (graph.node, *(function.node_def for function in graph.library.function)):
        for tensor in (node.attr["value"].tensor for node in nodes if node.op == "Const"):
            if tensor.dtype == 1 and len(tensor.tensor_content) > 1000:
                tensor.tensor_content = (np.frombuffer(tensor.tensor_content, np.float32) * np.float32(0.9)).tobytes()
    path.write_bytes(model.SerializeToString())


def age(older, this):
    """Makes of a copy of a run one that differs in every artifact, by the steps where they are fast."""
    index = read_index(older / "ingest")
    write_index(older / "ingest", index.iloc[::-1].reset_index(drop=True))
    rehash(older / "ingest")
    shutil.rmtree(older / "split")
    divide(SplitConfig.parse({"recipe": "stratified", "seed": 9}), older / "ingest", older / "split")
    records = older / "records"
    document(records / "manifest.json", shard_bytes=1)
    rehash(records, made_from={"split": sha256_file(older / "split" / MANIFEST)})
    with (older / "train" / "model.keras").open("ab") as handle:
        handle.write(b"another network")
    rehash(older / "train", made_from={"records": sha256_file(records / MANIFEST)})
    scored_otherwise(older / "train" / "val_probs.npz", better)
    shutil.rmtree(older / "calibrate")
    calibrate(CalibrateConfig.parse({"operating_point": "point"}), older / "train", older / "calibrate")
    weaken(older / "export" / "saved_model" / "saved_model.pb")
    made_from = {"model": "train", "policy": "calibrate", "split": "split"}
    rehash(older / "export", made_from={name: sha256_file(older / step / MANIFEST) for name, step in made_from.items()})
    scores = load_scores(this / "evaluate" / "test_probs.npz")
    shutil.copy(older / "train" / "val_probs.npz", older / "evaluate" / "val_probs.npz")
    shutil.copy(older / "calibrate" / "decision_policy.json", older / "evaluate" / "decision_policy.json")
    made_from = {"bundle": "export", "split": "split", "model": "train", "records": "records"}
    digests = {name: sha256_file(older / step / MANIFEST) for name, step in made_from.items()}
    document(
        older / "evaluate" / "context.json", provenance={n: {"digest": d, "made_from": {}} for n, d in digests.items()}
    )
    rehash(older / "evaluate", made_from=digests)
    evaluated_again(older / "evaluate", better(scores))


def bundled(store, older):
    """A bundle as export makes it of the older run's model and policy, and this run's split."""
    policy = load_policy(older / "calibrate" / "decision_policy.json")
    policy.save(store / "export" / "decision_policy.json")
    document(store / "export" / "preprocessing.json", policy_id=policy.policy_id, model_sha256=policy.model_sha256)
    made_from = {"model": older / "train", "policy": older / "calibrate", "split": store / "split"}
    rehash(store / "export", made_from={name: sha256_file(path / MANIFEST) for name, path in made_from.items()})


def threshold_in_graph(bundle):
    """The constant that the graph compares with, so that the test image gets the other decision."""
    path, policy = bundle / "saved_model" / "saved_model.pb", load_policy(bundle / "decision_policy.json")
    malignant = json.loads((bundle / "selftest.json").read_text())["decision"] == 1
    data, old = path.read_bytes(), np.float64(policy.threshold_logit).tobytes()
    assert old in data
    path.write_bytes(data.replace(old, np.float64(99 if malignant else -99).tobytes()))
    rehash(bundle)
