"""Runs the compiled DAG through KFP's DockerRunner: non-root, read-only root file system, no network.

    python docker_dag.py PIPELINE_YAML ARGUMENTS_JSON PIPELINE_ROOT DATA_FOLDER

KFP's runner starts containers with auto_remove and, when one is gone before it is asked, takes that for
success: 7 to 20 % of failing containers. Here the container stays until its exit code is known.
"""

import json
import os
import sys
from pathlib import Path

import docker
from kfp import components, local
from kfp.local import docker_task_handler


def run_to_its_end(client, image, command, volumes, **options):
    container = client.containers.run(image=image, command=command, volumes=volumes, detach=True, **options)
    try:
        for line in container.logs(stream=True):
            sys.stdout.write(line.decode("utf-8", "replace"))
        return container.wait()["StatusCode"]
    finally:
        container.remove(force=True)


def main(pipeline, arguments, root, data):
    docker_task_handler.run_docker_container = run_to_its_end
    os.umask(0)  # KFP makes folders as this user; the container writes into them as another
    Path(root).mkdir(parents=True)
    runner = local.DockerRunner(
        network_mode="none", read_only=True, user="65532:65532", cap_drop=["ALL"], tmpfs={"/tmp": "rw,exec,size=2g"},
        security_opt=["no-new-privileges"], mem_limit="6g",
        mounts=[docker.types.Mount("/data", data, type="bind", read_only=True)],
    )  # fmt: skip
    local.init(runner=runner, pipeline_root=root, raise_on_error=True)
    try:
        components.load_component_from_file(pipeline)(**json.loads(Path(arguments).read_text()))
    except RuntimeError as error:
        sys.stdout.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
