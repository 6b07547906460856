"""Runs the compiled pipeline through KFP's local runner, in a process of its own.

KFP's runner prints banners and tracebacks of its own and keeps global state; here that is a log file
of the parent, `pipelines.local.run`, which draws what a person wants to see.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path

from kfp import components, local


def main(arguments: list[str]) -> int:
    """Runs `PIPELINE_YAML ARGUMENTS_JSON PIPELINE_ROOT`; 0 only if KFP reports every task as done."""
    pipeline, values, root = arguments
    # each task would warn that sizes and images mean nothing here, which is the point of a local run
    warnings.filterwarnings("ignore", module=r"kfp\.local")
    # use_venv=False: the steps run in this very environment, as in an image that holds the package
    local.init(runner=local.SubprocessRunner(use_venv=False), pipeline_root=root, raise_on_error=True)
    run = components.load_component_from_file(pipeline)
    try:
        run(**json.loads(Path(values).read_text(encoding="utf-8")))
    except RuntimeError as error:  # raised by kfp when a task failed; the step's own error is above it
        sys.stdout.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
