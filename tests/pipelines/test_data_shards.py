"""`data_shards`: the data tasks as loops over parts, on the compiled pipeline and through KFP's local runner."""

import os
import subprocess
import sys

import pytest

from pipelines.cluster_file import STEPS, Cluster
from pipelines.compile import compile_pipeline
from pipelines.ir import executors, load_documents, placement, step_tasks

PARTS = ("ingest-part", "records-part")
RUN = """
import sys
from kfp import dsl, local
from components.split.component import split
from pipelines.cluster_file import Cluster
from pipelines.dag import _records, ingest_task

shards, metadata, images, root = int(sys.argv[1]), *sys.argv[2:]
placed = {"cluster": Cluster.parse({"data_shards": shards}), "selector": None, "tolerations": None}
ingest = {"metadata": metadata, "images": [images]}

@dsl.pipeline
def data(ingest: dict, split_config: dict, records: dict):
    index = ingest_task(ingest, placed)
    parts = split(index=index.outputs["index"], config=split_config)
    _records(parts.outputs["split_data"], records, parts, placed)

local.init(local.SubprocessRunner(use_venv=False), pipeline_root=root, raise_on_error=True)
data(ingest=ingest, split_config={}, records={"record_size": 72, "shard_bytes": 200000})
"""


@pytest.fixture(scope="module")
def divided():
    given = {"data_shards": 4, "data": {"pvc": "images", "mount_path": "/data"}, "sizes": {"records": {"cpu": "3"}}}
    return load_documents(compile_pipeline(Cluster.parse(given)))


def test_a_single_pod_needs_no_loop():
    tasks = step_tasks(load_documents(compile_pipeline(Cluster()))[0])
    assert not set(PARTS) & set(tasks)


def test_each_part_is_a_task_in_a_loop_over_json_texts(divided):
    spec, _ = divided
    tasks = step_tasks(spec)
    assert set(tasks) == {*STEPS, *PARTS, "report-end"}
    loops = [
        task["parameterIterator"]["items"]["raw"]
        for component in spec["components"].values()
        for task in component.get("dag", {}).get("tasks", {}).values()
        if "parameterIterator" in task
    ]
    assert len(loops) == 2
    for raw in loops:
        assert [f'\\"number\\": {i}, \\"of\\": 4' in raw for i in range(4)] == [True] * 4
    for step in ("ingest", "records"):
        collected = tasks[step]["inputs"]["artifacts"]["parts"]["taskOutputArtifact"]
        assert collected["producerTask"].startswith("for-loop")


def test_parts_run_where_and_as_their_step_runs(divided):
    spec, platform = divided
    placed, containers = placement(platform), executors(spec)
    for part in PARTS:
        step = part.removesuffix("-part")
        assert containers[part]["image"] == containers[step]["image"]
        assert containers[part]["resources"] == containers[step]["resources"]
        assert placed[part]["pvcMount"] == placed[step]["pvcMount"]
        assert placed[part]["podMetadata"]["labels"]["lesionflow/step"] == part


@pytest.fixture(scope="module")
def artifacts(sample, tmp_path_factory):
    """Index and records of the sample, made by one pod and by several."""
    made = {}
    for shards in (1, 2):
        root = tmp_path_factory.mktemp(f"shards{shards}")
        given = [str(shards), str(sample / "metadata.csv"), str(sample / "images"), str(root)]
        command = [sys.executable, "-c", RUN, *given]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ}, cwd=root)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
        (run,) = [path for path in root.iterdir() if path.is_dir()]
        made[shards] = (run / "ingest" / "index", run / "records" / "records")
        parts = [*run.rglob("verdicts"), *run.rglob("prepared")]
        assert len(parts) == (0 if shards == 1 else 2 * shards)
    return made


@pytest.mark.parametrize("which", [0, 1], ids=["index", "records"])
def test_kfps_local_runner_gives_the_bytes_of_one_pod(artifacts, which):
    one, several = ({p.name: p.read_bytes() for p in artifacts[n][which].iterdir()} for n in (1, 2))
    assert one == several
