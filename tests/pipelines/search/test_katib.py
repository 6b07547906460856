"""The Experiment is valid against Katib's own models, its Job against Kubernetes', and its command is ours."""

import re

import pytest
import yaml
from kubeflow_katib_api.models import V1beta1Experiment

from components.common.runtime.errors import ConfigError
from components.train.config import TrainConfig
from pipelines.cluster_file import Cluster
from pipelines.search.katib import experiment_yaml
from pipelines.search.space import load_search

GPU = {
    "images": {name: f"registry.example/lesionflow-{name}@sha256:{'a' * 64}" for name in ("data", "cpu", "gpu")},
    "gpu": {"count": 1, "node_selector": {"cloud.google.com/gke-accelerator": "nvidia-l4"}},
    "data": [{"pvc": "records", "mount_path": "/data"}],
    "image_pull_secret": "pull",
}
PRESET = """
architecture: small_cnn
weights: none
image_size: 72x96
train.augment_flip: false
search:
  space:
    learning_rate: {low: 0.0001, high: 0.01, log: true}
    epochs: {low: 2, high: 6}
    train.target: [binary, diagnosis]
  trials: 12
  seed: 5
"""


@pytest.fixture
def search(tmp_path):
    (tmp_path / "mine.yaml").write_text(PRESET)
    return load_search(str(tmp_path / "mine.yaml"), {})


@pytest.fixture
def experiment(search):
    return yaml.safe_load(experiment_yaml(search, Cluster.parse(GPU), "/data/records", "derm"))


def test_katibs_own_models_take_it_whole(experiment):
    read = V1beta1Experiment.from_dict(experiment)
    assert read.to_dict() == experiment  # a field that Katib does not know would be gone
    spec = experiment["spec"]
    assert (spec["maxTrialCount"], spec["parallelTrialCount"], spec["maxFailedTrialCount"]) == (12, 3, 3)
    assert {one["name"]: one["parameterType"] for one in spec["parameters"]} == {
        "learning_rate": "double",
        "epochs": "int",
        "target": "categorical",
    }
    space = spec["parameters"][0]["feasibleSpace"]
    assert space == {"min": "0.0001", "max": "0.01", "distribution": "logUniform"}


def test_every_placeholder_of_the_job_is_a_parameter_and_every_parameter_is_used(experiment):
    template = experiment["spec"]["trialTemplate"]
    used = set(re.findall(r"\$\{trialParameters\.(\w+)\}", yaml.safe_dump(template["trialSpec"])))
    assert used == {one["name"] for one in template["trialParameters"]}
    assert {one["reference"] for one in template["trialParameters"]} == {
        one["name"] for one in experiment["spec"]["parameters"]
    }


def test_kubernetes_takes_the_job_and_it_runs_the_step_with_the_run_s_parameters(experiment, tmp_path):
    from kubernetes_validate import validate as valid

    template = experiment["spec"]["trialTemplate"]
    job = {**template["trialSpec"], "metadata": {"name": "trial"}}
    valid(job, "1.31", strict=True)
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["name"] == template["primaryContainerName"]
    assert container["image"] == GPU["images"]["gpu"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert pod["nodeSelector"] == GPU["gpu"]["node_selector"]
    assert pod["volumes"][0]["persistentVolumeClaim"] == {"claimName": "records", "readOnly": True}
    command = container["command"]
    assert command[:7] == ["python", "-m", "components.train", "--records", "/data/records", "--out", "/tmp/model"]
    flags = dict(zip(command[7::2], command[8::2], strict=True))
    chosen = {"--learning_rate": "0.001", "--epochs": "3", "--target": "diagnosis"}
    assert set(chosen) < set(flags)
    config = TrainConfig.parse({name.removeprefix("--"): value for name, value in {**flags, **chosen}.items()})
    assert (config.architecture, config.augment_flip, config.image_size, config.epochs) == (
        "small_cnn",
        False,
        "72x96",
        3,
    )


def test_the_figure_is_read_from_the_line_that_training_writes_after_each_epoch(experiment):
    (form,) = experiment["spec"]["metricsCollectorSpec"]["source"]["filter"]["metricsFormat"]
    line = (
        "09:14:30 INFO    epoch 2/6  train loss 0.609  val loss 0.592  val AP 0.576 (best)  val AUC 0.848  lr 1.7e-03"
    )
    assert re.findall(form, line) == [("AP", "0.576")]
    assert experiment["spec"]["objective"]["objectiveMetricName"] == "AP"


def test_records_that_no_pod_sees_and_a_name_kubernetes_refuses_are_refused(search):
    with pytest.raises(ConfigError, match=r"--records: received '/home/me/records'; with --emit katib .*/data"):
        experiment_yaml(search, Cluster.parse(GPU), "/home/me/records", "derm")
    with pytest.raises(ConfigError, match="--name: received 'My Search'"):
        experiment_yaml(search, Cluster.parse(GPU), "/data/records", "My Search")
