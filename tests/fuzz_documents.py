"""Damages every kind of document that comes from outside and reads it: an error is one line that names the file.

    python tests/fuzz_documents.py RUN [COUNT] [SEED]

RUN is the folder of a finished run, whose documents are damaged COUNT times (100,000 by default). Another clinic's
documents are damaged, too, where they lie in RUN: a bundle handed over (`handover`), a validation of it (`validation`)
and logged predictions with labels (`logs/log.csv`, `logs/log.jsonl`, `logs/labels.csv`). Prints how many inputs of each
kind were read and refused, by how much each kind raised the most memory taken, and that memory; the exit code is 1
where one ended otherwise.
"""

import importlib.util
import random
import resource
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path

import pyarrow as pa

from components.common.artifacts import (
    class_weight,
    index,
    ledger,
    lineage,
    metrics,
    model,
    policy,
    scores,
    split,
    trust,
    validation,
)
from components.common.artifacts.folder import open_artifact
from components.common.artifacts.json_file import read_json, read_record
from components.common.artifacts.records_manifest import read_manifest
from components.common.bundle.card_facts import CardFacts
from components.common.bundle.fingerprints import read_fingerprints
from components.common.bundle.handover import read_internal_test
from components.common.bundle.load import check_parts
from components.common.bundle.operations import check_recorded_operations
from components.common.bundle.refusal import read_refusal
from components.common.bundle.selftest import Selftest
from components.common.runtime.errors import LesionflowError
from components.evaluate import context, gate
from components.export.model_file import check_model_file
from components.ingest.labels import load_label_policy
from components.monitor.log import read_log, with_labels
from components.monitor.table import read_table, read_tables
from pipelines.cluster_file import load_cluster
from pipelines.local.run import SCHEMA as RUN_SCHEMA
from pipelines.parameters import load_preset, validate

_SPEC = importlib.util.spec_from_file_location("damage", Path(__file__).with_name("damage.py"))
damage = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(damage)

MOST_MEMORY = 64 * 2**20
MOST_CHARACTERS = 1000
SLOW = {"operations.json": 50, "network.keras": 5, "split.json": 5}  # once in so many turns
CONFIGURATIONS = ("preset", "cluster file", "label policy")
ROOT = Path(__file__).resolve().parents[1]


def preset(path):
    return validate({"metadata": "table.csv", "images": ["images"], **load_preset(str(path))})


def _policy(path):
    return policy.load_policy(path.with_name("decision_policy.json"))


def _validation(path):
    return read_record(path, validation.SCHEMA, validation.Validation, "validate the bundle again")


def _labels(path):
    return with_labels(read_log(read_tables([str(path.with_name("log.csv"))]), _policy(path)), read_table(str(path)))


# name of the kind: file in the run (or in the repository, where it starts with /), and how it is read
KINDS = {
    "artifact.json": ("train/artifact.json", lambda path: open_artifact(path.parent, "model", verify=False)),
    "index artifact": ("ingest/artifact.json", lambda path: open_artifact(path.parent, "index")),
    "bundle artifact": ("export/artifact.json", lambda path: open_artifact(path.parent, "bundle")),
    "val_probs.npz": ("train/val_probs.npz", scores.load_scores),
    "test_probs.npz": ("evaluate/test_probs.npz", lambda path: (scores.load_scores(path), scores.load_extra(path))),
    "decision_policy.json": ("calibrate/decision_policy.json", policy.load_policy),
    "gate.json": ("evaluate/gate.json", gate.read_gate),
    "metrics.json": ("evaluate/metrics.json", metrics.load_metrics),
    "lineage.json": ("evaluate/lineage.json", lineage.load_lineage),
    "trust.json": ("evaluate/trust.json", trust.load_trust),
    "openings.json": ("evaluate/openings.json", ledger.load_openings),
    "context.json": ("evaluate/context.json", lambda path: read_json(path, context.SCHEMA)),
    "model.json": ("train/model.json", lambda path: model.read_facts(path.parent)),
    "model artifact": ("train/training_config.json", lambda path: model.open_model(path.parent)),
    "network.keras": ("train/model.keras", check_model_file),
    "class_weight.json": ("train/class_weight.json", lambda path: class_weight.read_logit_offset(path.parent)),
    "manifest.json": ("records/manifest.json", lambda path: read_manifest(path.parent)),
    "split.json": ("split/split.json", lambda path: split.read_split(path.parent)),
    "split.csv": ("split/split.csv", lambda path: split.read_split(path.parent)),
    "preprocessing.json": ("export/preprocessing.json", lambda path: check_parts(path.parent)),
    "operations.json": ("export/operations.json", lambda path: check_recorded_operations(path.parent)),
    "card.json": ("export/card.json", lambda path: CardFacts.read(path.parent)),
    "selftest.json": ("export/selftest.json", lambda path: Selftest.read(path.parent)),
    "refusal.json": ("export/refusal.json", lambda path: read_refusal(path.parent)),
    "ingest.json": ("ingest/ingest.json", lambda path: index.read_account(path.parent)),
    "index.parquet": ("ingest/index.parquet", lambda path: index.read_index(path.parent)),
    "run.json": ("run.json", lambda path: read_json(path, RUN_SCHEMA)),
    "bundle handed over": ("handover/artifact.json", lambda path: open_artifact(path.parent, "bundle")),
    "internal_probs.npz": ("handover/internal_probs.npz", lambda path: read_internal_test(path, _policy(path))),
    "validation.json": ("validation/validation.json", _validation),
    "external_probs.npz": ("validation/external_probs.npz", scores.load_scores),
    "log.csv": ("logs/log.csv", lambda path: read_log(read_tables([str(path)]), _policy(path))),
    "log.jsonl": ("logs/log.jsonl", lambda path: read_log(read_tables([str(path)]), _policy(path))),
    "labels.csv": ("logs/labels.csv", _labels),
    "fingerprints.npz": ("export/fingerprints.npz", lambda path: read_fingerprints(path.parent)),
    "label policy": ("/components/ingest/label_policies/ham10000.yaml", load_label_policy),
    "preset": ("/pipelines/configs/sample.yaml", preset),
    "cluster file": ("/pipelines/configs/clusters/gke-t4.yaml", load_cluster),
}


class Fuzz:
    """Reads damaged documents, one copy of the run being damaged at a time."""

    def __init__(self, run, scratch, seed=0):
        pa.set_memory_pool(pa.system_memory_pool())  # Arrow's own keeps what it took
        self.rng, self.scratch = random.Random(seed), scratch
        self.read, self.refused, self.grown, self.failures = Counter(), Counter(), Counter(), []
        self.kinds = {}
        for name, (source, reader) in KINDS.items():
            path = ROOT / source[1:] if source.startswith("/") else run / source
            if not path.is_file():
                continue
            folder = scratch / name.replace(" ", "_")
            if source.startswith("/"):
                folder.mkdir()
                shutil.copy(path, folder)
            else:
                shutil.copytree(path.parent, folder)
            self.kinds[name] = (folder / path.name, path.read_bytes(), reader)
        for path, data, reader in self.kinds.values():  # whole ones are read, and everything is imported
            path.write_bytes(data)
            reader(path)
        self.before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    @property
    def memory(self):
        """Bytes that reading took at most beyond what the whole documents take."""
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - self.before

    def one(self, name):
        path, data, reader = self.kinds[name]
        content = damage.damaged(self.rng, path.name, data)
        path.write_bytes(content)
        before = self.memory
        try:
            reader(path)
            self.read[name] += 1
        except LesionflowError as error:
            self.refused[name] += 1
            text = str(error)
            lines = text.split("\n") if name in CONFIGURATIONS else [text]  # these list every parameter that is wrong
            named = path.name in text or path.parent.name in text or name == "preset"  # merged with --set when checked
            if not (named and all(line.isprintable() and len(line) < MOST_CHARACTERS for line in lines)):
                self.failures.append((name, f"error: {text[:300]!r}", content))
        except Exception as error:
            self.failures.append((name, f"{type(error).__name__}: {str(error)[:300]}", content))
        self.grown[name] += self.memory - before

    def run(self, count):
        """`count` inputs, each kind in turn, those that take long more rarely."""
        names = list(self.kinds)
        for number in range(count):
            name = names[number % len(names)]
            rest = number // len(names) % SLOW.get(name, 1)
            self.one(self.rng.choice([one for one in names if one not in SLOW]) if rest else name)
        return sum(self.read.values()) + sum(self.refused.values())


def main(run, count="100000", seed="0"):
    """Prints what happened; 1 where anything failed."""
    with tempfile.TemporaryDirectory() as folder:
        fuzz = Fuzz(Path(run), Path(folder), int(seed))
        fuzz.run(int(count))
        lines = [
            f"{name:22} {fuzz.read[name]:7,} read {fuzz.refused[name]:7,} refused {grown / 2**20:6.1f} MB more"
            for name, grown in ((name, fuzz.grown[name]) for name in fuzz.kinds)
        ]
        lines.append(
            f"{int(count):,} inputs, {len(fuzz.failures)} failures, {fuzz.memory / 2**20:.1f} MB of memory at most"
        )
        first = {(name, what[:60]): (what, content) for name, what, content in reversed(fuzz.failures)}
        lines += [f"  {name}: {what}\n    {content[:200]!r}" for (name, _), (what, content) in first.items()]
        sys.stdout.write("\n".join(lines) + "\n")
        return 1 if fuzz.failures or fuzz.memory > MOST_MEMORY else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
