"""cluster.yaml: strict, documented by examples, and each key reaches the compiled file."""

import inspect
import re
from importlib import metadata
from pathlib import Path

import pytest
from kfp import dsl

from components.common.runtime.errors import ConfigError
from components.common.runtime.yaml_text import parse_assignments
from pipelines import cluster_entries, cluster_file
from pipelines.cluster_file import CLUSTERS, STEPS, Cluster, load_cluster

DIGEST = "sha256:" + "a" * 64
EXAMPLES = sorted(path.stem for path in CLUSTERS.glob("*.yaml"))


@dsl.component(base_image="lesionflow.invalid/sentinel", install_kfp_package=False)
def split(seed: int = 1):
    pass


def test_there_is_an_example_for_each_kind_of_cluster():
    assert EXAMPLES == ["cpu-only", "gke-a100", "gke-h100", "gke-l4", "gke-t4", "on-premises"]


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_are_valid_and_ask_for_what_their_name_says(name):
    cluster = load_cluster(name)
    assert bool(cluster.gpu.count) == (name != "cpu-only")
    assert bool(cluster.gpu.node_selector) == bool(cluster.gpu.count)
    assert cluster.checkpoints.root, "training on a cluster must be able to resume"
    assert cluster.service_account == "lesionflow"


def test_images_file_replaces_the_references(tmp_path):
    images = tmp_path / "images.yaml"
    images.write_text(f"gpu: registry.example/lesionflow-gpu@{DIGEST}\n")
    cluster = load_cluster("on-premises", images)
    assert cluster.image_of("train") == f"registry.example/lesionflow-gpu@{DIGEST}"
    cluster.check_images(allow_mutable_tags=False)


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"deadline_s": 60}, "at least training.timeout_s = 86400"),
        ({"checkpoints": {"pvc": "a", "uri": "gs://b/c"}}, "allowed: one of pvc and uri"),
        ({"checkpoints": {"uri": "/local"}}, "checkpoints.uri: received '/local'; allowed: a gs:// or s3:// folder"),
        ({"registry": {"server": "ftp://x"}}, "registry.server: received 'ftp://x'; allowed: http:// or https://"),
        ({"uncached_steps": ["trian"]}, "uncached_steps.0: received 'trian'"),
        (
            {"gpu": {"tolerations": [{"operator": "Exits"}]}},
            "gpu.tolerations.0.operator: received 'Exits'",
        ),
        ({"gpu": {"tolerations": [{"operator": "Exists", "value": "x"}]}}, "no value with operator Exists"),
        ({"gpu": {"tolerations": [{"effect": "NoShedule"}]}}, "NoSchedule, PreferNoSchedule, NoExecute"),
        ({"gpu": {"tolerations": [{"keys": "x"}]}}, "unknown parameter 'gpu.tolerations.0.keys': did you mean 'key'"),
        ({"gpu": {"tolerations": [{"value": "x"}]}}, "a key, or operator Exists"),
        ({"gpu": {"tolerations": [{"key": "x", "tolerationSeconds": 3}]}}, "only with effect NoExecute"),
        ({"training": {"retries": 10, "retry_wait_s": 600}}, "waits that end before deadline_s = 172800"),
        ({"training": {"retry_backoff_max_s": 900}}, "unknown parameter 'training.retry_backoff_max_s'"),
        ({"gpu": {"count": -1}}, "gpu.count: received -1; allowed: an integer >= 0"),
        ({"training": {"shm": "lots"}}, "training.shm: received 'lots'; allowed: bytes"),
        ({"run_as_user": 0}, "run_as_user: received 0; allowed: an integer >= 1"),
        ({"run_as_user": 2**31}, "run_as_user: received 2147483648; allowed: an integer >= 1 and <= 2147483647"),
        ({"run_as_user": True}, "run_as_user: received True; allowed: an integer >= 1"),
        ({"gpu": {"count": True}}, "gpu.count: received True; allowed: an integer >= 0 and <= 16"),
        ({"gpu": {"resource": "nvidia"}}, "gpu.resource: received 'nvidia'; allowed: an extended resource with its"),
        (
            {"sizes": {"trian": {"cpu": 1}}},
            "sizes.trian: received 'trian'; did you mean 'train'? allowed: one of check",
        ),
        (
            {"data": {"pvc": "images", "mount_path": "/checkpoints"}, "checkpoints": {"pvc": "c"}},
            "which is checkpoints",
        ),
        ({"checkpoints": {"pvc": "c", "mount_path": "/s3/keep"}}, "a folder apart from /s3, which is Kubeflow's own"),
        ({"data": {"pvc": "a", "mount_path": "/data/../gcs"}}, "a folder apart from /gcs"),
        ({"data": {"pvc": "a", "mount_path": "/opt"}}, "a folder apart from /opt/lesionflow, which is the images' own"),
        ({"data": {"pvc": "a", "mount_path": "/data:ro"}}, "an absolute path without spaces and colons"),
        ({"data": [{"pvc": "a"}, {"pvc": "a", "mount_path": "/b"}]}, "data.1.pvc: received 'a', as data.0.pvc"),
        ({"data": {"pvc": "one"}, "checkpoints": {"pvc": "one"}}, "data.0.pvc: received 'one', as checkpoints.pvc"),
        ({"data": {"pvc": "skin.images"}}, "data.0.pvc: received 'skin.images'; allowed: at most 63 small letters"),
        ({"data": {"pvc": "dshm"}}, "data.0.pvc: received 'dshm'; allowed: another name"),
        (
            {"gcs_credentials": {"secret": "keys"}, "bundle_key_secret": "keys"},
            "bundle_key_secret: received 'keys', as gcs_credentials.secret",
        ),
        ({"bundle_key_secret": "keys.v2"}, "bundle_key_secret: received 'keys.v2'; allowed: at most 63"),
        (
            {"registry": {"token_secret": "models", "signing_secret": "models"}},
            "registry.signing_secret: received 'models', as registry.token_secret",
        ),
        ({"gcs_credentials": {"secret": "gcs.key"}}, "gcs_credentials.secret: received 'gcs.key'"),
        ({"data": [{"pvc": "a"}, {"pvc": "b", "mount_path": "/data/b"}]}, "data.1.mount_path: received '/data/b'"),
        ({"data": {"pvc": "a", "mount_path": "/tmp"}}, "a folder apart from /tmp"),
        ({"data": {"mount_path": "/data"}}, "data.0.pvc: missing"),
        ({"labels": {"a b": "x"}}, "a Kubernetes key such as team"),
        ({"labels": {"a": "x y"}}, "a label value"),
        ({"service_account": "Bad_"}, "the name of a Kubernetes object"),
        ({"servce_account": "x"}, "did you mean 'service_account'?"),
        ({"sizes": {"train": {"memory": "4 GB"}}}, "sizes.train.memory: received '4 GB'; allowed: bytes from 1Mi"),
        ({"sizes": {"train": {"memory": "4096m"}}}, "sizes.train.memory: received '4096m'; that is 4.096"),
        ({"sizes": {"train": {"cpu": "4Gi"}}}, "sizes.train.cpu: received '4Gi'; that is 4294967296"),
        ({"sizes": {"train": {"cpu": True}}}, "sizes.train.cpu: received True"),
        ({"sizes": {"train": {"cpus": "4"}}}, "unknown parameter 'sizes.train.cpus': did you mean 'cpu'"),
        ({"sizes": {"trian": {}}}, "sizes.trian"),
    ],
)
def test_bad_entries_are_refused_by_name(entry, words):
    with pytest.raises(ConfigError, match=r".*") as caught:
        Cluster.parse(entry)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({"memory": "1.5Gi"}, {"memory": "1536Mi"}),
        ({"memory": "32000000k"}, {"memory": "31250000Ki"}),
        ({"memory": "4G"}, {"memory": "3906250Ki"}),
        ({"memory": 8_589_934_592}, {"memory": "8Gi"}),
        ({"memory": "1e9"}, {"memory": "1000000000"}),
        ({"cpu": 8}, {"cpu": "8"}),
        ({"cpu": 0.5}, {"cpu": "500m"}),
        ({"cpu": "1.25"}, {"cpu": "1250m"}),
        ({"cpu": "500m"}, {"cpu": "500m"}),
    ],
)
def test_every_legal_quantity_reaches_kfp_in_a_form_that_it_takes(given, sent):
    size = Cluster.parse({"sizes": {"split": given, "plan": given}}).size_of("plan")
    assert size == Cluster.parse({"sizes": {"split": given}}).sizes["split"]
    assert size.model_dump(exclude_unset=True) == sent

    @dsl.pipeline(name="p")
    def takes_it():
        split().set_memory_limit(size.memory).set_cpu_limit(size.cpu)


def test_without_a_gpu_no_taint_of_gpu_nodes_is_tolerated_unless_the_file_says_so():
    assert Cluster.parse({"gpu": {"count": 0}}).gpu.tolerations == []
    assert len(Cluster.parse({"gpu": {"count": 1}}).gpu.tolerations) == 1
    said = {"count": 0, "tolerations": [{"key": "large", "operator": "Exists"}]}
    assert [one.key for one in Cluster.parse({"gpu": said}).gpu.tolerations] == ["large"]


def test_seconds_of_a_toleration_stay_a_number():
    given = {"key": "gpu", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
    (toleration,) = Cluster.parse({"gpu": {"tolerations": [given]}}).gpu.tolerations
    assert toleration.manifest() == given


@pytest.mark.parametrize(
    "entry", [{"registry": {"server": "http://me:hunter22@r"}}, {"s3": {"endpoint": "https://k:hunter22@s"}}]
)
def test_a_password_in_a_url_is_refused_and_not_repeated(entry):
    with pytest.raises(ConfigError, match="without name, password and path") as caught:
        Cluster.parse(entry)
    assert "hunter22" not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ("http://minio.kubeflow:9000/", "it has a slash at the end; allowed: http:// or https://"),
        ("minio.kubeflow:9000", "it has no http:// in front; allowed"),
        ("HTTP://minio", "it has capital letters in http; allowed"),
        ("http://minio:9000 ", "it has a space around it; allowed"),
        ("http://minio:9000/bucket", "allowed: http:// or https:// with a host and perhaps a port, without name"),
    ],
)
def test_what_is_wrong_about_an_address_is_named(value, fault):
    for entry in ({"registry": {"server": value}}, {"s3": {"endpoint": value}}):
        with pytest.raises(ConfigError, match=re.escape(fault)):
            Cluster.parse(entry)


def test_an_example_whose_bucket_was_not_filled_in_does_not_compile():
    with pytest.raises(ConfigError, match=r"checkpoints.uri: received 'gs://YOUR-BUCKET"):
        load_cluster("gke-l4").check_images(allow_mutable_tags=True)


def test_an_example_is_used_by_its_name_with_a_bucket_of_ones_own():
    given = ["checkpoints.uri=gs://mine/ckpt", "training.timeout_s=7200", "sizes.evaluate={cpu: 2, memory: 6Gi}"]
    cluster = load_cluster("gke-l4", None, parse_assignments(given, "--set-cluster"))
    cluster.check_images(allow_mutable_tags=True)
    example = load_cluster("gke-l4")
    assert (cluster.checkpoints.uri, cluster.training.timeout_s) == ("gs://mine/ckpt", 7200)
    assert cluster.training.retries == example.training.retries != Cluster().training.retries
    assert cluster.size_of("evaluate").memory == "6Gi"
    assert cluster.size_of("train") == example.size_of("train")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("checkpoints.url=gs://b/c", "unknown parameter 'checkpoints.url'"),
        ("service_account.name=x", "service_account holds no further names; allowed: the entry as a whole"),
        ("training.timeout_s=soon", "training.timeout_s: received 'soon'; allowed: an integer >= 60"),
        ("gpu", "--set-cluster: received 'gpu'; allowed: name=value, such as"),
    ],
)
def test_a_bad_change_of_the_cluster_file_is_refused_by_its_name(given, said):
    with pytest.raises(ConfigError, match=re.escape(said)):
        load_cluster("gke-t4", None, parse_assignments([given], "--set-cluster"))


def test_an_unknown_example_lists_the_known_ones():
    with pytest.raises(ConfigError, match=r"cpu-only, gke-a100"):
        load_cluster("gke-t5")


@pytest.mark.parametrize(
    ("image", "fine"),
    [
        (f"r.example/x@{DIGEST}", True),
        ("r.example/x:0123456789ab", True),
        ("r.example/x:latest", False),
        ("r.example/x", False),
        ("r.example:5000/x", False),
        ("r.example/x:v1.2.3", False),
        (f"r.example/x:{metadata.version('lesionflow')}", False),
    ],
)
def test_only_images_that_cannot_change_are_taken(image, fine):
    cluster = Cluster.parse({"images": dict.fromkeys(("data", "cpu", "gpu"), image)})
    cluster.check_images(allow_mutable_tags=True)
    if fine:
        cluster.check_images(allow_mutable_tags=False)
    else:
        with pytest.raises(ConfigError, match="mutable tag gives stale cache hits"):
            cluster.check_images(allow_mutable_tags=False)


def test_secrets_that_no_pod_mounts_together_may_be_one():
    Cluster.parse({"registry": {"token_secret": "keys"}, "bundle_key_secret": "keys"})


def test_caching_is_by_step():
    cluster = Cluster.parse({"uncached_steps": ["train"]})
    assert [step for step in STEPS if not cluster.caches(step)] == ["check", "train"]
    assert not any(Cluster.parse({"caching": False}).caches(step) for step in STEPS)


def test_data_may_lie_on_one_claim_or_on_several():
    assert Cluster.parse({"data": {"pvc": "images"}}).data[0].mount_path == "/data"
    several = [{"pvc": "images", "mount_path": "/data"}, {"pvc": "weights", "mount_path": "/weights"}]
    assert [volume.pvc for volume in Cluster.parse({"data": several}).data] == ["images", "weights"]


def test_every_key_is_documented():
    text = (Path(__file__).parents[2] / "docs" / "how-to" / "cluster.md").read_text()
    missing = [key for key in Cluster.model_fields if f"`{key}" not in text]
    assert not missing


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"checkpoints": {"mount_path": "data"}}, "an absolute path without spaces"),
        ({"gcs_credentials": {"key": "a b"}}, "a file name of letters"),
        ({"s3": {"region": "EU"}}, "small letters, digits and -"),
        ({"labels": {"team": 7}}, "labels.team: received 7, which is not text; write it in quotes: '7'"),
        ({"s3": {"endpoint": "minio-service.kubeflow:9000"}}, "http"),
        ({"service_account": "A_b"}, "the name of a Kubernetes object"),
    ],
)
def test_what_a_text_must_look_like_is_said_in_words(values, words):
    with pytest.raises(ConfigError) as caught:
        Cluster.parse(values)
    assert words in str(caught.value)
    assert "allowed: text" not in str(caught.value)


def test_no_text_of_the_cluster_file_is_checked_by_a_pattern_without_words():
    assert "pattern=" not in inspect.getsource(cluster_file) + inspect.getsource(cluster_entries)


def test_a_key_that_is_there_twice_is_refused_with_its_lines(tmp_path):
    file = tmp_path / "cluster.yaml"
    file.write_text("gpu:\n  count: 1\nservice_account: a\ngpu:\n  count: 2\n")
    with pytest.raises(ConfigError, match="'gpu' occurs twice, in line 1 and in line 4; keep one"):
        load_cluster(file)
