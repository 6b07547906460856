"""The DAG: which step reads what. Where each step runs is the concern of `pipelines.placement`."""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kfp import dsl

from components.calibrate.component import calibrate
from components.common.runtime.part import parts_of
from components.evaluate.component import evaluate, gate
from components.export.component import export
from components.ingest.component import ingest, ingest_part
from components.ingest.merge_component import ingest as ingest_of_parts
from components.records.component import records, records_part
from components.records.merge_component import records as records_of_parts
from components.split.component import feasibility, split
from components.train.component import combine, train
from pipelines.check_task import CLUSTER_OPTIONS, DEMANDS, ROUNDS, check_component
from pipelines.cluster_file import COMBINE_TASK, EXIT_TASK, PLAN_TASK, REGISTER_TASK, STEPS, Cluster
from pipelines.parameter_texts import docstring, signature
from pipelines.parameters import cluster_options
from pipelines.placement import pipeline_config, place
from pipelines.registry.task import register
from pipelines.side_tasks import plan, report_end

PIPELINE_NAME = "lesionflow"
NESTED = "steps"
_ABOUT = "Dermoscopic images and a table become a calibrated, audited benign/malignant classifier."


def build_pipeline(cluster: Cluster, *, members: bool = False, defaults: Mapping[str, Any] | None = None):
    """The pipeline for one cluster: a kfp pipeline object, ready to compile or to run locally.

    Args:
        cluster: where it will run.
        members: for runs with several trainings. Without it there is no loop: one model needs neither its two more
            pods nor the longer way to the training pod.
        defaults: values that the compiled file will have as defaults, for the descriptions.
    """
    names = list(signature().parameters)
    check = check_component(members=members)

    def steps(*values):
        given = dict(zip(names, values, strict=True))
        placed = {"cluster": cluster, "selector": given["gpu_node_selector"], "tolerations": given["gpu_tolerations"]}
        fixed = {CLUSTER_OPTIONS: cluster_options(cluster)}
        if members:
            fixed[ROUNDS] = cluster.rounds.model_dump()
        checked = check(**given, **fixed)
        config = checked.outputs
        index = ingest_task(config["ingest"], placed)
        parts = split(index=index.outputs["index"], config=config["split"])
        feasible = feasibility(split_data=parts.outputs["split_data"], config=config[DEMANDS])
        shards = _records(parts.outputs["split_data"], config["records"], feasible, placed)
        trained = _train_members if members else _train_one
        training, model = trained(shards.outputs["records"], config, placed)
        policy = calibrate(model=model, config=config["calibrate"])
        bundle = export(
            model=model,
            policy=policy.outputs["policy"],
            split_data=parts.outputs["split_data"],
            config=config["export"],
        )
        evaluation = evaluate(
            bundle=bundle.outputs["bundle"],
            split_data=parts.outputs["split_data"],
            model=model,
            records=shards.outputs["records"],
            config=config["evaluate"],
        )
        verdict = gate(evaluation=evaluation.outputs["evaluation"], config=config["evaluate"])
        tasks = (checked, index, parts, feasible, shards, training, policy, bundle, evaluation, verdict)
        for step, task in zip(STEPS, tasks, strict=True):
            place(task, step, **placed)
        if cluster.registry.server:
            registered = register(
                bundle=bundle.outputs["bundle"],
                evaluation=evaluation.outputs["evaluation"],
                config=config["evaluate"],
                server=cluster.registry.server,
                name=cluster.registry.name,
                models=cluster.registry.models,
            ).after(verdict)
            place(registered, REGISTER_TASK, **placed)

    interface = Interface(PIPELINE_NAME, _ABOUT, signature(), docstring(_ABOUT, defaults))
    return with_exit_task(steps, cluster, interface)


def ingest_task(config: Any, placed: Mapping[str, Any]) -> Any:
    """The ingest task; with several pods for the data after a loop over parts of the images.

    Args:
        config: its configuration, as the task check made it.
        placed: what `place` needs beside the task and its step.
    """
    count = placed["cluster"].data_shards
    if count == 1:
        return ingest(config=config)
    with dsl.ParallelFor(items=parts_of(count)) as part:
        checked = ingest_part(config=config, part=part)
    place(checked, "ingest-part", **placed)
    return ingest_of_parts(config=config, parts=dsl.Collected(checked.outputs["verdicts"]))


def _records(split_data, config, feasible, placed):
    """The records task, as `ingest_task`."""
    count = placed["cluster"].data_shards
    if count == 1:
        return records(split_data=split_data, config=config).after(feasible)
    with dsl.ParallelFor(items=parts_of(count)) as part:
        made = records_part(split_data=split_data, config=config, part=part).after(feasible)
    place(made, "records-part", **placed)
    return records_of_parts(split_data=split_data, config=config, parts=dsl.Collected(made.outputs["prepared"]))


def _train_one(shards, config, placed):
    """The training task and its model."""
    trained = train(records=shards, config=config["train"])
    return trained, trained.outputs["model"]


def _train_members(shards, config, placed):
    """The training task in a loop over the members' configurations, and the one model made of theirs."""
    # a task of its own: KFP's local runner cannot loop over a task's named output
    planned = plan(members=config["members"])
    place(planned, PLAN_TASK, **placed)
    with dsl.ParallelFor(items=planned.output, parallelism=placed["cluster"].training.parallelism) as member:
        trained = train(records=shards, config=member)
    combined = combine(members=dsl.Collected(trained.outputs["model"]), planned=planned.output, how=config["combine"])
    place(combined, COMBINE_TASK, **placed)
    return trained, combined.outputs["model"]


@dataclass(frozen=True)
class Interface:
    """What the UI shows of a pipeline: its name, what it is for, its parameters and their texts."""

    name: str
    about: str
    signature: inspect.Signature
    docstring: str

    def of(self, function):
        """Gives a function of `*values` the parameters, types, defaults and texts that kfp reads."""
        function.__signature__ = self.signature
        function.__doc__ = self.docstring
        return function


def with_exit_task(steps, cluster: Cluster, interface: Interface):
    """The steps as a pipeline inside the pipeline and, after it, however it ended, the exit task.

    An exit task starts when the task that it waits for has ended. The last step never starts after an
    earlier failure, so the exit task waits for all steps as one. A nested pipeline, not dsl.ExitHandler
    alone: inside the latter, selector and tolerations would read parameters that nothing declares. The
    outer pipeline has the inner one's parameters, descriptions and defaults.
    """
    inner = dsl.pipeline(name=NESTED)(interface.of(steps))

    def lesionflow(*values):
        body = inner(**dict(zip(interface.signature.parameters, values, strict=True)))
        ending = report_end().after(body).ignore_upstream_failure()
        place(ending, EXIT_TASK, cluster=cluster, selector=None, tolerations=None)

    decorate = dsl.pipeline(name=interface.name, description=interface.about, pipeline_config=pipeline_config(cluster))
    return decorate(interface.of(lesionflow))
