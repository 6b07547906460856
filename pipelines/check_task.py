"""The first task of a run: it takes every parameter, checks them, and gives each step its configuration.

Steps read one output of this task each, so a changed parameter changes the inputs of its own step only, and KFP
reuses the results of the steps before it.
"""

import linecache
from typing import Any, NamedTuple

from kfp import dsl

from pipelines.parameter_texts import docstring, signature
from pipelines.parameters import STEP_CONFIGS

CHECK_TASK = "check"
CLUSTER_OPTIONS, ROUNDS = "cluster_options", "rounds"
DEMANDS = "demands"
_ABOUT = "Checks the parameters of a run and what it will read, and gives each step its configuration."


def _source(members: bool) -> str:
    """The component's source, which kfp sends to the pod as text: the signature has to be written in it."""
    given = "".join(f"{one.name}: {one.annotation.__name__}, " for one in signature().parameters.values())
    named = [(step, "str" if step == "train" else "dict") for step in STEP_CONFIGS]
    named += [(DEMANDS, "dict")]
    named += [("members", "list"), ("combine", "str")] if members else []
    returned = ", ".join(f'("{name}", {kind})' for name, kind in named)
    more = f", {ROUNDS}=values.pop({ROUNDS!r})" if members else ""
    rounds = f", {ROUNDS}: dict" if members else ""
    return (
        f'def {CHECK_TASK}({given}{CLUSTER_OPTIONS}: dict{rounds}) -> NamedTuple("Configurations", [{returned}]):\n'
        "    values = dict(locals())\n"
        "    from pipelines.check import check_run\n"
        f"    return check_run(values, values.pop({CLUSTER_OPTIONS!r}){more})\n"
    )


def check_component(*, members: bool = False) -> Any:
    """The component, whose inputs are the pipeline's parameters and whose outputs are the steps' configurations.

    Args:
        members: for a pipeline with several trainings: their configurations, and how they are combined, as well.
    """
    about = [f"    {CLUSTER_OPTIONS}: Options that the cluster file sets."]
    if members:
        about += [f"    {ROUNDS}: What bounds the members' trainings: parallelism, timeout_s and deadline_s."]
    about += ["", "Returns:"]
    about += [f"    {step}: Configuration of the step {step}." for step in STEP_CONFIGS]
    about += [f"    {DEMANDS}: What later steps will ask of the split."]
    if members:
        about += [
            "    members: Configuration of each training, as JSON text.",
            "    combine: What is made of the models: mean or best.",
        ]
    return written_component(CHECK_TASK, _source(members), docstring(_ABOUT) + "\n".join(about))


def written_component(name: str, text: str, doc: str) -> Any:
    """The component whose function `name` is written in `text`, for a signature that is made of fields."""
    file = f"<component {name}>"
    # inspect.getsource, which kfp calls, looks here for functions that stand in no file
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    defined: dict[str, Any] = {"NamedTuple": NamedTuple}
    exec(compile(text, file, "exec"), defined)
    function = defined[name]
    function.__doc__ = doc
    return dsl.component(function, base_image="lesionflow.invalid/sentinel", install_kfp_package=False)
