"""Distances by which a crop, a flip and another camera's style move a feature (HHL, Table 1), from the logs of a store.

`python -m benchmarks.style_distances STORE` prints a Markdown table of the adaptations by `hhl` with `loss: L_CD`, by
target: mean and standard deviation, over source models, of the distances before and after the adaptation. Two more rows
have the differences of style and crop, and of style and flip, with 95 % intervals (paired t).
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from tabulate import tabulate

from reidbench.metrics.statistics import Doubles, over_seeds
from reidbench.store.artifacts import Store
from reidbench.store.logs import logged

WHEN = ("start", "end")
MOVES = ("crop", "flip", "style")
Distances = Mapping[str, list[float]]  # name of a logged value, such as style_distance_at_start -> one for each model


def found(store: Store, style: str = "stargan") -> dict[str, Distances]:
    """Return the logged distances by target, of all adaptations by L_CD with styles of one preparer."""
    by_target: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for key in sorted(store.keys()):
        stage = store.manifest(key).manifest["stage"]
        params = stage["params"]
        if (stage["kind"], stage["use"]) != ("adapt", "hhl") or params["loss"] != "L_CD":
            continue
        if params["style"]["use"] != style:
            continue
        (target,) = (data["data"] for data in stage["data"] if data["role"] == "target")
        for _, values in logged(store.read(key)):
            for name in values.keys() & {f"{move}_distance_at_{when}" for move in MOVES for when in WHEN}:
                by_target[target][name].append(values[name])
    return by_target


def lines(distances: Distances) -> Iterator[list[str]]:
    """Yield the lines of the table of one target: name, before and after."""
    values = {name: np.array(several) for name, several in distances.items()}
    for move in MOVES:
        yield [move, *(_mean(values[f"{move}_distance_at_{when}"]) for when in WHEN)]
    for move in MOVES[:2]:
        pairs = ((values[f"style_distance_at_{when}"], values[f"{move}_distance_at_{when}"]) for when in WHEN)
        yield [f"style - {move}", *(_difference(style - other) for style, other in pairs)]


def _mean(values: Doubles) -> str:
    return f"{values.mean():.3f} ± {values.std(ddof=1):.3f}" if len(values) > 1 else f"{values[0]:.3f}"


def _difference(values: Doubles) -> str:
    if len(values) < 2:
        return f"{values[0]:+.3f}"
    interval = over_seeds(values)
    return f"{interval.value:+.3f} [{interval.low:+.3f}, {interval.high:+.3f}]"


def main(arguments: list[str]) -> None:
    """Print the table."""
    table = [
        [target, len(next(iter(distances.values()))), *line]
        for target, distances in found(Store(Path(arguments[0]))).items()
        for line in lines(distances)
    ]
    print(
        tabulate(table, ["target", "models", "distance", "before", "after"], tablefmt="github", disable_numparse=True)
    )


if __name__ == "__main__":
    main(sys.argv[1:])
