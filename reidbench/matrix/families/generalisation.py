"""Protocols of domain generalisation that papers number 1, 2 and 3: data sets, images and references.

Numbers follow META, ACL and BAU; other papers use other numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from reidbench.errors import ReidbenchError
from reidbench.matrix.benchmark import ALL_IMAGES

from .groups import DEFINITIONS, MEAN, REFERENCES

BAU = (
    "Cho et al., Generalizable Person Re-identification via Balancing Alignment and Uniformity, NeurIPS 2024: "
    "README.md and train.sh of https://github.com/yoonkicho/BAU"
)
META = (
    "Xu et al., Mimic Embedding via Adaptive Aggregation: Learning Generalizable Person Re-identification, ECCV 2022: "
    "projects/META/configs/Base-cnn.yml of https://github.com/xbq1994/META (COMBINEALL)"
)
ACL = (
    "Zhang et al., Adaptive Cross-Domain Learning for Generalizable Person Re-identification, ECCV 2022: "
    "configs/bagtricks_DR50_mix.yml of https://github.com/peterzpy/ACL-DGReID (COMBINEALL)"
)
METABIN = (
    "Choi et al., Meta Batch-Instance Normalization for Generalizable Person Re-Identification, CVPR 2021: "
    "README.md of https://github.com/bismex/MetaBIN (test sets and their splits; its sources have DukeMTMC-reID too)"
)
NUMBERED = "numbered as in META, ACL and BAU; other papers use these numbers for other protocols"
LARGE = ("market1501", "msmt17", "cuhk03", "cuhk-sysu")
VERSIONS = (
    "META uses MSMT17 V2; BAU uses CUHK03 with the 767/700 protocol and detected boxes; CUHK-SYSU is a source only"
)


@dataclass(frozen=True)
class Generalisation:
    """Protocol: for each test, a method trains on the `images` of all `sources` except the target.

    Data sets have their published names, which a matrix file maps to its own data sets. `references` are the papers and
    public code that the definition was read from.
    """

    name: str
    summary: str
    sources: tuple[str, ...]
    targets: tuple[str, ...]
    images: str
    remarks: tuple[str, ...]
    references: tuple[str, ...]

    @property
    def roles(self) -> tuple[str, ...]:
        """The data sets that it needs, each once."""
        return tuple(dict.fromkeys((*self.sources, *self.targets)))

    def tests(self) -> Iterator[tuple[tuple[str, ...], str]]:
        """Yield sources and target of each test."""
        for target in self.targets:
            yield tuple(source for source in self.sources if source != target), target


PROTOCOLS = {
    one.name: one
    for one in (
        Generalisation(
            "dg-1",
            "four sources with all their images, train and test; tests on four small data sets",
            ("market1501", "cuhk02", "cuhk03", "cuhk-sysu"),
            ("prid", "grid", "viper", "ilids"),
            ALL_IMAGES,
            (
                "each small data set is tested on ten random splits: give a list of ten, one per split",
                "tables report the mean over splits and then over the four sets, of mAP and rank 1",
                "papers before the withdrawal of DukeMTMC-reID use it as a fifth source",
            ),
            (BAU, METABIN),
        ),
        Generalisation(
            "dg-2",
            "leave one out: three sources with their train images; tests on the fourth",
            LARGE,
            LARGE[:3],
            "train",
            (VERSIONS, "tables report the mean over the three tests, of mAP and rank 1"),
            (BAU, META, ACL),
        ),
        Generalisation(
            "dg-3",
            "as dg-2, with all images of the sources, train and test",
            LARGE,
            LARGE[:3],
            ALL_IMAGES,
            (VERSIONS, "tables report the mean over the three tests, of mAP and rank 1"),
            (BAU, META, ACL),
        ),
    )
}

SEQUENCE = "sequence"  # name of the description of lifelong tasks


def described(name: str) -> Iterator[str]:
    """Yield the definition and references of a protocol, line by line. Raises ReidbenchError for an unknown name."""
    if name == SEQUENCE:
        yield "data sets in order, each training starting from the method's current network; tests after each step"
        for number, words in DEFINITIONS.items():
            if number != MEAN:
                yield f"{number}: {words}"
                yield f"  from: {REFERENCES[number]}"
        return
    if name not in PROTOCOLS:
        raise ReidbenchError(f"unknown protocol {name!r} (known: {', '.join((*PROTOCOLS, SEQUENCE))})")
    found = PROTOCOLS[name]
    yield found.summary
    for sources, target in found.tests():
        yield f"test: {' + '.join(sources)} -> {target}"
    yield f"images of the sources: {'train, query and gallery' if found.images == ALL_IMAGES else 'train'}"
    yield from (f"remark: {remark}" for remark in (*found.remarks, NUMBERED))
    yield from (f"from: {reference}" for reference in found.references)
