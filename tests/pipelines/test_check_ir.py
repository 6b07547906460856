"""Each fault that KFP accepts and a cluster shows late is planted in a good file, and found."""

import pytest
import yaml
from kfp import compiler, dsl

from components.common.runtime.errors import ConfigError
from pipelines.check_ir import check_ir, load_documents
from pipelines.cluster_file import S3_KEYS, Cluster
from pipelines.placement import pipeline_config, place

CLUSTER = Cluster.parse(
    {
        "gpu": {"node_selector": {"a": "b"}},
        "gcs_credentials": {"secret": "gcs"},
        "s3": {"secret": "s3", "endpoint": "https://s3.example", "region": "eu-1"},
        "checkpoints": {"pvc": "ckpt"},
        "image_pull_secret": "pull",
        "labels": {"team": "derm"},
        "annotations": {"example.com/note": "kept"},
        "uncached_steps": ["split"],
    }
)


@dsl.component(base_image="lesionflow.invalid/sentinel", install_kfp_package=False)
def train(epochs: int = 1):
    pass


@dsl.component(base_image="lesionflow.invalid/sentinel", install_kfp_package=False)
def split(seed: int = 1):
    pass


def compile_text(tmp_path, build):
    target = tmp_path / "p.yaml"
    compiler.Compiler().compile(build, str(target))
    return target.read_text()


@pytest.fixture
def good(tmp_path):
    @dsl.pipeline(name="p", pipeline_config=pipeline_config(CLUSTER))
    def build(selector: dict = {}, tolerations: list = [], epochs: int = 3, gpus: str = "1"):  # noqa: B006
        first = split()
        place(first, "split", cluster=CLUSTER, selector=selector, tolerations=tolerations)
        second = train(epochs=epochs).after(first)
        place(second, "train", cluster=CLUSTER, selector=selector, tolerations=tolerations)

    return compile_text(tmp_path, build)


def faults(text, change):
    spec, platform = yaml.safe_load_all(text)
    change(spec, platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"])
    with pytest.raises(ConfigError) as caught:
        check_ir(yaml.safe_dump_all([spec, platform]), gpu_steps={"train"})
    return str(caught.value)


def test_a_good_file_passes(good):
    check_ir(good, gpu_steps={"train"})


def test_every_cluster_fact_reaches_the_file(good):
    spec, platform = load_documents(good)
    settings = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert settings["exec-train"]["pvcMount"][0]["constant"] == "ckpt"
    assert settings["exec-train"]["secretAsVolume"][0]["secretName"] == "gcs"
    assert settings["exec-train"]["fieldPathAsEnv"][0]["fieldPath"] == "metadata.labels['pipeline/runid']"
    (secret,) = settings["exec-train"]["secretAsEnv"]
    assert secret["secretName"] == "s3"
    assert {one["secretKey"]: one["envVar"] for one in secret["keyToEnv"]} == {key: key for key in S3_KEYS}
    for setting in ("secretAsVolume", "secretAsEnv"):
        assert setting not in settings["exec-split"], "split reads artifacts only"
    assert "env" not in _container(spec, "split")
    for step in ("train", "split"):
        body = settings[f"exec-{step}"]
        assert body["securityContext"] == {"runAsNonRoot": True, "runAsUser": "65532"}
        assert body["podMetadata"]["labels"] == {"lesionflow/step": step, "team": "derm"}
        assert body["podMetadata"]["annotations"] == {"example.com/note": "kept"}
        assert body["imagePullSecret"][0]["secretName"] == "pull"
    variables = {item["name"]: item["value"] for item in _container(spec, "train")["env"]}
    assert variables == {
        "GOOGLE_APPLICATION_CREDENTIALS": "/var/run/secrets/gcs/key.json",
        "LESIONFLOW_CHECKPOINT_ROOT": "/checkpoints",
        "AWS_ENDPOINT_URL": "https://s3.example",
        "AWS_REGION": "eu-1",
    }
    assert spec["root"]["dag"]["tasks"]["split"]["cachingOptions"] == {}
    assert spec["root"]["dag"]["tasks"]["train"]["cachingOptions"] == {"enableCache": True}
    config = platform["platforms"]["kubernetes"]["pipelineConfig"]
    assert config == {"activeDeadlineSeconds": 172800, "resourceTtlOnCompletion": 604800}


def _container(spec, step):
    return spec["deploymentSpec"]["executors"][f"exec-{step}"]["container"]


def test_one_document_alone_has_lost_its_selectors(good):
    with pytest.raises(ConfigError, match="expected two"):
        check_ir(good.split("\n---\n")[0], gpu_steps={"train"})


def _sentinel(spec, _):
    _container(spec, "split")["image"] = "lesionflow.invalid/sentinel"


def _pip(spec, _):
    _container(spec, "split")["command"].append("python3 -m pip install kfp")


def _undeclared(spec, _):
    spec["root"]["dag"]["tasks"]["train"]["inputs"]["parameters"]["epochs"] = {"componentInputParameter": "epoch"}


def _unknown_input(spec, _):
    spec["root"]["dag"]["tasks"]["train"]["inputs"]["parameters"]["epoch"] = {"componentInputParameter": "epochs"}


def _gpu_as_number(spec, _):
    accelerator = _container(spec, "train")["resources"]["accelerator"]
    accelerator["resourceCount"] = "{{$.inputs.parameters['pipelinechannel--epochs']}}"
    spec["root"]["dag"]["tasks"]["train"]["inputs"]["parameters"]["pipelinechannel--epochs"] = {
        "componentInputParameter": "epochs"
    }


def _gpu_not_given(spec, _):
    _container(spec, "train")["resources"]["accelerator"]["resourceCount"] = (
        "{{$.inputs.parameters['pipelinechannel--gpus']}}"
    )


def _condition(spec, _):
    spec["root"]["dag"]["tasks"]["train"]["triggerPolicy"] = {"condition": "inputs.x == 3"}


def _cached_exit(spec, _):
    spec["root"]["dag"]["tasks"]["train"]["triggerPolicy"] = {"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"}


def _no_selector(_, settings):
    del settings["exec-train"]["nodeSelector"]


def _gpu_elsewhere(_, settings):
    settings["exec-split"]["tolerations"] = settings["exec-train"]["tolerations"]


def _no_gpu(spec, _):
    del _container(spec, "train")["resources"]["accelerator"]


def _selector_from_nowhere(_, settings):
    settings["exec-train"]["nodeSelector"] = {"nodeSelectorJson": {"componentInputParameter": "selectr"}}


def _as_root(_, settings):
    del settings["exec-split"]["securityContext"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_sentinel, "split: image lesionflow.invalid/sentinel is the sentinel"),
        (_pip, "split: installs packages when the pod starts"),
        (_undeclared, "root.train: input epochs reads epoch, which root does not declare"),
        (_unknown_input, "root.train: passes epoch, which the component does not declare"),
        (_gpu_as_number, "resource resourceCount is NUMBER_INTEGER; the driver reads text only"),
        (_gpu_not_given, "reads pipelinechannel--gpus, which the task is not given"),
        (_condition, "raise inside the component instead"),
        (_cached_exit, "the exit task is cached"),
        (_no_selector, "train: nodeSelector is missing"),
        (_gpu_elsewhere, "split: tolerations is set"),
        (_no_gpu, "train: does not ask for a GPU"),
        (_selector_from_nowhere, "a Kubernetes setting reads selectr, which root does not declare"),
        (_as_root, "split: may run as root"),
    ],
)
def test_a_planted_fault_is_found(good, change, words):
    assert words in faults(good, change)


def test_the_exit_handler_trap_is_found(tmp_path):
    """kfp compiles this without a word: inside the handler, the CPU parameter is declared nowhere."""

    @dsl.pipeline(name="p")
    def build(cpu: str = "1"):
        done = split()
        with dsl.ExitHandler(done):
            train().set_cpu_limit(cpu)

    with pytest.raises(ConfigError, match=r"does not declare|expected two") as caught:
        text = compile_text(tmp_path, build)
        check_ir(
            f"{text}\n---\nplatforms:\n  kubernetes:\n    deploymentSpec:\n      executors: {{}}\n", gpu_steps=set()
        )
    assert "cpu" in str(caught.value)
