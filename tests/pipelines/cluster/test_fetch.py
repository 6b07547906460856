"""What a run has made comes back from the store: whole, checked, and nowhere but into the folder asked for."""

import shutil

import pytest

from components.common.artifacts.folder import new_artifact, open_artifact
from components.common.runtime.errors import ArtifactError, ConfigError
from components.common.storage import store
from components.common.storage.retry import StoredObject
from pipelines.cli.main import build_parser
from pipelines.cluster import fetch as fetch_module
from pipelines.cluster.errors import ClusterError
from pipelines.cluster.fetch import fetch

EXECUTION = "0a1b2c3d-0000-4000-8000-000000000001"
SETTINGS = "/api/v1/namespaces/derm/configmaps/kfp-launcher"


@pytest.fixture
def stored(cluster, run_id, make_run, tmp_path):
    """A finished run whose artifacts lie in a folder, laid out as Kubeflow lays them out."""
    root = tmp_path / "root"
    steps = root / "lesionflow" / run_id
    for step, output, kind in (("evaluate", "evaluation", "evaluation"), ("export", "bundle", "bundle")):
        target = steps / step / EXECUTION / output
        target.parent.mkdir(parents=True)
        with new_artifact(target, kind, {}) as folder:
            (folder / "deep").mkdir()
            (folder / "deep" / "file.txt").write_text(f"made by {step}")
    (steps / "evaluate" / EXECUTION / "report").write_text("<html>")
    states = {"ingest": "CACHED", "export": "SUCCEEDED", "evaluate": "SUCCEEDED", "gate": "FAILED"}
    cluster.on("GET", f"/apis/v2beta1/runs/{run_id}", (200, make_run("FAILED", states)))
    cluster.on("GET", SETTINGS, (200, {"data": {"defaultPipelineRoot": str(root)}}))
    return steps


def test_bundle_and_evaluation_come_back_as_they_were_made(stored, connection, run_id, tmp_path):
    out = tmp_path / "results"
    assert fetch(connection, run_id, ["export", "evaluate"], out) == [out / "export", out / "evaluate"]
    assert (out / "export" / "bundle" / "deep" / "file.txt").read_text() == "made by export"
    assert (out / "evaluate" / "report").read_text() == "<html>"
    assert {path.name for path in out.iterdir()} == {"export", "evaluate"}


@pytest.mark.parametrize(
    ("step", "before", "after"),
    [("validate", {"ingest": "SUCCEEDED"}, {}), ("monitor", {}, {"alarm": "FAILED"})],
)
def test_of_another_pipeline_its_own_report_comes_back(
    step, before, after, stored, cluster, connection, run_id, make_run, tmp_path
):
    """Kubeflow keeps it in the folder of that pipeline."""
    target = stored.parents[1] / f"lesionflow-{step}" / run_id / step / EXECUTION / "made"
    target.parent.mkdir(parents=True)
    with new_artifact(target, step, {}) as folder:
        (folder / "report.html").write_text("<html>")
    states = {"check": "SUCCEEDED", **before, step: "SUCCEEDED", **after}
    state = "FAILED" if after else "SUCCEEDED"
    cluster.on("GET", f"/apis/v2beta1/runs/{run_id}", (200, make_run(state, states)))
    out = tmp_path / "results"
    assert fetch(connection, run_id, [], out) == [out / step]
    assert (out / step / "made" / "report.html").read_text() == "<html>"


def test_the_command_takes_steps_by_name(stored, cluster, run_id, tmp_path, capsys):
    line = ["fetch", run_id, "--host", cluster.url, "--step", "evaluate", "--out", str(tmp_path / "results")]
    parsed = build_parser().parse_args(line)
    parsed.run(parsed)
    assert capsys.readouterr().out == f"{tmp_path / 'results' / 'evaluate'}\n"
    with pytest.raises(ConfigError, match="--step: received 'evalute'; did you mean 'evaluate'"):
        build_parser().parse_args([*line[:-3], "evalute", "--out", "x"])


def test_a_file_that_was_changed_in_the_store_is_refused_and_nothing_is_left(stored, connection, run_id, tmp_path):
    (stored / "export" / EXECUTION / "bundle" / "deep" / "file.txt").write_text("changed")
    with pytest.raises(ArtifactError):
        fetch(connection, run_id, ["export"], tmp_path / "results")
    assert not list((tmp_path / "results").iterdir())


def test_of_several_executions_each_one_is_kept_and_checked(stored, connection, run_id, tmp_path):
    """Members of a run, or attempts."""
    second = "0a1b2c3d-0000-4000-8000-000000000002"
    shutil.copytree(stored / "export" / EXECUTION, stored / "export" / second)
    fetch(connection, run_id, ["export"], tmp_path / "results")
    assert {path.name for path in (tmp_path / "results" / "export").iterdir()} == {EXECUTION, second}
    (stored / "export" / second / "bundle" / "deep" / "file.txt").write_text("changed")
    with pytest.raises(ArtifactError):
        fetch(connection, run_id, ["export"], tmp_path / "again")


def test_what_is_there_already_is_left_alone(stored, connection, run_id, tmp_path):
    (tmp_path / "results" / "export").mkdir(parents=True)
    with pytest.raises(ConfigError, match="already exists"):
        fetch(connection, run_id, ["export"], tmp_path / "results")


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ("gate", "gate is failed and has made nothing"),
        ("records", "records is not run"),
    ],
)
def test_a_step_that_has_made_nothing_says_why(stored, connection, run_id, tmp_path, step, words):
    with pytest.raises(ClusterError, match=words):
        fetch(connection, run_id, [step], tmp_path / "results")


def test_names_that_lead_out_of_the_folder_are_refused(stored, connection, run_id, tmp_path, monkeypatch):
    listed = [StoredObject("s3://b/lesionflow/x/export/../../evil", "evil", 1, "")]
    monkeypatch.setattr(store, "list_files", lambda _: listed)
    monkeypatch.setattr(store, "is_local", lambda _: False)
    monkeypatch.setattr(fetch_module.store, "read_bytes", lambda _: b"x")
    with pytest.raises(ClusterError, match="leads out of the folder"):
        fetch(connection, run_id, ["export"], tmp_path / "results", "s3://b")


@pytest.mark.parametrize("answer", [(404, {"message": "no"}), (403, {"message": "no"}), (200, {"data": {}})])
def test_kubeflows_own_store_is_reached_by_a_port_forward(
    stored, cluster, connection, run_id, tmp_path, monkeypatch, answer
):
    cluster.on("GET", SETTINGS, answer)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with pytest.raises(ConfigError, match="kubectl port-forward -n kubeflow svc/minio-service 9000"):
        fetch(connection, run_id, ["export"], tmp_path / "results")
    asked = []
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://localhost:9000")
    monkeypatch.setattr(store, "list_files", lambda uri: asked.append(uri) or [])
    with pytest.raises(ClusterError, match="give the store's folder with --pipeline-root"):
        fetch(connection, run_id, ["export"], tmp_path / "results")
    assert asked == [f"s3://mlpipeline/v2/artifacts/lesionflow/{run_id}/export"]


EARLIER, OTHER = "11111111-0000-4000-8000-000000000000", "22222222-0000-4000-8000-000000000000"
RUNS = "/apis/v2beta1/runs"


def put(root, run, step, output, kind, made_from, text="x"):
    """An artifact in the store; its digest."""
    target = root / run / step / EXECUTION / output
    target.parent.mkdir(parents=True)
    with new_artifact(target, kind, made_from) as folder:
        (folder / "file.txt").write_text(text)
    return open_artifact(target, kind).digest


@pytest.fixture
def reused(cluster, run_id, make_run, tmp_path):
    """A run that reused split and ingest of an earlier one; a run in between split other data."""
    root = tmp_path / "root" / "lesionflow"
    index = put(root, EARLIER, "ingest", "index", "index", {"metadata": "0" * 64})
    split = put(root, EARLIER, "split", "split_data", "split", {"index": index}, "the split")
    put(root, OTHER, "split", "split_data", "split", {"index": "f" * 64}, "another split")
    put(root, run_id, "records", "records", "records", {"split": split})
    states = {"ingest": "CACHED", "split": "CACHED", "records": "SUCCEEDED"}
    cluster.on("GET", f"{RUNS}/{run_id}", (200, make_run("SUCCEEDED", states)))
    cluster.on("GET", SETTINGS, (200, {"data": {"defaultPipelineRoot": str(tmp_path / "root")}}))
    pages = [
        {"runs": [{"run_id": run_id}, {"run_id": OTHER}], "next_page_token": "more"},
        {"runs": [{"run_id": EARLIER}]},
    ]
    cluster.on("GET", RUNS, lambda request: (200, pages[request.query.get("page_token") == ["more"]]))
    return root


def test_a_cached_step_is_fetched_from_the_run_that_made_it(reused, connection, run_id, tmp_path, capsys):
    fetch(connection, run_id, ["split", "ingest"], tmp_path / "results")
    assert (tmp_path / "results" / "split" / "split_data" / "file.txt").read_text() == "the split"
    assert (tmp_path / "results" / "ingest" / "index" / "file.txt").is_file()
    assert f"split: from the cache, made by run {EARLIER}" in capsys.readouterr().err


def test_a_cached_step_whose_maker_was_removed_is_not_replaced_by_a_similar_one(reused, connection, run_id, tmp_path):
    shutil.rmtree(reused / EARLIER / "split")
    with pytest.raises(ClusterError, match="none of 2 earlier runs has it in the store"):
        fetch(connection, run_id, ["split"], tmp_path / "results")
    assert not (tmp_path / "results").exists()


def test_a_run_that_was_cached_as_a_whole_names_runs_with_the_same_parameters(
    reused, cluster, connection, run_id, make_run, tmp_path
):
    """Nothing that ran anew says which result was reused, so none is taken for it."""
    shutil.rmtree(reused / run_id)
    mine = {"parameters": {"seed": 42}}
    whole = {**make_run("SUCCEEDED", {"split": "CACHED", "records": "CACHED"}), "runtime_config": mine}
    cluster.on("GET", f"{RUNS}/{run_id}", (200, whole))
    listed = [
        {"run_id": OTHER, "runtime_config": {"parameters": {"seed": 1}}},
        {"run_id": EARLIER, "runtime_config": mine},
    ]
    cluster.on("GET", RUNS, (200, {"runs": listed}))
    with pytest.raises(
        ClusterError, match=rf"the same parameters had: {EARLIER} \(lesionflow fetch RUN --step split\)"
    ):
        fetch(connection, run_id, ["split"], tmp_path / "results")
