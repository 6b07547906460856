"""What is refused as not dermoscopic: the shipped distance beside others, on test images and on other pictures.

    python tests/benchmarks/bench_refuse.py MODEL SPLIT [--pictures KIND=FOLDER ...] [--images N]

MODEL and SPLIT are artifacts of train and split. Pages of text, noise, plain colours and gradients are generated; real
pictures come from folders, a kind each. Every method is fitted on training images and gets its limit from validation
groups; other pictures decide about nothing. Then test images are spoilt step by step and shown to the shipped distance.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from components.common.artifacts.model import open_model
from components.common.artifacts.split import read_split
from components.common.bundle.refusal import ALPHA
from components.common.imaging import inspect
from components.common.imaging.picture import read_picture
from components.common.statistics.outliers import distances, fit_gaussian, upper_limit
from components.export.familiar import with_pooled_features
from components.export.model_file import load_network
from components.export.outside_pictures import MAKERS, made
from components.export.resizing import resize_reference

Pixels = npt.NDArray[np.uint8]
Features = list[npt.NDArray[np.float32]]
Score = Callable[[Features], npt.NDArray[np.float64]]
_NEIGHBOURS = 50


def main() -> None:
    """Prints both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("split", type=Path)
    parser.add_argument("--pictures", nargs="*", default=[], metavar="KIND=FOLDER")
    parser.add_argument("--generated", type=int, default=125, help="pictures of each generated kind")
    parser.add_argument("--images", type=int, default=1000, help="training images the distance is measured from")
    parser.add_argument("--spoilt", type=int, default=100, help="test images that are spoilt")
    given = parser.parse_args()
    see = Seen(given.model)
    rows = read_split(given.split, ["uri", "verdict", "dx"])
    parts = {name: rows.usable(name).sort_values("image_id") for name in ("train", "val", "test")}
    parts["train"] = parts["train"].iloc[np.linspace(0, len(parts["train"]) - 1, given.images).round().astype(int)]
    known = {name: see.features(read(part["uri"])) for name, part in parts.items()}
    groups = parts["val"]["group_id"].to_numpy(dtype=np.str_)
    others = {kind: see.features(made(kind, given.generated)) for kind in MAKERS}
    for kind, folder in (one.split("=", 1) for one in given.pictures):
        others[kind] = see.features(read(map(str, sorted(Path(folder).iterdir()))))
    print(f"{'refused':<34}{'test':>8}" + "".join(f"{kind[:12]:>14}" for kind in others) + f"{'all others':>14}")
    methods = methods_of(known["train"], parts["train"]["dx"].to_numpy(dtype=np.str_))
    for name, score in methods.items():
        limit = upper_limit(score(known["val"]), groups, ALPHA)
        assert limit is not None
        shares = [float(np.mean(score(features) > limit)) for features in (known["test"], *others.values())]
        everything = np.concatenate([score(features) for features in others.values()])
        shares.append(float(np.mean(everything > limit)))
        print(f"{name:<34}{shares[0]:>8.2%}" + "".join(f"{share:>14.1%}" for share in shares[1:]))
    shipped = next(iter(methods.values()))
    limit = upper_limit(shipped(known["val"]), groups, ALPHA)
    print(f"\nspoilt test images, {'refused':>22}{'median distance':>18}   (limit {limit:.3f})")
    step = max(1, len(parts["test"]) // given.spoilt)
    images = list(read(parts["test"]["uri"].iloc[::step]))
    for name, spoil in spoilt().items():
        far = shipped(see.features(spoil(image) for image in images))
        print(f"  {name:<28}{np.mean(far > limit):>12.1%}{np.median(far):>18.2f}")


class Seen:
    """A network's pooled features of images."""

    def __init__(self, model: Path) -> None:
        import tensorflow as tf

        trained = open_model(model)
        self._size, self._short = trained.facts.image_size, trained.facts.record_size or min(trained.facts.image_size)
        network = with_pooled_features(load_network(trained.network, "float32"))
        self._function = tf.function(lambda pixels: network(pixels, training=False)[1:])

    def features(self, images: Iterable[Pixels]) -> Features:
        """(n, c) for each depth."""
        parts, batch = [], []
        for image in images:
            batch.append(resize_reference(np.ascontiguousarray(image), self._short, self._size))
            if len(batch) == 32:
                parts.append(self._function(np.stack(batch).astype(np.float32)))
                batch = []
        if batch:
            parts.append(self._function(np.stack(batch).astype(np.float32)))
        return [np.concatenate([np.asarray(part[k]) for part in parts]) for k in range(len(parts[0]))]


def read(uris: Iterable[str]) -> Iterable[Pixels]:
    """RGB images of URIs."""
    return (inspect.decode_rgb(read_picture(uri)) for uri in uris)


def methods_of(train: Features, diagnosis: npt.NDArray[np.str_]) -> dict[str, Score]:
    """The shipped distance first, then others that need no picture from outside."""
    every, last = [fit_gaussian(one.astype(np.float64)) for one in train], train[-1].astype(np.float64)
    classes = {dx: last[diagnosis == dx].mean(axis=0) for dx in np.unique(diagnosis)}
    centred = last - np.stack([classes[dx] for dx in diagnosis])
    within = fit_gaussian(centred)
    unit = last / np.linalg.norm(last, axis=1, keepdims=True)

    def alone(features: Features) -> npt.NDArray[np.float64]:
        return distances(every[-1:], features[-1:]).astype(np.float64)

    def relative(features: Features) -> npt.NDArray[np.float64]:
        """Ren 2021 (arXiv:2106.09022): the nearest class's squared distance less that to all images."""
        own = [distances([within], [(features[-1] - mean).astype(np.float32)]) ** 2 for mean in classes.values()]
        return (np.min(own, axis=0) - alone(features) ** 2).astype(np.float64)

    def neighbours(features: Features) -> npt.NDArray[np.float64]:
        """Sun 2022 (arXiv:2204.06507): distance to the k-th nearest training image, on the unit sphere."""
        new = features[-1] / np.maximum(np.linalg.norm(features[-1], axis=1, keepdims=True), 1e-12)
        return 2 - 2 * np.partition(new @ unit.T, -_NEIGHBOURS, axis=1)[:, -_NEIGHBOURS].astype(np.float64)

    return {
        "Mahalanobis, all depths (shipped)": lambda features: distances(every, features).astype(np.float64),
        "Mahalanobis, last depth": alone,
        "relative Mahalanobis, last depth": relative,
        f"{_NEIGHBOURS}th nearest neighbour, last depth": neighbours,
    }


def spoilt() -> dict[str, Callable[[Pixels], Pixels]]:
    """What goes wrong with a dermatoscope, by strength."""

    def scaled(factors: Sequence[float]) -> Callable[[Pixels], Pixels]:
        return lambda image: np.clip(image * np.asarray(factors), 0, 255).astype(np.uint8)

    def blurred(sigma: float) -> Callable[[Pixels], Pixels]:
        return lambda image: cv2.GaussianBlur(image, (0, 0), sigma * image.shape[1] / 200)

    ways: dict[str, Callable[[Pixels], Pixels]] = {"as it is": lambda image: image}
    ways |= {f"exposure x {k:g}": scaled([k] * 3) for k in (1.2, 1.5, 2, 3, 0.7, 0.5, 0.3, 0.15)}
    ways |= {f"blur, {sigma / 2:g} % of the width": blurred(sigma) for sigma in (1, 2, 4, 8)}
    ways |= {f"blue +{k:.0%}, red -{k:.0%}": scaled([1 - k, 1, 1 + k]) for k in (0.1, 0.2, 0.4, 0.6)}
    ways["red and blue exchanged"] = lambda image: image[..., ::-1]
    ways["grey"] = lambda image: np.repeat(image.mean(axis=2, keepdims=True), 3, axis=2).astype(np.uint8)
    ways["negative"] = lambda image: 255 - image
    return ways


if __name__ == "__main__":
    main()
