"""A few thousand damaged documents; `python tests/fuzz_documents.py RUN` reads a hundred thousand."""

import importlib.util
import shutil
from pathlib import Path

import pandas as pd
import pytest

_SPEC = importlib.util.spec_from_file_location(
    "fuzz_documents", Path(__file__).resolve().parents[1] / "fuzz_documents.py"
)
fuzz_documents = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(fuzz_documents)


@pytest.fixture(scope="module")
def documents(finished, sample, lesionflow, tmp_path_factory):
    """The run with what goes to another clinic and what comes back from there."""
    folder = tmp_path_factory.mktemp("documents")
    for one in finished.out.iterdir():
        (folder / one.name).symlink_to(one)
    on_images = ("--metadata", sample / "metadata.csv", "--images", sample / "images")
    for command in (
        ("bundle", "handover", "export", "--evaluation", "evaluate", "--out", "handover"),
        ("validate", "handover", *on_images, "--set", "max_overlap_pct=100", "--out", "validation"),
    ):
        done = lesionflow(*map(str, command), cwd=folder)
        assert done.returncode == 0, done.stderr
    logs = folder / "logs"
    logs.mkdir()
    shutil.copy(folder / "export" / "decision_policy.json", logs)
    policy = fuzz_documents._policy(logs / "log.csv").policy_id
    rows = [{"image": f"{i}.jpg", "status": "ok", "probability": i / 20, "policy_id": policy} for i in range(20)]
    pd.DataFrame(rows).to_csv(logs / "log.csv", index=False)
    pd.DataFrame(rows).to_json(logs / "log.jsonl", orient="records", lines=True)
    (logs / "labels.csv").write_text("image,label,time\n" + "".join(f"{i}.jpg,{i % 2},2026-11-28\n" for i in range(20)))
    return folder


def test_every_damaged_document_is_read_or_refused_in_one_line_and_little_memory(documents, tmp_path):
    fuzz = fuzz_documents.Fuzz(documents, tmp_path, seed=1)
    assert set(fuzz.kinds) == set(fuzz_documents.KINDS) - {"openings.json"} | set(fuzz.kinds) & {"openings.json"}
    fuzz.run(3000)
    assert [(name, what) for name, what, _ in fuzz.failures] == []
    assert sum(fuzz.refused.values()) > 2000
    assert fuzz.memory < fuzz_documents.MOST_MEMORY
