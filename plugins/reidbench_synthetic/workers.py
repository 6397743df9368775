"""Renders many files, in this process or with all cores."""

from __future__ import annotations

import functools
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from math import radians
from pathlib import Path
from threading import Thread

from PIL import Image

from reidbench.errors import ReidbenchError

from .params import SyntheticParams
from .render import Studio
from .shots import Shot

Progress = Callable[[int, int], None]
_CHUNK = 48  # files: a few persons, under a second of work
_ALONE = 600  # files whose rendering takes about as long as starting processes


@dataclass(frozen=True)
class Job:
    """One file: a shot's image, or its structure map turned by `angle` degrees."""

    path: str
    shot: Shot
    angle: int | None = None


def render_files(
    params: SyntheticParams,
    jobs: Sequence[Job],
    folder: Path,
    processes: int | None = None,
    progress: Progress | None = None,
) -> None:
    """Write all files under `folder`. `progress(done, total)` is called from this process."""
    for parent in sorted({Path(job.path).parent for job in jobs}):
        (folder / parent).mkdir(parents=True, exist_ok=True)
    chunks = [jobs[start : start + _CHUNK] for start in range(0, len(jobs), _CHUNK)]
    done = 0
    for count in _run(functools.partial(_render_chunk, params, folder), chunks, _count(processes, len(jobs))):
        done += count
        if progress:
            progress(done, len(jobs))


def _run(render: Callable[[Sequence[Job]], int], chunks: list[Sequence[Job]], processes: int) -> Iterator[int]:
    if processes == 1:
        yield from map(render, chunks)
        return
    # spawn, not fork: the caller may already run threads
    pool = ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), _end_with_parent)
    try:
        for rendered in as_completed([pool.submit(render, chunk) for chunk in chunks]):
            yield rendered.result()
    except BrokenProcessPool:
        raise ReidbenchError(
            "a rendering process was terminated, because memory ran out or because your script starts rendering "
            "outside of if __name__ == '__main__'"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)  # drops pending chunks if the caller stops early


def _end_with_parent() -> None:
    """Exit this pool process when its parent ends, even if the parent is killed."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def wait() -> None:
        parent.join()
        os._exit(1)

    Thread(target=wait, daemon=True).start()


def _count(processes: int | None, files: int) -> int:
    """Return the number of processes: as requested, or all usable cores if starting them is worthwhile."""
    if multiprocessing.current_process().daemon:
        return 1  # a pool's worker must not start processes
    if processes is not None:
        return processes
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return 1 if files < _ALONE else cores


def _render_chunk(params: SyntheticParams, folder: Path, jobs: Sequence[Job]) -> int:
    studio = _studio(params)
    for job in jobs:
        if job.angle is None:
            pixels = studio.picture(job.shot)
        else:
            pixels = studio.structure(job.shot, radians(job.angle))
        Image.fromarray(pixels).save(folder / job.path, compress_level=1)  # noise does not compress
    return len(jobs)


@functools.lru_cache(maxsize=1)
def _studio(params: SyntheticParams) -> Studio:
    return Studio(params)
