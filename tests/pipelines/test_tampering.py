"""Tamperings with the artifact store between two tasks, on the artifacts of a real run.

`docs/explanation/tampering.md` shows how each ends; `LESIONFLOW_WRITE_PAGES=1 pytest tests/pipelines/test_tampering.py`
writes its table anew.
"""

import importlib.util
import os
import shutil
import sys
from collections import Counter
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from kfp import dsl

from components.common.artifacts.folder import MANIFEST, open_artifact, sha256_file
from components.common.artifacts.noted import note_digest, noted_path
from components.common.artifacts.scores import load_scores
from components.common.bundle.signing import check_signature, sign_bundle
from components.common.runtime.errors import ArtifactError, LesionflowError


def beside(name):
    """A module that lies beside and is no test."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


t = beside("tamperings")
for further in ("tamperings_of_data", "tamperings_of_models"):
    beside(further)
PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "tampering.md"
STEPS = tuple(t.READERS)


@pytest.fixture(scope="module")
def runs(finished, tmp_path_factory):
    """Two runs: that of the fixture with a gate, and one that differs in every artifact."""
    root = tmp_path_factory.mktemp("runs")
    for name in ("this", "older"):
        for step in STEPS:
            shutil.copytree(finished.out / step, root / name / step)
    this, older = root / "this", root / "older"
    for run in (this, older):
        t.document(run / "evaluate" / "context.json", settings={**t.ASKED, "seed": 0})
    t.evaluated_again(this / "evaluate", load_scores(this / "evaluate" / "test_probs.npz"))
    t.age(older, this)
    return this, older


def test_what_nobody_touched_is_accepted_by_every_reader(runs, tmp_path):
    this, _ = runs
    for read in (*t.READERS.values(), t.by_register, t.by_whoever_loads_it, t.by_evaluate_of_what_was_trained):
        read(this, tmp_path)


@pytest.mark.parametrize("one", t.TAMPERINGS, ids=lambda one: f"{one.step}: {one.what}")
def test_a_tampering_ends_as_the_page_says(one, runs, tmp_path):
    this, older = runs
    store = tmp_path / "store"
    shutil.copytree(this, store)
    given = dsl.Artifact(uri=str(store / one.step))
    note_digest(given)
    before = sha256_file(store / one.step / MANIFEST)
    one.edit(store, older)
    if sha256_file(store / one.step / MANIFEST) != before:  # what only hashes find is for the reader below
        with pytest.raises(ArtifactError, match="it was replaced in the artifact store"):
            noted_path(given)
    if one.end == t.LATER:
        t.READERS[one.step](store, tmp_path)
    if one.end == t.DIGEST:
        one.read(store, tmp_path)
        assert sha256_file(store / one.step / MANIFEST) != before
    else:
        with pytest.raises(LesionflowError) as error:
            one.read(store, tmp_path)
        assert one.said in str(error.value), str(error.value)
        assert "\n" not in str(error.value)


def test_a_signature_refuses_whatever_is_done_to_a_bundle(runs, tmp_path):
    this, older = runs
    key = ec.generate_private_key(ec.SECP256R1())
    private, public = tmp_path / "key.pem", tmp_path / "key.pub"
    pem = serialization.Encoding.PEM
    private.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    public.write_bytes(key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo))
    signed = tmp_path / "signed"
    shutil.copytree(this, signed)
    sign_bundle(signed / "export", private)
    t.by_evaluate(signed, tmp_path)
    check_signature(open_artifact(signed / "export", "bundle"), public)
    for number, one in enumerate(one for one in t.TAMPERINGS if one.step == "export"):
        store = tmp_path / str(number)
        shutil.copytree(signed, store)
        one.edit(store, older)
        with pytest.raises(LesionflowError):
            check_signature(open_artifact(store / "export", "bundle"), public)


def table():
    count = Counter(one.end for one in t.TAMPERINGS)
    ends = (t.REFUSED, t.LATER, t.DIGEST)
    lines = [f"{len(t.TAMPERINGS)} tamperings: " + ", ".join(f"{count[end]} {end}" for end in ends) + ".", ""]
    lines += ["| artifact of | what is done to it | without Kubeflow's database |", "|---|---|---|"]
    return [*lines, *(f"| {one.step} | {one.what} | {one.end} |" for one in t.TAMPERINGS)]


def test_the_page_shows_every_tampering():
    start, end = "<!-- table -->\n", "<!-- end of table -->\n"
    text = PAGE.read_text()
    head, tail = text.split(start)[0], text.split(end)[1]
    written = head + start + "\n".join(table()) + "\n" + end + tail
    if os.environ.get("LESIONFLOW_WRITE_PAGES"):
        PAGE.write_text(written)
    assert text == written, "LESIONFLOW_WRITE_PAGES=1 pytest tests/pipelines/test_tampering.py writes the page anew"
