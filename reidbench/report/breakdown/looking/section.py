"""Everything that a page shows about one row, or two rows next to each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from reidbench.errors import ReidbenchError
from reidbench.files.names import shown
from reidbench.report.breakdown.scored import Unknown
from reidbench.report.html.ranked import Thumbnails

from .histograms import Histograms, histograms
from .lists import Asked, Item, Mark, ranked, worst
from .maps import Drawn, Load, Mapper, features
from .projection import Method, Projection, projection
from .subject import Place, Subject, query_number

MAPPED = 5  # matches of a list with maps

NO_MAPS = Drawn()


@dataclass(frozen=True)
class Wanted:
    """Contents of a page. `queries`: numbers from 1, names or files; without, the `worst` of the first row.

    `top`: images of a list. `load` returns the network of a stage: with it, the page has maps. `plane`: the method that
    projects features.
    """

    queries: Sequence[str] = ()
    worst: int = 3
    top: int = 10
    load: Load | None = None
    plane: Method = "pca"


@dataclass(frozen=True)
class Picture:
    """An image of a list with the names of its thumbnails; `rank` is 0 for ignored images."""

    words: str
    mark: Mark | None
    rank: int
    distance: str
    thumbnail: str
    maps: Drawn = NO_MAPS


@dataclass(frozen=True)
class Listed:
    """The list of one row: its query and its images, or a `note` with the reason why there is none."""

    row: str
    query: Picture | None = None
    pictures: tuple[Picture, ...] = ()
    sentence: str = ""
    note: str = ""
    no_maps: str = ""


@dataclass(frozen=True)
class Query:
    """One query with the list of each row."""

    title: str
    lists: tuple[Listed, ...]


@dataclass(frozen=True)
class RowLook:
    """Projection and histograms of one row, or a `note` with the reason why there are none."""

    name: str
    note: str = ""
    ranking: str = ""
    projection: Projection | None = None
    histograms: Histograms | None = None


@dataclass(frozen=True)
class Look:
    """The section. `chosen` says how the queries were chosen, `maps` what the maps are; `real` are data sets."""

    name: str
    rows: tuple[RowLook, ...]
    queries: tuple[Query, ...] = ()
    chosen: str = ""
    maps: tuple[str, ...] = ()
    images: bool = False
    real: tuple[str, ...] = ()


def look(places: Sequence[Place], wanted: Wanted, thumbnails: Thumbnails) -> Look:
    """Look at one row or at two rows of one target.

    Raises ReidbenchError for an unknown query, and for rows whose targets differ.
    """
    rows, subjects = [], []
    for place in places:
        try:
            subject = Subject(place)
        except Unknown as reason:
            rows.append(RowLook(place.name, f"Nothing to show: {reason}."))
        else:
            subjects.append(subject)
    name = " and ".join(place.name for place in places)
    if not subjects:
        return Look(name, tuple(rows))
    if len({subject.data.key for subject in subjects}) > 1:
        raise ReidbenchError(f"{name} have different targets, so that their lists cannot be compared")
    asked, chosen = _asked(subjects, wanted)
    drawing = _Drawing(subjects, wanted, thumbnails)
    queries = tuple(drawing.query(one) for one in asked)
    pids = [int(subjects[0].columns["query_pids"][one.index]) for one in asked if one.index >= 0]
    rows += [_row(subject, pids, wanted.plane) for subject in subjects]
    real = tuple(dict.fromkeys(filter(None, (subject.real for subject in subjects))))
    images = all(subject.images for subject in subjects)
    return Look(name, tuple(rows), queries, chosen, drawing.sentences, images, real)


def _row(subject: Subject, pids: Sequence[int], plane: Method) -> RowLook:
    ranking = f"ranked as by {subject.evaluator}" if subject.evaluator else ""
    drawn = projection(subject.columns, subject.distance, pids, plane)
    return RowLook(subject.name, "", ranking, drawn, histograms(subject.columns, subject.distance))


def _asked(subjects: Sequence[Subject], wanted: Wanted) -> tuple[list[Asked], str]:
    """Return the queries, and a sentence that says how they were chosen. Raises ReidbenchError for an unknown one."""
    first = subjects[0]
    if not wanted.queries:
        found = worst(first, wanted.worst)
        how = f"with the lowest average precision of {first.name}" if first.scored else "first in the data set"
        count = "The query" if len(found) == 1 else f"The {len(found)} queries"
        return [Asked(index, _named(first, index)) for index in found], f"{count} {how}."
    return [_one(subjects, words, wanted.load) for words in wanted.queries], "The queries that were asked for."


def _one(subjects: Sequence[Subject], words: str, load: Load | None) -> Asked:
    number = query_number(subjects[0], words)
    if number is not None:
        return Asked(number, _named(subjects[0], number))
    file = Path(words)
    if not file.is_file():
        raise ReidbenchError(
            f"--query {shown(words)}: not a query of {subjects[0].name} and not an image file; give a number from 1 to "
            f"{len(subjects[0].columns['query_pids'])}, the name of a query, or a file"
        )
    if load is None:
        raise ReidbenchError(f"--query {shown(words)}: an image of your own requires the row's network; add --maps")
    return Asked(-1, words, tuple(features(subject, load, file) for subject in subjects))


def _named(subject: Subject, index: int) -> str:
    total = len(subject.columns["query_pids"])
    pid, camid = (int(subject.columns[f"query_{name}"][index]) for name in ("pids", "camids"))
    return f"Query {index + 1} of {total}: {_labels(pid, camid)}"


def _labels(pid: int, camid: int) -> str:
    person = f"identity {pid}" if pid > 0 else "distractor" if pid == 0 else "junk"
    return f"{person}, camera {camid}" if camid >= 0 else person


class _Drawing:
    """Draws lists and maps of all rows."""

    def __init__(self, subjects: Sequence[Subject], wanted: Wanted, thumbnails: Thumbnails) -> None:
        self.subjects, self.wanted, self.thumbnails = subjects, wanted, thumbnails
        self.mappers: list[Mapper | str] = [self._mapper(subject) for subject in subjects]

    def _mapper(self, subject: Subject) -> Mapper | str:
        """Return what draws a row's maps, or the reason why nothing does ("" if maps are not wanted)."""
        if self.wanted.load is None or not subject.images:
            return ""
        try:
            return Mapper(subject, self.wanted.load)
        except Unknown as reason:
            return str(reason)

    @property
    def sentences(self) -> tuple[str, ...]:
        """Sentences about the maps, after they were drawn."""
        return tuple(dict.fromkeys(one.sentence for one in self.mappers if isinstance(one, Mapper) and one.drew))

    def query(self, asked: Asked) -> Query:
        """Return a query with the list of each row."""
        return Query(asked.name, tuple(self._listed(place, asked) for place in range(len(self.subjects))))

    def _listed(self, place: int, asked: Asked) -> Listed:
        subject, mapper = self.subjects[place], self.mappers[place]
        try:
            found = ranked(subject, asked, place, self.wanted.top)
        except Unknown as why:
            return Listed(subject.name, note=f"No ranked list: {why}.")
        mapped = [item for item in found.items if item.rank][:MAPPED]
        maps: dict[int, Drawn] = {}
        own, reason = NO_MAPS, mapper if isinstance(mapper, str) else ""
        if isinstance(mapper, Mapper) and mapped:
            try:
                own, *others = self._maps(mapper, subject, asked, mapped)
                maps = {item.index: drawn for item, drawn in zip(mapped, others, strict=True)}
            except Unknown as error:
                reason = str(error)
        query = Picture("query", None, 0, "", self._thumbnail(subject, "query", asked), own)
        pictures = tuple(self._picture(subject, item, maps.get(item.index, NO_MAPS)) for item in found.items)
        said = "" if found.ap is None else f"AP {100 * found.ap:.1f} %, first true match at rank {found.first_hit}"
        return Listed(subject.name, query, pictures, said, "", f"No maps: {reason}." if reason else "")

    def _maps(self, mapper: Mapper, subject: Subject, asked: Asked, mapped: Sequence[Item]) -> list[Drawn]:
        queries = subject.splits["query"]
        if asked.index < 0:
            path, labels = Path(asked.name), (-1, "")
        else:
            words = "" if queries.modality is None else queries.modality[asked.index]
            path, labels = subject.path("query", asked.index), (int(queries.camids[asked.index]), words)
        return mapper.draw(path, labels, [item.index for item in mapped], self.thumbnails)

    def _thumbnail(self, subject: Subject, part: str, asked: Asked) -> str:
        if not subject.images:
            return ""
        return self.thumbnails.add(Path(asked.name) if asked.index < 0 else subject.path(part, asked.index))

    def _picture(self, subject: Subject, item: Item, maps: Drawn) -> Picture:
        name = self.thumbnails.add(subject.path("gallery", item.index)) if subject.images else ""
        return Picture(_labels(item.pid, item.camid), item.mark, item.rank, f"{item.distance:.4f}", name, maps)
