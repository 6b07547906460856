"""`lesionflow schedule`: runs that Kubeflow starts by itself, such as a monitor every week or a retraining."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from typing import Any

from components.common.runtime.cli import add_command
from components.common.runtime.errors import ConfigError
from pipelines.cluster.compiled import add_pipeline_flags
from pipelines.cluster.connection import Connection, add_connection_flags
from pipelines.cluster.errors import ClusterError, api_call
from pipelines.cluster.retry import pages
from pipelines.cluster.submit import Submission, add_run_flags

_FIELDS = 5
_UNITS = {"h": 3600, "d": 86_400, "w": 604_800}
_EVERY = re.compile(r"^([1-9][0-9]{0,3})([hdw])$")


def add_parser(commands: argparse._SubParsersAction[Any]) -> None:
    """Adds the commands with their flags."""
    group = add_command(
        commands,
        "schedule",
        "have Kubeflow start runs on a schedule",
        example="lesionflow schedule add weekly --cron '0 3 * * 1' --cluster cluster.yaml --preset ham10000-gpu",
    )
    actions = group.add_subparsers(title="commands", metavar="COMMAND", required=True, parser_class=type(group))
    add = add_command(
        actions,
        "add",
        "create a recurring run; its parameters are checked first",
        example="lesionflow schedule add weekly --every 1w --cluster cluster.yaml --set metadata=gs://bucket/table.csv\n"
        "lesionflow schedule add watch --cron '0 6 * * 1' --monitor --cluster cluster.yaml "
        "--set bundle=gs://bucket/bundle --set 'predictions=[gs://bucket/logs]' --set labels=gs://bucket/labels.csv",
    )
    add.add_argument("name", metavar="NAME", help="name of the schedule")
    when = add.add_mutually_exclusive_group(required=True)
    when.add_argument("--cron", metavar="FIELDS", help="minute hour day month weekday, in the server's time zone")
    when.add_argument("--every", metavar="TIME", help="such as 12h, 1d or 2w")
    add_pipeline_flags(add)
    add_run_flags(add)
    add.add_argument("--cache", action="store_true", help="reuse results, though the data behind a URI may be new")
    add_connection_flags(add)
    add.set_defaults(run=_add)
    listing = add_command(actions, "list", "show the recurring runs", example="lesionflow schedule list")
    add_connection_flags(listing)
    listing.set_defaults(run=_list)
    remove = add_command(actions, "remove", "delete a recurring run", example="lesionflow schedule remove weekly")
    remove.add_argument("name", metavar="NAME", help="name or id of the schedule")
    add_connection_flags(remove)
    remove.set_defaults(run=_remove)


def _add(arguments: argparse.Namespace) -> None:
    when = {"cron_expression": cron_of(arguments.cron)} if arguments.cron else {"interval_second": _every(arguments)}
    what = Submission.of(arguments, cache=arguments.cache)
    made = schedule(Connection.of(arguments), what, arguments.name, when)
    print(f"schedule {arguments.name} ({made}) created; remove it with: lesionflow schedule remove {arguments.name}")


def _list(arguments: argparse.Namespace) -> None:
    for one in _all(Connection.of(arguments)):
        state = "on" if one.status == "ENABLED" else "off"
        print(f"{one.display_name:<24} {state:<4} {_when(one.trigger):<24} {one.recurring_run_id}")


def _remove(arguments: argparse.Namespace) -> None:
    connection = Connection.of(arguments)
    found = [one for one in _all(connection) if arguments.name in (one.display_name, one.recurring_run_id)]
    if len(found) != 1:
        problem = "there is none" if not found else f"{len(found)} have this name; give the id of one"
        raise ClusterError(f"schedule {arguments.name!r}: {problem} (lesionflow schedule list)", 404)
    with api_call(f"removing schedule {arguments.name}"):
        connection.kfp.delete_recurring_run(found[0].recurring_run_id)
    print(f"schedule {arguments.name} removed; runs it has started continue")


def schedule(connection: Connection, what: Submission, name: str, when: Mapping[str, Any]) -> str:
    """Makes a recurring run: at most one of its runs at a time, and none that were missed are made up for.

    Args:
        connection: to the cluster.
        what: each run.
        name: of the schedule; runs are named after it.
        when: `cron_expression` or `interval_second`, as KFP's client takes them.

    Returns:
        The schedule's id.

    Raises:
        ClusterError: refused, or a schedule of this name is there; the request is sent once.
    """
    if any(one.display_name == name for one in _all(connection)):
        raise ClusterError(f"schedule {name!r} already exists; remove it first: lesionflow schedule remove {name}", 409)
    with what.handed_over(connection) as given, api_call(f"creating schedule {name}"):
        made = connection.kfp.create_recurring_run(job_name=name, max_concurrency=1, no_catchup=True, **given, **when)
    return str(made.recurring_run_id)


def cron_of(fields: str) -> str:
    """A cron line of five fields as Kubeflow takes it, which has one for seconds in front.

    >>> cron_of("0 3 * * 1")
    '0 0 3 * * 1'

    Raises:
        ConfigError: not five fields of digits, `*`, `,`, `-` and `/`, or names of days and months.
    """
    parts = fields.split()
    if len(parts) != _FIELDS or not all(re.fullmatch(r"[0-9A-Za-z*,/?-]+", part) for part in parts):
        raise ConfigError(
            f"--cron: received {fields!r}; allowed: minute hour day month weekday, such as '0 3 * * 1' for Mondays at 3"
        )
    return " ".join(["0", *parts])


def _every(arguments: argparse.Namespace) -> int:
    found = _EVERY.match(arguments.every)
    if found is None:
        raise ConfigError(f"--every: received {arguments.every!r}; allowed: hours, days or weeks, such as 12h, 1d, 2w")
    return int(found[1]) * _UNITS[found[2]]


def _all(connection: Connection) -> list[Any]:
    space = connection.user_namespace
    listed = pages(
        "listing schedules",
        lambda token: connection.kfp.list_recurring_runs(page_token=token, page_size=100, namespace=space),
    )
    return [one for page in listed for one in page.recurring_runs or []]


def _when(trigger: Any) -> str:
    if trigger and trigger.cron_schedule:
        return str(trigger.cron_schedule.cron).removeprefix("0 ")
    if trigger and trigger.periodic_schedule:
        seconds = int(trigger.periodic_schedule.interval_second)
        return f"every {seconds / 3600:g} h"
    return ""
