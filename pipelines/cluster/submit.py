"""`lesionflow submit`: starts a run, its parameters checked first; `--wait` stays until it has ended."""

from __future__ import annotations

import argparse
import contextlib
import io
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.common.runtime.cli import CommandParser, add_command
from components.common.runtime.yaml_text import parse_assignments
from pipelines.cluster.compiled import (
    add_parameter_flags,
    add_pipeline_flags,
    check_signature,
    compiled_text,
    form_pipeline,
    read_cluster,
    without_cache,
)
from pipelines.cluster.connection import Connection, add_connection_flags
from pipelines.cluster.errors import ClusterError, api_call
from pipelines.cluster.runs import ENDED, NOT_RUN, WAITING, run_now, steps_of, why_failed
from pipelines.cluster_entries import default_tag

_POLL_S = 10.0


def add_parser(commands: argparse._SubParsersAction[Any]) -> None:
    """Adds the command with its flags."""
    command = add_command(
        commands,
        "submit",
        "start a run on the cluster",
        example="lesionflow submit --cluster cluster.yaml --image-refs out/images.yaml --preset ham10000-gpu "
        "--set metadata=gs://bucket/table.csv --set 'images=[gs://bucket/images]' --wait",
    )
    add_pipeline_flags(command)
    command.add_argument("--name", metavar="NAME", help="name of the run; default: lesionflow-COMMIT-TIME")
    add_run_flags(command)
    command.add_argument("--no-cache", action="store_true", help="run every step, reuse no result")
    command.add_argument(
        "--wait", action="store_true", help="stay until the run ends; exit code 0 only if it succeeded"
    )
    command.add_argument("--timeout", type=float, default=0.0, metavar="SECONDS", help="longest wait; 0: no limit")
    add_connection_flags(command)
    command.set_defaults(run=_run)


def add_run_flags(command: CommandParser) -> None:
    """Adds the flags that say what a run is given and where it belongs."""
    add_parameter_flags(command)
    command.add_argument(
        "--experiment", default="lesionflow", metavar="NAME", help="experiment the run is listed under"
    )
    command.add_argument(
        "--service-account", metavar="NAME", help="service account of the pods; default: that of --cluster"
    )
    command.add_argument("--pipeline-root", metavar="URI", help="where KFP keeps artifacts; default: the server's")


@dataclass(frozen=True)
class Submission:
    """What Kubeflow is given to run, once or again and again.

    Attributes:
        text: the compiled pipeline.
        values: parameters; those left out have the defaults of the compiled pipeline.
        experiment: name of the experiment.
        service_account: of the pods; None: KFP's own default.
        pipeline_root: where KFP keeps artifacts; None: where the server does.
    """

    text: str
    values: Mapping[str, Any]
    experiment: str
    service_account: str | None = None
    pipeline_root: str | None = None

    @classmethod
    def of(cls, arguments: argparse.Namespace, *, cache: bool) -> Submission:
        """What the flags of `add_pipeline_flags` and `add_run_flags` ask for, checked.

        Raises:
            ConfigError: what the steps would refuse later.
        """
        values = parameters_of(arguments)
        text = compiled_text(arguments, values)
        check_signature(text, values)
        return cls(
            text if cache else without_cache(text),
            values,
            arguments.experiment,
            service_account_of(arguments),
            arguments.pipeline_root,
        )

    @contextmanager
    def handed_over(self, connection: Connection) -> Iterator[dict[str, Any]]:
        """What KFP's client takes for a run and for a recurring run; the client prints nothing meanwhile."""
        with contextlib.redirect_stdout(io.StringIO()), tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "lesionflow.yaml"
            file.write_text(self.text, encoding="utf-8")
            with api_call(f"experiment {self.experiment}"):
                made = connection.kfp.create_experiment(self.experiment, namespace=connection.user_namespace)
            yield {
                "experiment_id": made.experiment_id,
                "pipeline_package_path": str(file),
                "params": dict(self.values),
                "service_account": self.service_account,
                "pipeline_root": self.pipeline_root,
            }


def _run(arguments: argparse.Namespace) -> None:
    what = Submission.of(arguments, cache=not arguments.no_cache)
    connection = Connection.of(arguments)
    name = arguments.name or f"lesionflow-{default_tag()}-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}"
    run_id = submit(connection, what, name)
    print(f"run {run_id} ({name}) started; follow it with: lesionflow logs {run_id} --follow", flush=True)
    if arguments.wait:
        wait(connection, run_id, timeout_s=arguments.timeout)


def service_account_of(arguments: argparse.Namespace) -> str | None:
    """The account of the run's pods: the flag's, the cluster file's, or KFP's own default."""
    if arguments.service_account is None and arguments.pipeline is None:
        return read_cluster(arguments, None).service_account or None
    return arguments.service_account or None


def parameters_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """The values to send: only those given, so that the compiled file's own defaults hold for the rest.

    Raises:
        ConfigError: what the steps would refuse later.
    """
    from pipelines.parameters import load_preset, merge, validate

    if (other := form_pipeline(arguments)) is not None:
        return other.form.values_of(parse_assignments(arguments.set))
    given = merge(load_preset(arguments.preset) if arguments.preset else {}, parse_assignments(arguments.set))
    typed = validate(given).values
    return {name: typed[name] for name in given}


def submit(connection: Connection, what: Submission, name: str) -> str:
    """Starts a run; the request that makes it is sent once, whatever becomes of it.

    Returns:
        The run's id.

    Raises:
        ClusterError: refused, or lost on the way; the message says if a run may exist all the same.
    """
    with what.handed_over(connection) as given:
        try:
            with api_call(f"starting run {name}"):
                run = connection.kfp.run_pipeline(job_name=name, **given)
        except ClusterError as error:
            if error.status == 0 or error.status >= 500:
                hint = (
                    f"{error}; the run may have been started: lesionflow status {name} tells, before you submit again"
                )
                raise ClusterError(hint, error.status) from error
            raise
    return str(run.run_id)


def wait(connection: Connection, run_id: str, *, timeout_s: float = 0.0, poll_s: float = _POLL_S) -> None:
    """Stays until the run has ended, printing each change of a step's state.

    Raises:
        ClusterError: the run failed or was cancelled; or it goes on after `timeout_s`.
    """
    started = time.monotonic()
    seen: dict[str, str] = {}
    while True:
        run = run_now(connection, run_id)
        for step in steps_of(run):
            if step.state not in (WAITING, NOT_RUN) and seen.get(step.name) != step.state:
                seen[step.name] = step.state
                print(f"{step.name:<12} {step.state.lower()}", flush=True)
        if run.state in ENDED:
            break
        if timeout_s and time.monotonic() - started > timeout_s:
            raise ClusterError(
                f"run {run_id} is still running after {timeout_s:g} s; lesionflow status {run_id} shows it"
            )
        time.sleep(poll_s)
    if run.state == "FAILED":
        raise ClusterError(f"run {run_id} failed: {why_failed(connection, run)}")
    if run.state != "SUCCEEDED":
        raise ClusterError(f"run {run_id}: {run.state.lower()}")
    print(f"run {run_id} succeeded")
