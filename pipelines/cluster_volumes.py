"""Volumes of a step's pod: what Kubernetes would refuse, said when the cluster file is read.

Kubeflow names the volume of a claim or secret after it. So the name has to be one that a volume may have, two volumes
of a pod may not share one, and no path may lie in another volume, one of Kubeflow's own included.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable
from dataclasses import dataclass

# as a pod of Kubeflow Pipelines 2.17 has them, beside the folder that the steps write to and shared memory
_TAKEN = {
    "/tmp": "the steps' own",
    "/dev/shm": "shared memory",
    "/opt/lesionflow": "the images' own code",
    "/var/run/argo": "Argo's own",
    "/var/run/secrets/kubernetes.io": "the service account's",
    **dict.fromkeys(
        ("/gcs", "/s3", "/minio", "/kfp-launcher", "/.local", "/.cache", "/.config"), "Kubeflow's own in every pod"
    ),
}
_NAMES = frozenset(
    {
        "dshm",
        "kfp-launcher",
        "var-run-argo",
        "tmp-dir-argo",
        *(f"{name}-scratch" for name in ("gcs", "s3", "minio", "dot-local", "dot-cache", "dot-config")),
    }
)
_VOLUME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


@dataclass(frozen=True)
class Volume:
    """A claim or a secret that becomes a volume.

    Attributes:
        entry: what the cluster file calls it, such as `data.0.pvc`.
        name: its name in the namespace, and the volume's.
        path_entry: what the cluster file calls the path; the entry itself where the path is fixed.
        path: where the steps find it; empty where no entry of the file says so.
    """

    entry: str
    name: str
    path_entry: str = ""
    path: str = ""


def refuse_conflicts(volumes: Iterable[Volume]) -> None:
    """Refuses volumes that cannot be in one pod.

    Raises:
        ValueError: names the entry, what was received and what is allowed.
    """
    names: dict[str, str] = {}
    taken = dict(_TAKEN)
    for volume in volumes:
        _refuse_name(volume, names)
        names[volume.name] = volume.entry
        if volume.path:
            path = posixpath.normpath(volume.path)
            _refuse_path(volume, path, taken)
            taken[path] = volume.path_entry


def _refuse_name(volume: Volume, names: dict[str, str]) -> None:
    received = f"{volume.entry}: received {volume.name!r}"
    if not _VOLUME.fullmatch(volume.name):
        raise ValueError(
            f"{received}; allowed: at most 63 small letters, digits and -, without a dot, since Kubeflow names the "
            "volume after it"
        )
    if volume.name in _NAMES:
        raise ValueError(f"{received}; allowed: another name, since a volume of that name is in every pod")
    if volume.name in names:
        raise ValueError(
            f"{received}, as {names[volume.name]}; allowed: another one, since Kubeflow names volumes after claims and "
            "secrets, and a pod can have each name once"
        )


def _refuse_path(volume: Volume, path: str, taken: dict[str, str]) -> None:
    for other, owner in taken.items():
        if path == other or path.startswith(f"{other}/") or other.startswith(f"{path.rstrip('/')}/"):
            raise ValueError(
                f"{volume.path_entry}: received {volume.path!r}; allowed: a folder apart from {other}, which is {owner}"
            )
