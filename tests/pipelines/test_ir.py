"""Faults that KFP accepts and a cluster shows late: our own DAG has none of them for any cluster, and each is found."""

import re

import pytest
import yaml
from google.protobuf import json_format
from kfp import compiler, dsl
from kfp.kubernetes.kubernetes_executor_config_pb2 import KubernetesExecutorConfig
from kfp.pipeline_spec.pipeline_spec_pb2 import PipelineSpec

from components.common.runtime.errors import ConfigError
from pipelines.cluster_file import CLUSTERS, S3_KEYS, Cluster, load_cluster
from pipelines.compile import compile_pipeline
from pipelines.form_dag import MONITORING, VALIDATION
from pipelines.ir import executors, load_documents, placement
from pipelines.placement import pipeline_config, place

SENTINEL = "lesionflow.invalid"
PLACEHOLDER = re.compile(r"\{\{\$\.inputs\.parameters\['([^']+)'\]\}\}")


def faults(text, *, gpu_steps):
    """Every fault of a compiled file, one line each; `gpu_steps` must ask for a GPU and no other may."""
    spec, platform = load_documents(text)
    return [
        *undeclared(spec["root"], "root", spec),
        *containers(spec),
        *resources(spec),
        *triggers(spec),
        *gpus(spec, platform, gpu_steps),
        *settings_of(spec, platform),
    ]


def undeclared(component, where, spec):
    declared = set(component.get("inputDefinitions", {}).get("parameters", {}))
    for task_name, task in component.get("dag", {}).get("tasks", {}).items():
        inner = spec["components"][task["componentRef"]["name"]]
        known = set(inner.get("inputDefinitions", {}).get("parameters", {}))
        for name, source in task.get("inputs", {}).get("parameters", {}).items():
            outer = source.get("componentInputParameter")
            if outer and outer not in declared:
                yield f"{where}.{task_name}: input {name} reads {outer}, which {where} does not declare"
            # kfp adds pipelinechannel-- inputs for resources set from parameters: the driver resolves those
            if name not in known and not name.startswith("pipelinechannel--"):
                yield f"{where}.{task_name}: passes {name}, which the component does not declare"
        if "dag" in inner:
            yield from undeclared(inner, f"{where}.{task_name}", spec)


def containers(spec):
    for name, container in executors(spec).items():
        if SENTINEL in container["image"]:
            yield f"{name}: image {container['image']} is the sentinel; no image was set for this step"
        if any("pip install" in part or "pip3 install" in part for part in container.get("command", [])):
            yield f"{name}: installs packages when the pod starts; set install_kfp_package=False"


def resources(spec):
    """Resources set from parameters: the driver reads text only, and silently ignores numbers."""
    for where, task_name, task, types in tasks_of(spec):
        inner = spec["components"][task["componentRef"]["name"]]
        container = container_of(spec, inner)
        given = task.get("inputs", {}).get("parameters", {})
        for key, value in leaves(container.get("resources", {})):
            if key == "resourceCount" and not isinstance(value, str):
                yield f"{task_name}: resource {key} is {value!r}; the driver reads text only"
            for name in PLACEHOLDER.findall(value) if isinstance(value, str) else ():
                if name not in given:
                    yield f"{where}.{task_name}: resource {key} reads {name}, which the task is not given"
                    continue
                source = given[name].get("componentInputParameter", "")
                if types.get(source) not in ("STRING", None):
                    yield f"{where}.{task_name}: resource {key} is {types[source]}; the driver reads text only"


def triggers(spec):
    """Exit tasks must run anew each time; conditions compare floats with int literals and are false for ever."""
    for where, task_name, task, _ in tasks_of(spec):
        trigger = task.get("triggerPolicy", {})
        if "condition" in trigger:
            yield f"{where}.{task_name}: condition {trigger['condition']!r}; raise inside the component instead"
        is_exit = trigger.get("strategy") == "ALL_UPSTREAM_TASKS_COMPLETED"
        if is_exit and task.get("cachingOptions", {}).get("enableCache"):
            yield f"{where}.{task_name}: the exit task is cached and would report an earlier run"


def gpus(spec, platform, gpu_steps):
    placed = placement(platform)
    for name, container in executors(spec).items():
        asks = "accelerator" in container.get("resources", {})
        settings = placed.get(name, {})
        if asks != (name in gpu_steps):
            yield f"{name}: {'asks' if asks else 'does not ask'} for a GPU"
        for setting in ("nodeSelector", "tolerations"):
            if (setting in settings) != (name == "train"):
                yield f"{name}: {setting} is {'set' if setting in settings else 'missing'}"


def settings_of(spec, platform):
    """Kubernetes settings from parameters are looked up in the DAG that holds the task; root users are refused."""
    placed = placement(platform)
    for where, task_name, task, types in tasks_of(spec):
        label = spec["components"][task["componentRef"]["name"]].get("executorLabel", "")
        settings = placed.get(label.removeprefix("exec-"), {})
        for key, name in leaves(settings):
            if key == "componentInputParameter" and name not in types:
                yield f"{where}.{task_name}: a Kubernetes setting reads {name}, which {where} does not declare"
    for name in executors(spec):
        if not placed.get(name, {}).get("securityContext", {}).get("runAsNonRoot"):
            yield f"{name}: may run as root; set run_as_non_root"


def tasks_of(spec):
    """Each task of each DAG: the DAG's name, the task's, the task, and the types of the DAG's parameters."""
    for where, component in (("root", spec["root"]), *spec.get("components", {}).items()):
        declared = component.get("inputDefinitions", {}).get("parameters", {})
        types = {name: str(body.get("parameterType", "")) for name, body in declared.items()}
        for name, task in component.get("dag", {}).get("tasks", {}).items():
            yield where, name, task, types


def container_of(spec, component):
    executor = spec["deploymentSpec"]["executors"].get(component.get("executorLabel", ""), {})
    container = executor.get("container", {})
    return container


def leaves(node, key=""):
    if isinstance(node, dict):
        for inner, value in node.items():
            yield from leaves(value, inner)
    elif isinstance(node, list):
        for value in node:
            yield from leaves(value, key)
    else:
        yield key, node


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


def planted(text, change):
    spec, platform = yaml.safe_load_all(text)
    change(spec, platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"])
    return "\n".join(faults(yaml.safe_dump_all([spec, platform]), gpu_steps={"train"}))


def test_a_good_file_has_no_faults(good):
    assert faults(good, gpu_steps={"train"}) == []


def parse_strictly(text):
    """Reads both documents by kfp's own schemas, which refuse a field they do not know; a server ignores it."""
    spec, platform = load_documents(text)
    json_format.ParseDict(spec, PipelineSpec())
    for settings in platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"].values():
        json_format.ParseDict(settings, KubernetesExecutorConfig())


@pytest.mark.parametrize("name", sorted(path.stem for path in CLUSTERS.glob("*.yaml")))
def test_our_own_pipeline_has_no_faults_on_any_example_cluster(name):
    cluster = load_cluster(name)
    text = compile_pipeline(cluster)
    assert faults(text, gpu_steps={"train"} if cluster.gpu.count else set()) == []
    parse_strictly(text)


def test_our_own_pipeline_has_no_faults_with_everything_turned_on():
    more = {"registry": {"server": "http://registry.example"}, "data": {"pvc": "images"}, "data_shards": 2}
    cluster = Cluster.parse({**CLUSTER.model_dump(), **more})
    text = compile_pipeline(cluster, {"options": {"ensemble.members": 3}})
    assert faults(text, gpu_steps={"train"}) == []
    parse_strictly(text)
    for other in (VALIDATION, MONITORING):
        text = other.compile(cluster)
        assert faults(text, gpu_steps=set()) == []
        parse_strictly(text)


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
        load_documents(good.split("\n---\n")[0])


def test_two_documents_of_something_else_are_refused():
    with pytest.raises(ConfigError, match="the first document has no pipelineInfo"):
        load_documents("a: 1\n---\nplatforms: {}\n")


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
    assert words in planted(good, change)


def test_the_exit_handler_trap_is_found(tmp_path):
    """kfp compiles this without a word: inside the handler, the CPU parameter is declared nowhere."""

    @dsl.pipeline(name="p")
    def build(cpu: str = "1"):
        done = split()
        with dsl.ExitHandler(done):
            train().set_cpu_limit(cpu)

    text = compile_text(tmp_path, build)
    empty = "\n---\nplatforms:\n  kubernetes:\n    deploymentSpec:\n      executors: {}\n"
    assert any("cpu" in fault and "does not declare" in fault for fault in faults(text + empty, gpu_steps=set()))
