"""Print the training stages of a plan at full scale as a table."""

from __future__ import annotations

from collections.abc import Sequence

from tabulate import tabulate

from .scale import Disk, Line

UNKNOWN = "unknown"
HEAD = ("training", "image size", "batch", "steps", "images", "memory", "time")


def scale_table(lines: Sequence[Line], disk: Disk, per_second: float | None) -> str:
    """Return a table with a row per line, over all its stages, and totals; `per_second` is the training throughput."""
    rows = [_row(line, per_second) for line in lines]
    return f"{tabulate(rows, HEAD, disable_numparse=True)}\n\n{_totals(lines, disk, per_second)}\n"


def _row(line: Line, per_second: float | None) -> tuple[str, ...]:
    height, width = line.size
    label, work = line.label, line.workload
    if work is None:
        return label, f"{height}x{width}", *[UNKNOWN] * 5
    times = f" x {line.stages}" if line.stages > 1 else ""
    images = work.total * line.stages
    return (
        label,
        f"{height}x{width}",
        f"{work.images:,}",
        f"{work.steps:,}{times}",
        f"{images:,}",
        gibibytes(line.memory),
        duration(images, per_second),
    )


def _totals(lines: Sequence[Line], disk: Disk, per_second: float | None) -> str:
    known = [line for line in lines if line.workload is not None]
    images = sum(line.workload.total * line.stages for line in known if line.workload)
    steps = sum(line.workload.steps * line.stages for line in known if line.workload)
    memory = max((line.memory for line in known if line.memory is not None), default=None)
    missing = len(lines) - len(known)
    more = f", and {missing} of {len(lines)} trainings unknown" if missing else ""
    without = f", and {disk.unknown} stages unknown" if disk.unknown else ""
    return (
        f"at full scale: {steps:,} steps, {images:,} images{more}; most memory {gibibytes(memory)}; "
        f"time {duration(images, per_second)}{more if per_second else ''}\n"
        f"disk: {gibibytes(disk.known)} of networks and features{without}"
    )


def gibibytes(count: int | None) -> str:
    """Format a number of bytes in GiB, or MiB below 0.5 GiB."""
    if count is None:
        return UNKNOWN
    return f"{count / 2**30:.1f} GiB" if count >= 2**29 else f"{count / 2**20:.1f} MiB"


def duration(images: int, per_second: float | None) -> str:
    """Format the time for `images` images in hours, or in minutes below two hours."""
    if per_second is None:
        return UNKNOWN
    seconds = images / per_second
    return f"{seconds / 3600:.1f} h" if seconds >= 7200 else f"{seconds / 60:.1f} min"
