"""The compiled pipeline, both documents: what a cluster needs stands where it belongs, and only there."""

import json
import os
import subprocess
import sys

import pytest

from components.common.runtime.errors import ConfigError
from pipelines.cluster_file import EXIT_TASK, STEPS, Cluster
from pipelines.compile import compile_pipeline, write_pipeline
from pipelines.ir import executors, load_documents, placement, step_tasks

GKE = {
    "images": {name: f"registry.example/lesionflow-{name}@sha256:{'a' * 64}" for name in ("data", "cpu", "gpu")},
    "gpu": {"count": 2, "node_selector": {"cloud.google.com/gke-accelerator": "nvidia-tesla-t4"}},
    "training": {"shm": "16Gi", "timeout_s": 7200, "retries": 2},
}


@pytest.fixture(scope="module")
def text():
    return compile_pipeline(Cluster.parse(GKE))


@pytest.fixture(scope="module")
def spec(text):
    return load_documents(text)[0]


@pytest.fixture(scope="module")
def placed(text):
    return placement(load_documents(text)[1])


def test_equal_inputs_give_equal_bytes_in_any_process(text):
    """A process orders the entries of sets and of protobuf's mappings by its own hash seed."""
    code = (
        "import json, sys; from pipelines.cluster_file import Cluster; from pipelines.compile import compile_pipeline; "
        "sys.stdout.write(compile_pipeline(Cluster.parse(json.loads(sys.argv[1]))))"
    )
    for seed in ("1", "2", "3"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run(
            [sys.executable, "-c", code, json.dumps(GKE)], capture_output=True, text=True, check=True, env=environment
        )
        assert done.stdout == text


def test_the_comment_names_the_parameters_required_ones_first(text):
    head = [line for line in text.splitlines() if line.startswith("#")]
    assert head[1:3] == ["#   metadata: required", "#   images: required"]
    assert f"#   gpu_node_selector: {json.dumps(GKE['gpu']['node_selector'])}" in head


def test_every_step_is_there_and_has_its_image(spec):
    images = {name: container["image"] for name, container in executors(spec).items()}
    assert set(images) == {*STEPS, EXIT_TASK}
    assert images["train"] == GKE["images"]["gpu"]
    assert images["evaluate"] == images["export"] == GKE["images"]["cpu"]
    assert images["ingest"] == images["gate"] == GKE["images"]["data"]


def test_the_training_pod_asks_for_its_gpus(spec, placed):
    resources = executors(spec)["train"]["resources"]
    assert resources["accelerator"]["resourceType"] == "nvidia.com/gpu"
    assert resources["accelerator"]["resourceCount"] == "2"
    train = placed["train"]
    assert train["nodeSelector"]["nodeSelectorJson"]["componentInputParameter"] == "gpu_node_selector"
    assert train["tolerations"][0]["tolerationJson"]["componentInputParameter"] == "gpu_tolerations"
    assert train["emptyDirMounts"] == [
        {"medium": "Memory", "mountPath": "/dev/shm", "sizeLimit": "16Gi", "volumeName": "dshm"}
    ]
    assert train["activeDeadlineSeconds"] == "7200"


@pytest.mark.parametrize(
    ("training", "deadline_s"),
    [
        ({"timeout_s": 300, "retries": 2, "retry_wait_s": 10}, 3600),  # minutes
        ({"timeout_s": 7200, "retries": 4}, 86_400),  # hours
        ({"timeout_s": 172_800, "retries": 3}, 259_200),  # days, and more attempts than the deadline has room for
        ({"timeout_s": 86_400, "retries": 10, "retry_wait_s": 60, "retry_wait_factor": 1.5}, 172_800),
    ],
)
def test_a_lost_training_pod_is_retried_at_any_time_until_the_runs_deadline(training, deadline_s):
    cluster = Cluster.parse({**GKE, "training": training, "deadline_s": deadline_s})
    policy = step_tasks(load_documents(compile_pipeline(cluster))[0])["train"]["retryPolicy"]
    waits = [cluster.training.retry_wait_s * cluster.training.retry_wait_factor**n for n in range(training["retries"])]
    attempts = (training["retries"] + 1) * training["timeout_s"] + sum(waits)
    assert policy["maxRetryCount"] == training["retries"]
    assert policy["backoffDuration"] == f"{cluster.training.retry_wait_s}s"
    assert policy["backoffFactor"] == cluster.training.retry_wait_factor
    # Argo's maxDuration: no attempt starts, and none goes on, after this many seconds since the first one started
    allowed_s = float(policy["backoffMaxDuration"].removesuffix("s"))
    assert allowed_s >= attempts
    assert allowed_s >= deadline_s


def test_claims_with_data_are_mounted_where_images_tables_and_weights_are_read():
    volumes = [{"pvc": "images", "mount_path": "/data"}, {"pvc": "weights", "mount_path": "/weights"}]
    given = {**GKE, "data": volumes, "checkpoints": {"pvc": "ckpt"}, "registry": {"server": "http://registry.example"}}
    placed = placement(load_documents(compile_pipeline(Cluster.parse(given)))[1])
    mounted = {
        step: {mount["constant"]: mount["mountPath"] for mount in settings.get("pvcMount", [])}
        for step, settings in placed.items()
    }
    both = {"images": "/data", "weights": "/weights"}
    readers = {"check", "ingest", "feasibility", "records", "export"}
    assert {step: mounts for step, mounts in mounted.items() if mounts} == {
        **dict.fromkeys(readers, both),
        "train": {**both, "ckpt": "/checkpoints"},
        "evaluate": {**both, "ckpt": "/checkpoints"},  # the test ledger
    }


def test_only_training_is_retried():
    """Kubeflow repeats every failure alike: another step would read all its data again before it says what is wrong."""
    tasks = step_tasks(load_documents(compile_pipeline(Cluster.parse({**GKE, "data_shards": 3})))[0])
    assert {name for name, task in tasks.items() if "retryPolicy" in task} == {"train"}


def test_without_retries_a_failed_step_is_not_repeated():
    """As `lesionflow run` compiles it."""
    tasks = step_tasks(load_documents(compile_pipeline(Cluster.parse({"training": {"retries": 0}})))[0])
    assert not any(task.get("retryPolicy", {}).get("maxRetryCount") for task in tasks.values())


def test_the_other_pods_ask_for_no_gpu(spec, placed):
    for name in set(STEPS) - {"train"}:
        assert "accelerator" not in executors(spec)[name].get("resources", {})
        assert "nodeSelector" not in placed.get(name, {})


def test_selector_and_tolerations_are_defaults_the_ui_can_change(spec):
    inputs = spec["root"]["inputDefinitions"]["parameters"]
    assert inputs["gpu_node_selector"]["defaultValue"] == GKE["gpu"]["node_selector"]
    assert inputs["gpu_tolerations"]["defaultValue"] == [
        {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
    ]


def test_every_parameter_has_a_type_and_a_description(spec):
    for name, definition in spec["root"]["inputDefinitions"]["parameters"].items():
        assert definition["parameterType"] in {"STRING", "NUMBER_INTEGER", "NUMBER_DOUBLE", "LIST", "STRUCT"}
        assert len(definition["description"]) > 15, name


def test_the_form_names_the_defaults_that_stand_in_it():
    given = {"epochs": 25, "images": ["gs://bucket/skin"], "options": {"train.schedule": "plateau"}}
    spec = load_documents(compile_pipeline(Cluster.parse(GKE), given))[0]
    inputs = spec["root"]["inputDefinitions"]["parameters"]
    assert inputs["epochs"]["description"].endswith("default 25)")
    assert inputs["images"]["description"].startswith("Data: ")
    assert inputs["images"]["description"].endswith('default ["gs://bucket/skin"])')
    assert inputs["metadata"]["description"].startswith("Data, required: ")
    assert json.dumps(GKE["gpu"]["node_selector"]) in inputs["gpu_node_selector"]["description"]


def test_every_input_and_output_of_a_task_has_a_description(spec):
    for name, component in spec["components"].items():
        if "dag" in component:
            continue
        for side in ("inputDefinitions", "outputDefinitions"):
            for kind in ("parameters", "artifacts"):
                for what, definition in component.get(side, {}).get(kind, {}).items():
                    assert definition.get("description"), (name, what)


def test_the_exit_task_waits_for_all_steps_however_they_end_and_is_never_cached(spec):
    root = spec["root"]["dag"]["tasks"]
    assert set(root) == {"steps", EXIT_TASK}
    ending = root[EXIT_TASK]
    assert ending["dependentTasks"] == ["steps"]
    assert ending["triggerPolicy"]["strategy"] == "ALL_UPSTREAM_TASKS_COMPLETED"
    assert ending["inputs"]["parameters"]["status"] == {"taskFinalStatus": {"producerTask": "steps"}}
    assert ending["cachingOptions"] == {}
    assert set(step_tasks(spec)) == {*STEPS, EXIT_TASK}


def test_the_nested_pipeline_is_given_every_parameter(spec):
    declared = set(spec["root"]["inputDefinitions"]["parameters"])
    assert set(spec["root"]["dag"]["tasks"]["steps"]["inputs"]["parameters"]) == declared


def test_a_cpu_cluster_trains_on_the_cpu_image():
    spec = load_documents(compile_pipeline(Cluster.parse({**GKE, "gpu": {"count": 0}})))[0]
    assert executors(spec)["train"]["image"] == GKE["images"]["cpu"]
    assert "accelerator" not in executors(spec)["train"]["resources"]


def test_without_a_gpu_selector_and_tolerations_place_the_training_as_well():
    """They are parameters in every run's form: one that did nothing would not be noticed."""
    large = {"pool": "large"}
    spec, platform = load_documents(compile_pipeline(Cluster.parse({"gpu": {"count": 0, "node_selector": large}})))
    inputs = spec["root"]["inputDefinitions"]["parameters"]
    assert (inputs["gpu_node_selector"]["defaultValue"], inputs["gpu_tolerations"]["defaultValue"]) == (large, [])
    train = placement(platform)["train"]
    assert train["nodeSelector"]["nodeSelectorJson"]["componentInputParameter"] == "gpu_node_selector"
    assert train["tolerations"][0]["tolerationJson"]["componentInputParameter"] == "gpu_tolerations"


def test_what_the_cluster_file_says_about_parameters_is_fixed_when_it_is_compiled():
    said = {"serving": {"formats": ["onnx", "litert"]}, "ingest_cache": "gs://bucket/verdicts"}
    spec = load_documents(compile_pipeline(Cluster.parse({**GKE, **said})))[0]
    given = step_tasks(spec)["check"]["inputs"]["parameters"]["cluster_options"]["runtimeValue"]["constant"]
    assert given == {"export.formats": ["onnx", "litert"], "ingest.cache": "gs://bucket/verdicts"}
    with pytest.raises(ConfigError, match="ingest_cache"):
        Cluster.parse({"ingest_cache": "/data/cache"})


def test_an_unknown_format_is_refused():
    with pytest.raises(ConfigError, match=r"serving\.formats"):
        Cluster.parse({"serving": {"formats": ["tflite"]}})


def test_a_preset_becomes_the_defaults(tmp_path):
    write_pipeline(
        tmp_path / "deep" / "p.yaml", Cluster.parse(GKE), {"epochs": 3, "options": {"train.schedule": "plateau"}}
    )
    spec, _ = load_documents((tmp_path / "deep" / "p.yaml").read_text())
    inputs = spec["root"]["inputDefinitions"]["parameters"]
    assert inputs["epochs"]["defaultValue"] == 3
    assert inputs["options"]["defaultValue"] == {"train.schedule": "plateau"}
