"""State between epochs: saved completely, verified when read, including every random generator."""

from __future__ import annotations

import hashlib
import io
import pickle
import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from reidbench.files.atomic import flush, written_whole
from reidbench.files.filesystem import regular_bytes

from .devices import draw_apart, states_of_all, this_share

DIGEST = hashlib.sha256().digest_size
LAYOUT = 2  # increased when the networks of methods rename tensors: a checkpoint of a different layout is ignored


class TrainingCheckpoint:
    """Checkpoint of one stage, in its scratch folder; `extra` is the harness's data in it.

    On several devices there is one file: the first device writes it, all read it, and it has the generators of each.
    """

    def __init__(
        self,
        file: Path,
        *,
        extra: Any = None,
        progress: Callable[[int, int], None] = lambda done, total: None,
        every: int = 1,
    ) -> None:
        self.file = Path(file)
        self.extra = extra
        self.progress = progress
        self.every = every

    def epochs(self, total: int, **state: Any) -> Iterator[int]:
        """Yield the remaining epochs, from 0. Restores `state` first, and saves it after each epoch.

        `state` has objects with `state_dict` and `load_state_dict`, or `torch.Generator`s. A restart must pass the same
        names. A checkpoint that is damaged, has other names or comes from an older reidbench is ignored.
        """
        if this_share().ranks > 1:
            states_of_all(None)  # wait until the first rank has finished writing
        first = self._restore(total, state)
        if first == 0:
            draw_apart()
        self.progress(first, total)
        for epoch in range(first, total):
            yield epoch
            if (epoch + 1) % self.every == 0 and epoch + 1 < total:
                self._save(epoch + 1, total, state)
            self.progress(epoch + 1, total)

    def _save(self, epoch: int, total: int, state: dict[str, Any]) -> None:
        share = this_share()
        randoms = states_of_all(_random_state()) if share.ranks > 1 else [_random_state()]
        if share.rank > 0:
            return
        buffer = io.BytesIO()
        content = {
            "layout": LAYOUT,
            "epoch": epoch,
            "total": total,
            "state": {name: _get(item) for name, item in state.items()},
            "extra": self.extra.state_dict() if self.extra is not None else {},
            "random": randoms[0],
            "others": randoms[1:],
        }
        torch.save(content, buffer)
        payload = buffer.getvalue()
        with written_whole(self.file, beside=self.file.with_suffix(".new")) as beside:
            beside.write_bytes(hashlib.sha256(payload).digest() + payload)
            flush(beside)

    def _restore(self, total: int, state: dict[str, Any]) -> int:
        content = self._read()
        share = this_share()
        if content is None or content.get("layout") != LAYOUT:
            return 0
        if content["total"] != total or set(content["state"]) != set(state):
            return 0
        randoms = [content["random"], *content.get("others", [])]
        if len(randoms) != share.ranks:
            return 0
        for name, item in state.items():
            _set(item, content["state"][name])
        if self.extra is not None:
            self.extra.load_state_dict(content["extra"])
        _set_random_state(randoms[share.rank])
        return int(content["epoch"])

    def _read(self) -> dict[str, Any] | None:
        try:
            payload = regular_bytes(self.file, sys.maxsize)
        except (FileNotFoundError, ValueError):  # ValueError: a pipe or folder, which is not a checkpoint
            return None
        if hashlib.sha256(payload[DIGEST:]).digest() != payload[:DIGEST]:
            return None
        try:
            content: dict[str, Any] = torch.load(io.BytesIO(payload[DIGEST:]), weights_only=True, map_location="cpu")
        except pickle.UnpicklingError:  # a foreign file: nothing in it was executed, and training restarts
            return None
        return content


def _get(item: Any) -> Any:
    return item.get_state() if isinstance(item, torch.Generator) else item.state_dict()


def _set(item: Any, saved: Any) -> None:
    if isinstance(item, torch.Generator):
        item.set_state(saved)
    else:
        item.load_state_dict(saved)


def _random_state() -> dict[str, Any]:
    kind, words, position, has_gauss, gauss = np.random.get_state(legacy=True)
    key = torch.from_numpy(np.asarray(words).astype(np.int64))
    state: dict[str, Any] = {
        "torch": torch.get_rng_state(),
        "numpy": [kind, key, int(position), int(has_gauss), float(gauss)],
        "python": random.getstate(),
    }
    if torch.cuda.is_available():
        # Each process queries only its own device; querying others would allocate memory on them.
        several = this_share().ranks > 1
        state["cuda"] = [torch.cuda.get_rng_state()] if several else torch.cuda.get_rng_state_all()
    return state


def _set_random_state(state: dict[str, Any]) -> None:
    torch.set_rng_state(state["torch"])
    kind, words, *rest = state["numpy"]
    np.random.set_state((kind, words.numpy().astype(np.uint32), *rest))
    random.setstate(_as_tuple(state["python"]))
    if "cuda" in state and torch.cuda.is_available():
        if this_share().ranks > 1:
            torch.cuda.set_rng_state(state["cuda"][0])
        else:
            torch.cuda.set_rng_state_all(state["cuda"])


def _as_tuple(value: Any) -> Any:
    return tuple(_as_tuple(item) for item in value) if isinstance(value, list | tuple) else value
