"""Tables in documents, generated from packs.

`python -m benchmarks.tables` updates them, and `--check` only reports which of them differ. A table is declared in its
document:

    <!-- table: benchmarks/results/packs/quickstart.zip --trusted -->
    <!-- end of table -->

Between the two lines is the first table of `reidbench table PACK`, with the same `--metric` and `--columns`,
or the first ones if tasks have separate evaluators, and the first that each `--against METHOD` adds, with the
sentence above it. `--trusted`, as in `reidbench merge`, is for packs of our own machines: their rows omit the word
`self-reported`. The pack is a path from the root of the repository.

    <!-- claims: benchmarks/results/packs/one.zip benchmarks/results/packs/other.zip --trusted --rule -->
    <!-- end of claims -->

contains the output of `reidbench claims PACK...` for each pack, with titles as headings if there are several. `--rule`
adds the meaning of the verdicts.

    <!-- validity: benchmarks/validity.yaml benchmarks/results/packs/adaptation.zip -->
    <!-- end of validity -->

contains the output of `reidbench validity GROUPS PACK...`.
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
from reidbench.report.claims import texts
from reidbench.report.claims.validity import text as validity
from reidbench.report.claims.validity.compared import compared
from reidbench.report.claims.validity.groups import read_groups
from reidbench.report.results import SCORE
from reidbench.store.artifacts import Store

ROOT = Path(__file__).parents[1]
PAGES = ("*.md", "benchmarks/*.md", "plugins/*/README.md")
BEGIN = re.compile(r"<!-- (table|claims|validity):(.*)-->\s*")
END = "<!-- end of {} -->"
DETAILS = "\nAll metrics"  # begins the text after the tables of one metric
FIRST = re.compile(r"^\|.*(?:\n\|.*)*", re.MULTILINE)  # a table


@dataclass(frozen=True)
class Wanted:
    """A table: the pack, a path from the root, and its format."""

    pack: str
    metric: str | None = None
    columns: tuple[str, ...] = ()
    against: tuple[str, ...] = ()
    trusted: bool = False


@dataclass(frozen=True)
class WantedClaims:
    """Claims: the packs, paths from the root, and whether to add the meaning of the verdicts."""

    packs: tuple[str, ...]
    trusted: bool = False
    rule: bool = False


@dataclass(frozen=True)
class WantedValidity:
    """The orders of methods: a file of groups and packs, paths from the root."""

    groups: str
    packs: tuple[str, ...]


AnyWanted = Wanted | WantedClaims | WantedValidity


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ReidbenchError(message)


def wanted(words: str, kind: str = "table") -> AnyWanted:
    """Parse the first line of a table, of claims or of validity. Raises ReidbenchError."""
    parser = _Parser(prog=kind, add_help=False, allow_abbrev=False)
    if kind == "validity":
        parser.add_argument("groups")
    else:
        parser.add_argument("--trusted", action="store_true")
    if kind == "table":
        parser.add_argument("pack")
        parser.add_argument("--metric")
        parser.add_argument("--columns", type=efficiency.names_of, default=())
        parser.add_argument("--against", action="append", default=[])
    else:
        parser.add_argument("packs", nargs="+", metavar="pack")
    if kind == "claims":
        parser.add_argument("--rule", action="store_true")
    try:
        found = parser.parse_args(shlex.split(words))
    except ValueError as error:  # an unclosed quote
        raise ReidbenchError(str(error)) from None
    if kind == "validity":
        return WantedValidity(found.groups, tuple(found.packs))
    if kind == "claims":
        return WantedClaims(tuple(found.packs), found.trusted, found.rule)
    return Wanted(found.pack, found.metric, tuple(found.columns), tuple(found.against), found.trusted)


def made(one: AnyWanted, root: Path) -> str:
    """Text of a table, of claims or of validity.

    Raises ReidbenchError for a path that is not a file below the root, and as the commands do.
    """
    if isinstance(one, WantedValidity):
        return made_validity(one, root)
    return made_claims(one, root) if isinstance(one, WantedClaims) else made_table(one, root)


def _below(root: Path, name: str) -> Path:
    file = root / name
    if Path(name).is_absolute() or not file.resolve().is_relative_to(root.resolve()):
        raise ReidbenchError(f"{name}: not a path below the root of the repository")
    return file


@contextlib.contextmanager
def unpacked(name: str, root: Path, *, trusted: bool) -> Iterator[tuple[Plan, Store]]:
    """Plan of a pack, a path from the root, and a store with its contents."""
    with Pack(_below(root, name)) as pack, tempfile.TemporaryDirectory(prefix="reidbench-") as folder:
        source = merging.PackSource(pack, trusted=trusted)
        store = Store(Path(folder))
        merging.merge([source], store)
        yield source.plan, store


def made_table(one: Wanted, root: Path) -> str:
    """Text of a table."""
    with unpacked(one.pack, root, trusted=one.trusted) as (plan, store):
        board = collect(plan, store, score=one.metric == SCORE)
        options = Options(one.metric, columns=one.columns)

        def text(*against: str) -> str:
            return write_board(board, plan, store, "md", options, against)

        whole = text()
        tables = FIRST.findall(whole.partition(DETAILS)[0])
        return "\n\n".join([*tables, *(_added(whole, text(method)) for method in one.against)]) + "\n"


def made_claims(one: WantedClaims, root: Path) -> str:
    """Claims of each pack, and the meaning of the verdicts if requested."""
    parts = []
    for name in one.packs:
        with unpacked(name, root, trusted=one.trusted) as (plan, store):
            if not plan.benchmark.claims:
                raise ReidbenchError(f"{name}: its matrix file has no `claims:`")
            found = texts.judged(collect(plan, store), plan, store)
            parts.append(texts.block(found) if len(one.packs) == 1 else texts.titled(found, "###"))
    return "\n".join([*parts, *([texts.meaning()] if one.rule else [])])


def made_validity(one: WantedValidity, root: Path) -> str:
    """Order of the methods of each group, published and measured."""
    groups = read_groups(_below(root, one.groups), _registry())
    boards = []
    for name in one.packs:
        with unpacked(name, root, trusted=True) as (plan, store):
            boards.append((collect(plan, store), plan))
    return validity.markdown(groups, [[compared(group, *board) for board in boards] for group in groups])


@functools.cache
def _registry() -> plugins.Registry:
    return plugins.load()


def _added(whole: str, more: str) -> str:
    """The text appended to another one, up to the end of its first table."""
    behind = more.removeprefix(whole)
    found = FIRST.search(behind)
    return behind[: found.end()].strip() if found else behind.strip()


def renewed(text: str, make: Callable[[AnyWanted], str]) -> tuple[str, list[tuple[int, str]]]:
    """Regenerate a document's tables; return the text, and the line and the words of each changed table.

    Raises ReidbenchError that begins with the line number.
    """
    lines = enumerate(io.StringIO(text), 1)
    new: list[str] = []
    differ = []
    for number, line in lines:
        new.append(line)
        if begin := BEGIN.fullmatch(line):
            try:
                table = make(wanted(begin[2], begin[1]))
            except ReidbenchError as error:
                raise ReidbenchError(f"{number}: {error}") from None
            before, end = _until_end(number, lines, begin[1])
            if before != table:
                differ.append((number, begin[2].strip()))
            new += [table, end]
    return "".join(new), differ


def _until_end(begin: int, lines: Iterator[tuple[int, str]], kind: str) -> tuple[str, str]:
    """The lines up to the end marker of a table or of claims, and the marker."""
    found: list[str] = []
    for _, line in lines:
        if line.strip() == END.format(kind):
            return "".join(found), line
        if BEGIN.fullmatch(line):
            break
        found.append(line)
    what = "claims have" if kind == "claims" else f"{kind} has"
    raise ReidbenchError(f"{begin}: the {what} no end: add a line {END.format(kind)} after it")


def pages(root: Path) -> list[Path]:
    """Documents that may have tables of packs."""
    return sorted({page for pattern in PAGES for page in root.glob(pattern)})


def stale(root: Path, *, write: bool) -> list[str]:
    """Each outdated table, as FILE:LINE: PACK and options; with `write`, they are updated.

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
    """Return the exit code: 0; 1 if a table differs with `--check`; 2 for a table that cannot be generated."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tables", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if a table differs")
    check = parser.parse_args(arguments).check
    try:
        found = stale(ROOT, write=not check)
    except ReidbenchError as error:
        print(f"benchmarks.tables: {error}", file=sys.stderr)
        return 2
    for one in found:
        print(f"{one}: {'differs from the table of its pack; run `make tables`' if check else 'updated'}")
    return 1 if check and found else 0


if __name__ == "__main__":
    sys.exit(main())
