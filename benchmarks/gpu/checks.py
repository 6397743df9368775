"""The checks of `python -m benchmarks.gpu`, with a row of the table per result."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from reidbench.testing import write_market_folder

from .families import FAMILIES, Family, Step
from .processes import ENDED, Processes, last_line
from .tasks import Answer, Task, write_matrix

PRECISIONS = ("32-true", "bf16-mixed")
FULL = "bf16-mixed"  # precision of full trainings
OUT_OF_TIME = "skipped: out of time"
RESUMED = 1e-3  # maximum relative difference between the losses of a resumed and an uninterrupted training
EPOCHS, KILLED_AT = 6, 3
GIB = 2**30
TINY_DATA = {
    "source": {"use": "synthetic", "world": "plaza", "size": "tiny"},
    "target": {"use": "synthetic", "world": "station", "size": "tiny"},
    "pool": {"use": "synthetic", "world": "crowd", "size": "tiny"},
}


@dataclass(frozen=True)
class Row:
    """A row of the table. A result that begins with "failed" fails the whole run."""

    check: str
    subject: str
    result: str
    measured: str = "-"
    allowed: str = "-"


class Checks:
    """All checks, or the families and checks named in `only`; `tiny` for a CPU."""

    def __init__(self, processes: Processes, device: str, devices: int, tiny: bool, only: Sequence[str]) -> None:
        self.processes = processes
        self.folder = processes.folder
        self.hidden = device == "cpu"
        self.devices = devices
        self.tiny = tiny
        self.only = only
        self.families = [family for family in FAMILIES if self.wanted(family.name)]

    def wanted(self, name: str) -> bool:
        """Whether a family or a check is selected."""
        return not self.only or name in self.only

    def rows(self) -> Iterator[Row]:
        """Yield the rows as the checks finish."""
        yield from self.losses()
        for name, check in OTHERS.items():
            if self.wanted(name):
                yield from check(self)
        yield from self.full_steps()

    # ------------------------------------------------------------------ losses
    def small(self, families: Sequence[Family], place: str, **top: Any) -> list[Task]:
        """Short trainings of some families, in a separate store."""
        methods = {family.name: family.small.method for family in families}
        file = write_matrix(self.folder / place / "matrix.yaml", methods, TINY_DATA, (64, 32), **top)
        return [Task(family.name, family.name, str(file), str(self.folder / place / "store")) for family in families]

    @cached_property
    def cpu(self) -> dict[str, Answer]:
        """Run the families on the CPU, and bot, which other checks compare with."""
        families = [family for family in FAMILIES if family in self.families or family.name == "bot"]
        return self.processes.answers(self.small(families, "cpu"), hidden=True)

    def losses(self) -> Iterator[Row]:
        """Compare each family at each precision with the CPU."""
        for precision in PRECISIONS:
            tasks = self.small(self.families, precision, precision=precision)
            expected, found = self.cpu, self.processes.answers(tasks, hidden=self.hidden)
            for family in self.families:
                row = (f"loss, {precision}", family.name)
                yield compare(
                    *row, expected.get(family.name), found.get(family.name), family, family.allowed(precision)
                )

    # ------------------------------------------------------------------ other checks
    def neighbours(self) -> Iterator[Row]:
        """Compare neighbour lists of faiss with those of the CPU."""
        count, dim = (512, 16) if self.tiny else (16_384, 2_048)
        device = "cpu" if self.hidden else "cuda"
        log = self.folder / "log-neighbours"
        found = list(self.processes.lines(["neighbours", str(count), str(dim), device], log, hidden=self.hidden))
        head = ("neighbours", f"faiss on {device}, {count:,} x {dim:,}")
        if not found:
            yield Row(*head, f"failed: {last_line(log)}" if self.processes.left else OUT_OF_TIME)
        elif "missing" in found[0]:
            yield Row(*head, f"skipped: {found[0]['missing']} not installed")
        else:
            different, ratio = found[0]["different"], found[0]["product"] / found[0]["faiss"]
            result = "ok" if different == 0 else f"failed: {different} of {found[0]['rows']} lists differ"
            yield Row(*head, result, f"{ratio:.3g} times as fast as the product on the CPU", "the same lists")

    def resume(self) -> Iterator[Row]:
        """Compare bot, killed and restarted, with an uninterrupted bot."""
        head = ("resume", f"bot of {EPOCHS} epochs, killed in epoch {KILLED_AT}")
        bot = FAMILIES[0]
        method = {**bot.small.method, "finetune": {**bot.small.method["finetune"], "epochs": EPOCHS}}
        runs = []
        for store, kill_at in (("broken", KILLED_AT), ("broken", 0), ("whole", 0)):
            file = write_matrix(self.folder / "resume" / "matrix.yaml", {"bot": method}, TINY_DATA, (64, 32))
            task = Task("bot", "bot", str(file), str(self.folder / "resume" / store), kill_at=kill_at)
            runs.append(self.processes.answers([task], hidden=self.hidden).get("bot"))
        killed, resumed, whole = runs
        if killed is not None and not killed.error.startswith(ENDED):
            yield Row(*head, f"failed: it was not killed {killed.error}".rstrip())
        elif resumed is not None and not resumed.error and resumed.logged >= EPOCHS:
            yield Row(*head, "failed: it restarted from the beginning")
        else:
            yield compare(*head, whole, resumed, bot, RESUMED)

    def two_processes(self) -> Iterator[Row]:
        """Run bot in two processes at the same time on one device."""
        bot = FAMILIES[0]
        tasks = [self.small([bot], f"process-{number}") for number in (1, 2)]
        with ThreadPoolExecutor(2) as pool:
            both = list(pool.map(lambda one: self.processes.answers(one, hidden=self.hidden), tasks))
        for number, found in enumerate(both, start=1):
            head = ("two processes on one device", f"bot, process {number}")
            yield compare(*head, self.cpu.get("bot"), found.get("bot"), bot, bot.allowed("32-true"))

    def two_devices(self) -> Iterator[Row]:
        """Compare bot on two devices with two processes on the CPU."""
        head = ("two devices", "bot")
        if not self.hidden and self.devices < 2:
            yield Row(*head, "skipped: one GPU")
            return
        bot = FAMILIES[0]
        expected, found = (
            self.processes.answers(self.small([bot], place, devices=2), hidden=hidden)
            for place, hidden in (("two-cpu", True), ("two", self.hidden))
        )
        yield compare(*head, expected.get("bot"), found.get("bot"), bot, bot.allowed("32-true"))

    # ------------------------------------------------------------------ full steps
    def full_steps(self) -> Iterator[Row]:
        """Images per second and peak memory of each family's published step."""
        steps = [(family, family.small if self.tiny else family.full) for family in self.families]
        tasks = [self._timed(family, step) for family, step in steps]
        found = self.processes.answers(tasks, hidden=self.hidden)
        for family, step in steps:
            head = (f"step, {FULL}", f"{family.name}: {step.described}")
            yield _timed_row(*head, found.get(family.name))

    def _timed(self, family: Family, step: Step) -> Task:
        place = self.folder / "full" / family.name
        file = write_matrix(
            place / "matrix.yaml", {family.name: step.method}, self.full_data, step.size, precision=FULL
        )
        return Task(
            family.name,
            family.name,
            str(file),
            str(self.folder / "full" / "store"),
            workers=0 if self.tiny else 8,
            calls=step.calls,
            images=step.images * step.batches,
        )

    @cached_property
    def full_data(self) -> dict[str, Any]:
        """Enough images for the largest batch; the small ones for small steps."""
        if self.tiny:
            return TINY_DATA
        root = self.folder / "people"
        write_market_folder(root, identities=64, cameras=6, images=8, size=(128, 64))
        people = {"use": "market-folder", "root": str(root)}
        return {**TINY_DATA, "source": people, "pool": people}


OTHERS: dict[str, Callable[[Checks], Iterator[Row]]] = {
    "neighbours": Checks.neighbours,
    "resume": Checks.resume,
    "two-processes": Checks.two_processes,
    "two-devices": Checks.two_devices,
}
NAMES = (*(family.name for family in FAMILIES), *OTHERS)


def compare(
    check: str, subject: str, expected: Answer | None, found: Answer | None, family: Family, allowed: float
) -> Row:
    """Compare logged with expected losses, up to a relative difference of `allowed`."""
    limit = f"{allowed:g}"
    if expected is None or found is None:
        return Row(check, subject, OUT_OF_TIME, allowed=limit)
    for answer, whose in ((expected, "reference: "), (found, "")):
        if answer.error:
            return Row(check, subject, f"failed: {whose}{answer.error}", allowed=limit)
    pairs = list(_pairs(expected, found, family.losses))
    if len(expected.lines) != len(found.lines) or not pairs:
        return Row(check, subject, f"failed: {len(found.lines)} lines with {' and '.join(family.losses)} were logged")
    worst = max((abs(a - b) / abs(a) if a != b else 0.0 for a, b in pairs), key=lambda one: (one != one, one))
    result = "ok" if worst <= allowed else "failed: another loss"
    return Row(check, subject, result, f"{worst:.2g}", limit)


def _pairs(expected: Answer, found: Answer, names: Sequence[str]) -> Iterator[tuple[float, float]]:
    for line, other in zip(expected.lines, found.lines, strict=False):
        for name in names:
            if name in line:
                yield line[name], other.get(name, float("nan"))


def _timed_row(check: str, subject: str, answer: Answer | None) -> Row:
    if answer is None:
        return Row(check, subject, OUT_OF_TIME)
    if "out of memory" in answer.error.lower():
        return Row(check, subject, "does not fit into the memory")
    if answer.error:
        return Row(check, subject, f"failed: {answer.error}")
    peak = f", {answer.peak / GIB:.3g} GiB" if answer.peak else ""
    return Row(check, subject, "measured", f"{answer.rate:,.4g} images/s{peak}")
