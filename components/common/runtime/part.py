"""One of several equal parts of a long list: what a pod of many works on."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Self

from components.common.runtime.errors import ConfigError


@dataclass(frozen=True)
class Part:
    """Part `number` (from 0) of `of`."""

    number: int
    of: int

    def __post_init__(self) -> None:
        """Refuses a number that is not one of a part.

        Raises:
            ConfigError: `number` is not below `of`.
        """
        if not 0 <= self.number < self.of:
            raise ConfigError(f"part: received {self.number} of {self.of}; allowed: 0 to {self.of - 1}")

    @property
    def text(self) -> str:
        """As JSON text, the only thing that a loop of Kubeflow Pipelines carries."""
        return json.dumps({"number": self.number, "of": self.of})

    @classmethod
    def parse(cls, text: str) -> Self:
        """From `text`; KFP may hand whole numbers over as floats."""
        return cls(**{name: int(value) for name, value in json.loads(text).items()})

    def slice(self, length: int) -> slice:
        """The part's places in a list; the parts of a list follow each other without gap.

        >>> [Part(i, 3).slice(8) for i in range(3)]
        [slice(0, 2, None), slice(2, 5, None), slice(5, 8, None)]
        """
        return slice(length * self.number // self.of, length * (self.number + 1) // self.of)


def parts_of(count: int) -> list[str]:
    """The texts of `count` parts."""
    return [Part(number, count).text for number in range(count)]
