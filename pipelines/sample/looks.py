"""What a lesion of each diagnosis tends to look like, with the overlap that makes the task hard.

Loosely after the ABCD rule (Nachbar 1994) and the usual dermoscopic criteria: no single feature decides.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Looks:
    """The visible traits of one lesion, 0..1 where not said otherwise.

    Attributes:
        radius: of the lesion, as a share of the picture's height.
        stretch: longest over shortest axis.
        irregularity: how notched the border is.
        softness: how gradually the border fades.
        asymmetry: how one-sided colour and structure are.
        darkness: of the main pigment.
        redness: of the main colour.
        colours: further colours beside the main one, 0 to 4.
        network: strength of the pigment network.
        coarseness: of the network: 0 fine and even, 1 wide and broken.
        veil: strength of a blue-grey area.
    """

    radius: float
    stretch: float
    irregularity: float
    softness: float
    asymmetry: float
    darkness: float
    redness: float
    colours: int
    network: float
    coarseness: float
    veil: float


# Atypia is one latent number per lesion; the traits of the ABCD rule follow it. (a, b) of a beta distribution.
_ATYPIA = {
    "nv": (1.7, 4.6),
    "bkl": (2.1, 3.8),
    "mel": (5.5, 1.9),
    "bcc": (5.0, 2.0),
    "akiec": (5.0, 2.0),
    "vasc": (1.6, 4.0),
    "df": (1.6, 4.5),
}
_DARKNESS = {"nv": 0.50, "bkl": 0.47, "mel": 0.62, "bcc": 0.28, "akiec": 0.24, "vasc": 0.45, "df": 0.34}
_REDNESS = {"nv": 0.22, "bkl": 0.22, "mel": 0.22, "bcc": 0.58, "akiec": 0.66, "vasc": 0.90, "df": 0.38}


def draw_looks(dx: str, random: np.random.Generator) -> Looks:
    """The traits of a lesion with diagnosis `dx`."""
    atypia = float(random.beta(*_ATYPIA[dx]))

    def trait(low: float, high: float, spread: float) -> float:
        return float(np.clip(low + (high - low) * atypia + random.normal(0, spread), 0, 1))

    def sometimes(chance: float, value: float) -> float:
        return value if random.random() < chance else 0.0

    strong = float(random.uniform(0.5, 1.0))
    return Looks(
        radius=float(np.clip(random.normal(0.20 + 0.15 * atypia, 0.045), 0.13, 0.42)),
        stretch=float(1 + abs(random.normal(0.12 + 0.2 * atypia, 0.12))),
        irregularity=trait(0.05, 0.85, 0.12),
        softness=float(np.clip(random.normal(0.3 if dx in ("nv", "df") else 0.2, 0.12), 0.04, 0.7)),
        asymmetry=trait(0.05, 0.85, 0.15),
        darkness=float(np.clip(random.normal(_DARKNESS[dx] + 0.25 * (atypia - 0.4), 0.13), 0.05, 0.95)),
        redness=float(np.clip(random.normal(_REDNESS[dx], 0.16), 0, 1)),
        colours=int(np.clip(round(random.normal(0.2 + 3.2 * atypia, 0.6)), 0, 4)),
        network=sometimes({"nv": 0.6, "mel": 0.55, "df": 0.55, "bkl": 0.2}.get(dx, 0.06), strong),
        coarseness=trait(0.1, 0.9, 0.15),
        veil=sometimes({"mel": 0.6, "bcc": 0.5, "akiec": 0.35}.get(dx, 0.05), strong),
    )
