"""Recurring runs: the right request, sent once, without a cache that would make every run the first one's."""

from pathlib import Path

import pytest

from components.common.runtime.errors import ConfigError
from pipelines.cli.main import main
from pipelines.cluster.schedule import cron_of

RECURRING = "/apis/v2beta1/recurringruns"
EXPERIMENTS = "/apis/v2beta1/experiments"
IMAGES = ["--image-refs", str(Path(__file__).with_name("image_refs.yaml"))]
DATA = ["--cluster", "cpu-only", *IMAGES, "--set", "metadata=gs://b/t.csv", "--set", "images=[gs://b/i]"]
WEEKLY = {
    "recurring_run_id": "s1",
    "display_name": "weekly",
    "status": "ENABLED",
    "trigger": {"cron_schedule": {"cron": "0 0 3 * * 1"}},
}


@pytest.fixture
def kfp(cluster):
    cluster.on("GET", RECURRING, (200, {}))
    cluster.on("GET", EXPERIMENTS, (200, {"experiments": [{"experiment_id": "e1", "display_name": "lesionflow"}]}))
    cluster.on("POST", RECURRING, (200, {"recurring_run_id": "s1"}))
    cluster.on("DELETE", f"{RECURRING}/s1", (200, {}))
    return cluster


def call(kfp, *arguments):
    return main(["schedule", *arguments, "--host", kfp.url])


def caching(spec):
    return [
        task["cachingOptions"]
        for component in (spec["root"], *spec["components"].values())
        for task in component.get("dag", {}).get("tasks", {}).values()
    ]


def test_a_run_every_week_is_one_request_and_never_a_cache_hit(kfp, capsys):
    assert call(kfp, "add", "weekly", "--cron", "0 3 * * 1", *DATA) == 0
    (sent,) = kfp.requests("POST")
    assert sent.body["display_name"] == "weekly"
    assert sent.body["trigger"] == {"cron_schedule": {"cron": "0 0 3 * * 1"}}
    assert sent.body["mode"] == "ENABLE"
    assert sent.body["max_concurrency"] == 1
    assert sent.body["no_catchup"] is True
    assert sent.body["service_account"] == "lesionflow"
    assert sent.body["runtime_config"]["parameters"] == {"metadata": "gs://b/t.csv", "images": ["gs://b/i"]}
    assert not any(caching(sent.body["pipeline_spec"]["pipeline_spec"]))
    assert "schedule weekly (s1) created" in capsys.readouterr().out


def test_a_monitor_every_week_is_sent_with_its_own_parameters_and_reads_the_log_anew_each_time(kfp, capsys):
    given = ["--set", "bundle=gs://b/bundle", "--set", "predictions=[gs://b/logs]", "--set", "labels=gs://b/labels.csv"]
    where = ["--monitor", "--cluster", "cpu-only", *IMAGES]
    assert call(kfp, "add", "watch", "--cron", "0 6 * * 1", *where, *given) == 0
    (sent,) = kfp.requests("POST")
    spec = sent.body["pipeline_spec"]["pipeline_spec"]
    assert spec["pipelineInfo"]["name"] == "lesionflow-monitor"
    assert sent.body["runtime_config"]["parameters"] == {
        "bundle": "gs://b/bundle",
        "predictions": ["gs://b/logs"],
        "labels": "gs://b/labels.csv",
    }
    assert not any(caching(spec))
    assert "schedule watch (s1) created" in capsys.readouterr().out
    assert call(kfp, "add", "other", "--every", "1w", *where, "--set", "bundle=gs://b/bundle") == 2
    assert "predictions: missing; give it with --set" in capsys.readouterr().err
    assert len(kfp.requests("POST")) == 1


def test_an_interval_is_told_in_hours_days_or_weeks(kfp):
    assert call(kfp, "add", "daily", "--every", "2w", "--cache", *DATA) == 0
    (sent,) = kfp.requests("POST")
    assert sent.body["trigger"] == {"periodic_schedule": {"interval_second": 14 * 86_400}}
    assert any(caching(sent.body["pipeline_spec"]["pipeline_spec"]))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--cron", "0 0 3 * * 1"], "--cron: received '0 0 3 * * 1'; allowed: minute hour day month weekday"),
        (["--cron", "at three"], "--cron"),
        (["--every", "90m"], "--every: received '90m'; allowed: hours, days or weeks"),
        (["--every", "1d", "--set", "epochs=many"], "epochs: received 'many'"),
    ],
)
def test_what_kubeflow_would_refuse_is_refused_before_any_request(kfp, capsys, arguments, words):
    assert call(kfp, "add", "weekly", *DATA, *arguments) == 2
    assert words in capsys.readouterr().err
    assert not kfp.requests("POST")


def test_a_schedule_of_the_same_name_is_not_made_twice(kfp, capsys):
    kfp.on("GET", RECURRING, (200, {"recurringRuns": [WEEKLY]}))
    assert call(kfp, "add", "weekly", "--every", "1w", *DATA) == 1
    assert "already exists" in capsys.readouterr().err
    assert not kfp.requests("POST")


def test_schedules_are_listed_over_all_pages_and_removed_by_name(kfp, capsys):
    daily = {"recurring_run_id": "s2", "display_name": "daily", "status": "DISABLED"}
    daily["trigger"] = {"periodic_schedule": {"interval_second": "86400"}}
    kfp.on(
        "GET",
        RECURRING,
        (200, {"recurringRuns": [daily], "next_page_token": "two"}),
        (200, {"recurringRuns": [WEEKLY]}),
    )
    assert call(kfp, "list") == 0
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [
        ["daily", "off", "every", "24", "h", "s2"],
        ["weekly", "on", "0", "3", "*", "*", "1", "s1"],
    ]
    assert call(kfp, "remove", "weekly") == 0
    assert [request.path for request in kfp.requests("DELETE")] == [f"{RECURRING}/s1"]
    assert call(kfp, "remove", "monthly") == 1


def test_five_fields_become_kubeflows_six():
    assert cron_of("*/30 0-6 * JAN,JUL MON") == "0 */30 0-6 * JAN,JUL MON"
    with pytest.raises(ConfigError):
        cron_of("* * * * $(x)")
