"""Trials proposed by Optuna's tree-structured Parzen estimator, round by round (the extra `search`)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from reidbench.errors import ReidbenchError
from reidbench.matrix.benchmark import canonical
from reidbench.matrix.search import Search, Space, Values

from .draws import rounded, untried

ROUND = 4  # trials proposed at once, regardless of the number of parallel stages


def proposed(search: Search, told: Sequence[tuple[Values, float | None]]) -> list[Values]:
    """Return the trials of the next round. `told` are the earlier trials in order, with their values, None if failed.

    Higher is better. The first round is random. A repeated combination is replaced by the first one that was not tried.
    The result depends only on the seed and `told`. Raises ReidbenchError if Optuna is not installed.
    """
    try:
        import optuna
    except ImportError as error:
        raise ReidbenchError(f"tpe requires Optuna ({error}): pip install 'reidbench[search]'") from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    seed = int.from_bytes(hashlib.sha256(f"{search.seed} {len(told)}".encode()).digest()[:4], "big")
    sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=ROUND)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    spaces = {name: _distribution(space) for name, space in search.spaces.items()}
    states = optuna.trial.TrialState
    for values, value in told:
        params = {name: _told(search.spaces[name], one) for name, one in values.items()}
        state = states.FAIL if value is None else states.COMPLETE
        study.add_trial(optuna.trial.create_trial(params=params, distributions=spaces, value=value, state=state))
    found: list[Values] = []
    for _ in range(min(ROUND, search.trials - len(told))):
        tried = [*(values for values, _ in told), *found]
        asked = _values(search.spaces, study.ask(spaces).params)
        repeated = canonical(asked) in map(canonical, tried)
        found.append((untried(search, tried) or asked) if repeated else asked)
    return found


def _distribution(space: Space) -> Any:
    from optuna import distributions

    if space.kind == "choices":
        return distributions.CategoricalDistribution(list(range(len(space.values))))
    low, high = space.values
    if space.kind == "int":
        return distributions.IntDistribution(low, high)
    return distributions.FloatDistribution(low, high, log=space.kind == "log")


def _told(space: Space, value: Any) -> Any:
    """Convert a value for Optuna: choices become their index, since they may have any type."""
    if space.kind != "choices":
        return value
    return [canonical(one) for one in space.values].index(canonical(value))  # 1 is not true


def _values(spaces: Mapping[str, Space], params: Mapping[str, Any]) -> Values:
    found: dict[str, Any] = {}
    for name, space in spaces.items():
        value = params[name]
        if space.kind == "choices":
            found[name] = space.values[value]
        else:
            found[name] = value if space.kind == "int" else rounded(space, value)
    return found
