"""The digest of an artifact travels past the artifact store, where nobody who writes to it can change it."""

import inspect

import pytest
from kfp import dsl

from components.calibrate.component import calibrate
from components.common.artifacts.folder import new_artifact, open_artifact
from components.common.artifacts.noted import DIGEST, note_digest, noted_path
from components.common.runtime.errors import ArtifactError
from components.evaluate.component import evaluate, gate
from components.export.component import export
from components.ingest.component import ingest
from components.records.component import records
from components.split.component import feasibility, split
from components.train.component import train
from components.validate.component import validate
from pipelines.registry.task import register


def written(folder, content="content"):
    with new_artifact(folder, "index", {}) as out:
        (out / "file").write_text(content)
    return folder


def test_what_was_handed_over_is_taken(tmp_path):
    made = dsl.Dataset(uri=str(written(tmp_path / "made")))
    note_digest(made)
    assert made.metadata == {DIGEST: open_artifact(tmp_path / "made", "index").digest}
    assert noted_path(dsl.Dataset(uri=made.uri, metadata=made.metadata)) == tmp_path / "made"


def test_what_was_replaced_with_consistent_hashes_is_refused(tmp_path):
    made = dsl.Dataset(uri=str(written(tmp_path / "made")))
    note_digest(made)
    written(tmp_path / "made", "other content")
    open_artifact(tmp_path / "made", "index")
    with pytest.raises(ArtifactError, match=r"it was replaced in the artifact store: run that task again"):
        noted_path(made)


def test_an_artifact_made_before_digests_were_noted_is_taken_as_it_is(tmp_path):
    assert noted_path(dsl.Dataset(uri=str(written(tmp_path / "made")))) == tmp_path / "made"


@pytest.mark.parametrize(
    "task",
    [ingest, split, feasibility, records, train, calibrate, export, evaluate, gate, register, validate],
    ids=lambda task: task.name,
)
def test_every_task_compares_what_it_is_given_and_notes_what_it_made(task):
    code = inspect.getsource(task.python_func)
    spec = task.component_spec
    given = [name for name, one in (spec.inputs or {}).items() if one.type.startswith("system.")]
    # of what it makes, one is an artifact of ours; the others are shown by KFP only
    assert code.count("noted_path(") >= bool(given)
    for name in given:
        assert f"Path({name}.path)" not in code
    if task not in (feasibility, gate, register):
        assert code.count("note_digest(") == 1
