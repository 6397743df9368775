"""Tables of the documents that are made from packs.

`python -m benchmarks.tables` writes them again, and `--check` only says which of them differ. A table is named in its
document:

    <!-- table: benchmarks/results/packs/quickstart.zip --trusted -->
    <!-- end of table -->

Between the two lines comes the first table that `reidbench table PACK` prints, by the same `--metric` and `--columns`,
or the first ones where tasks have evaluators of their own, and the first that each `--against METHOD` adds, with the
sentence above it. `--trusted`, as of `reidbench merge`, is for packs of our own machines: their rows lack the word
`self-reported`. The pack is a path from the root of the repository.

    <!-- validity: benchmarks/validity.yaml benchmarks/results/packs/adaptation.zip -->
    <!-- end of table -->

Here comes all that `reidbench validity GROUPS PACK...` prints.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import io
import re
import shlex
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from reidbench.errors import ReidbenchError
from reidbench.files.atomic import write_whole
from reidbench.matrix.stage import Plan
from reidbench.packs import merging
from reidbench.packs.reading import Pack
from reidbench.registry import plugins
from reidbench.report import Options, collect, efficiency, write_board
from reidbench.report.papers.validity import text as validity
from reidbench.report.papers.validity.compared import compared
from reidbench.report.papers.validity.groups import read_groups
from reidbench.report.results import SCORE
from reidbench.store.artifacts import Store

ROOT = Path(__file__).parents[1]
PAGES = ("*.md", "benchmarks/*.md", "plugins/*/README.md")
BEGIN = re.compile(r"<!-- (table|validity):(.*)-->\s*")
END = "<!-- end of table -->"
DETAILS = "\nAll metrics"  # begins what stands behind the tables of one metric
FIRST = re.compile(r"^\|.*(?:\n\|.*)*", re.MULTILINE)  # a table


@dataclass(frozen=True)
class Wanted:
    """A table: the pack, a path from the root, and how it is printed."""

    pack: str
    metric: str | None = None
    columns: tuple[str, ...] = ()
    against: tuple[str, ...] = ()
    trusted: bool = False


@dataclass(frozen=True)
class Validity:
    """The orders of methods: a file of groups and packs, paths from the root."""

    groups: str
    packs: tuple[str, ...]


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ReidbenchError(message)


def wanted(kind: str, words: str) -> Wanted | Validity:
    """What the first line of a table asks for. Raises ReidbenchError."""
    parser = _Parser(prog=kind, add_help=False, allow_abbrev=False)
    if kind == "validity":
        parser.add_argument("groups")
        parser.add_argument("packs", nargs="+")
    else:
        parser.add_argument("pack")
        parser.add_argument("--metric")
        parser.add_argument("--columns", type=efficiency.names_of, default=())
        parser.add_argument("--against", action="append", default=[])
        parser.add_argument("--trusted", action="store_true")
    try:
        found = parser.parse_args(shlex.split(words))
    except ValueError as error:  # a quote that is not closed
        raise ReidbenchError(str(error)) from None
    if kind == "validity":
        return Validity(found.groups, tuple(found.packs))
    return Wanted(found.pack, found.metric, tuple(found.columns), tuple(found.against), found.trusted)


def made(one: Wanted | Validity, root: Path) -> str:
    """The text of a table. Raises ReidbenchError for what is no file below the root, and as the commands do."""
    return _validity(one, root) if isinstance(one, Validity) else _table(one, root)


def _validity(one: Validity, root: Path) -> str:
    groups = read_groups(_below(root, one.groups), _registry())
    with contextlib.ExitStack() as held:
        given = [held.enter_context(_opened(_below(root, pack), trusted=True)) for pack in one.packs]
        boards = [(collect(plan, store), plan) for plan, store in given]
    return validity.markdown(groups, [[compared(group, *board) for board in boards] for group in groups])


@functools.cache
def _registry() -> plugins.Registry:
    return plugins.load()


def _below(root: Path, name: str) -> Path:
    file = root / name
    if Path(name).is_absolute() or not file.resolve().is_relative_to(root.resolve()):
        raise ReidbenchError(f"{name}: not a path below the root of the repository")
    return file


@contextlib.contextmanager
def _opened(file: Path, *, trusted: bool) -> Iterator[tuple[Plan, Store]]:
    """The plan of a pack, and a store with what is in it."""
    with Pack(file) as pack, tempfile.TemporaryDirectory(prefix="reidbench-") as folder:
        source = merging.PackSource(pack, trusted=trusted)
        store = Store(Path(folder))
        merging.merge([source], store)
        yield source.plan, store


def _table(one: Wanted, root: Path) -> str:
    with _opened(_below(root, one.pack), trusted=one.trusted) as (plan, store):
        board = collect(plan, store, score=one.metric == SCORE)
        options = Options(one.metric, columns=one.columns)

        def text(*against: str) -> str:
            return write_board(board, plan, store, "md", options, against)

        whole = text()
        tables = FIRST.findall(whole.partition(DETAILS)[0])
        return "\n\n".join([*tables, *(_added(whole, text(method)) for method in one.against)]) + "\n"


def _added(whole: str, more: str) -> str:
    """What stands behind a text, up to the end of its first table."""
    behind = more.removeprefix(whole)
    found = FIRST.search(behind)
    return behind[: found.end()].strip() if found else behind.strip()


def renewed(text: str, make: Callable[[Wanted | Validity], str]) -> tuple[str, list[tuple[int, str]]]:
    """A document with its tables made again, and the line and the words of each table that was another.

    Raises ReidbenchError that begins with the number of a line.
    """
    lines = enumerate(io.StringIO(text), 1)
    new: list[str] = []
    differ = []
    for number, line in lines:
        new.append(line)
        if begin := BEGIN.fullmatch(line):
            try:
                table = make(wanted(begin[1], begin[2]))
            except ReidbenchError as error:
                raise ReidbenchError(f"{number}: {error}") from None
            before, end = _until_end(number, lines)
            if before != table:
                differ.append((number, begin[2].strip()))
            new += [table, end]
    return "".join(new), differ


def _until_end(begin: int, lines: Iterator[tuple[int, str]]) -> tuple[str, str]:
    """The lines up to the end of a table, and that one."""
    found = []
    for _, line in lines:
        if line.strip() == END:
            return "".join(found), line
        if BEGIN.fullmatch(line):
            break
        found.append(line)
    raise ReidbenchError(f"{begin}: the table has no end: a line {END} is missing behind it")


def pages(root: Path) -> list[Path]:
    """The documents that may have tables of packs."""
    return sorted({page for pattern in PAGES for page in root.glob(pattern)})


def stale(root: Path, *, write: bool) -> list[str]:
    """Each table that is not that of its pack, as FILE:LINE: PACK and options; with `write` they are made so.

    Raises ReidbenchError that begins with FILE:LINE, before anything is written.
    """
    make = functools.cache(lambda one: made(one, root))
    found: list[str] = []
    texts: dict[Path, str] = {}
    for page in pages(root):
        name = page.relative_to(root).as_posix()
        try:
            new, differ = renewed(page.read_text(encoding="utf-8"), make)
        except ReidbenchError as error:
            raise ReidbenchError(f"{name}:{error}") from None
        found += [f"{name}:{line}: {words}" for line, words in differ]
        if differ:
            texts[page] = new
    for page, new in texts.items() if write else ():
        write_whole(page, new.encode())
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0, with `--check` 1 where a table differs, 2 for a table that cannot be made."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tables", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; end with 1 where a table differs")
    check = parser.parse_args(arguments).check
    try:
        found = stale(ROOT, write=not check)
    except ReidbenchError as error:
        print(f"benchmarks.tables: {error}", file=sys.stderr)
        return 2
    for one in found:
        print(f"{one}: {'is not the table of its pack; `make tables` makes it' if check else 'made again'}")
    return 1 if check and found else 0


if __name__ == "__main__":
    sys.exit(main())
