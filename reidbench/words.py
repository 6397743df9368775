"""The words that components declare: closed lists, so that a misspelt word is an error.

`capabilities` is what a network or a data set offers, `traits` the behaviour of a method, `requires` its requirements,
`protocol` what is shown in the protocol column, `lacks` what a data set lacks. A capability or ranking rule of a single
plugin contains a colon: "acme:wavelets". The end of the module handles labels on which the weights of a file were
trained, which only the user can declare.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator

FIELDS = ("capabilities", "traits", "requires", "protocol", "lacks")
METHODS = ("selector", "pretrainer", "preparer", "finetuner", "adapter")  # kinds whose stages have a seed
SEEDLESS = "seedless"  # the same inputs, including the initial network, give the same bytes with any seed
BACKBONE_FREE = "backbone-free"  # a fine-tuner or an adapter that computes features without the backbone
VALIDATION = "validation"  # held-out images that a training evaluates on; a part that a data set ships
# Labels beyond pid and camid. Methods get those that they declare in `protocol`; evaluators get all.
MORE_LABELS = frozenset({"clothes", "modality", "tracklets", "attributes"})
CAPABILITIES: Mapping[str, frozenset[str]] = {
    "backbone": frozenset({"stages", "bn", "tokens"}),
    "dataset": frozenset({"truth", VALIDATION}) | MORE_LABELS,
}
TRAITS: Mapping[str, frozenset[str]] = {
    "backbone": frozenset({SEEDLESS}),
    "selector": frozenset({SEEDLESS}),
    "pretrainer": frozenset({"pool-free", "data-parallel", SEEDLESS}),
    "preparer": frozenset({"translates", SEEDLESS}),
    "finetuner": frozenset({"label-free", BACKBONE_FREE, "data-parallel", SEEDLESS}),
    "adapter": frozenset({"source-free", BACKBONE_FREE, SEEDLESS}),
}
# Requirements of the task, its data and earlier steps. Other requirements of selectors, pretrainers, fine-tuners and
# adapters are capabilities of the backbone.
NEEDS: Mapping[str, frozenset[str]] = {
    "dataset": frozenset({"root"}),
    "selector": frozenset({"truth", "cameras"}) | MORE_LABELS,
    "pretrainer": frozenset({"truth", "cameras"}) | MORE_LABELS,
    "preparer": frozenset({"truth", "cameras"}) | MORE_LABELS,
    "finetuner": frozenset({"cameras"}) | MORE_LABELS,
    "adapter": frozenset({"source", "truth", "cameras", "start"}) | MORE_LABELS,
    "evaluator": MORE_LABELS,
}
TASK_NEEDS = frozenset({"source", "truth", "cameras", "start"}) | MORE_LABELS
# A label beyond identity may be missing in the whole data set or in one part; `test` is query or gallery.
LACKS = (
    frozenset({"cameras", "labels", "train", "test"})
    | MORE_LABELS
    | {f"{word} in {part}" for word in MORE_LABELS for part in ("train", "test")}
)
# Information used besides the ordinary inputs; in addition, labels of pre-trained weights: "ImageNet labels".
FLIP = "flip"  # features are means over an image and its mirror image
USED = frozenset({"target-labels", "cameras", "truth", "test-images", "auxiliary", FLIP}) | MORE_LABELS
# Declarations in a matrix file for a row with external features; in addition, "DATA SET labels".
DECLARABLE = USED | {"source labels", "target images", "pool", "truth of the pool", "transductive"}
DECLARED, UNDECLARED = "declared: ", "undeclared"  # prefix of each such word; word for a row without a declaration
RULES = frozenset(
    {"AP step", "AP trapezoid", "no camera rule", "invalid queries count 0", "ties best", "ties worst"}
    | {"cosine", "euclidean", "query expansion", "query expansion among all", "re-ranked"}
    | {"same clothes excluded", "different clothes excluded", "across modalities", "CMC over identities"}
    | {f"{what} ({how})" for what in ("tracklets pooled", "multi-query") for how in ("mean", "max")}
)  # of an evaluator; further rules contain names, camera numbers of the data, and other numbers:
_CAMERAS = r"(?:camera \d+|cameras \d+(?:\+\d+)+)"  # joined by +, since commas separate protocol words
RULE_OF = re.compile(
    rf"re-ranked \([\w .-]+\)|single gallery shot x[1-9]\d*|(?:queries|gallery) of {_CAMERAS}"
    rf"|{_CAMERAS} skipped for queries of camera \d+"
    r"|gallery (?:1 shot|[1-9]\d* shots) per identity(?: and camera)? x[1-9]\d*|draw seed [1-9]\d*",
    re.ASCII,
)
ON_TEST_LABELS = "chosen on test labels"  # a row whose parameters a search chose on the test part
OWN = re.compile(r"[a-z][a-z0-9-]*: ?\w[\w .-]*")  # a plugin's own word

UNKNOWN = "unknown pre-training"  # a row that starts from a file without declared labels
IMAGENET = "ImageNet labels"
DATA_SET_LABELS = re.compile(r"(?!(?:no|source|target|unknown) )[A-Za-z0-9][\w .+/&()-]{0,60} labels")
DESCRIPTION = (
    "labels that the file was trained on, for the protocol column: none, or for example 'ImageNet labels' (a list for "
    "several); default: 'unknown pre-training'"
)


@dataclass(frozen=True)
class Declared:
    """Marks a parameter that is only a declaration: no result depends on it, and it is not part of the key."""


def is_supervision(word: str) -> bool:
    """Return whether a protocol word is about labels of pre-trained weights: "DATA SET labels", or unknown."""
    return word == UNKNOWN or DATA_SET_LABELS.fullmatch(word) is not None


def known_words(field: str, kind: str) -> frozenset[str]:
    """Return the words that a component of this kind may use in a field of its declaration."""
    backbones = CAPABILITIES["backbone"] if kind in METHODS and kind != "preparer" else frozenset()
    lists: Mapping[str, Mapping[str, frozenset[str]]] = {
        "capabilities": CAPABILITIES,
        "traits": TRAITS,
        "requires": {kind: NEEDS.get(kind, frozenset()) | backbones},
        "protocol": {"evaluator": RULES, **dict.fromkeys(METHODS, USED), "finetuner": USED | {VALIDATION}},
        "lacks": {"dataset": LACKS},
    }
    return lists[field].get(kind, frozenset())


def complaint(field: str, words: object, kind: str) -> str:
    """Return the error in the words of a field, with the nearest known word; "" if there is none."""
    if isinstance(words, str) or not isinstance(words, Iterable) or not all(isinstance(word, str) for word in words):
        return f"{field} {words!r} must be a set of words, for example frozenset({{'word'}})"
    known = known_words(field, kind)
    wrong = sorted(word for word in words if word not in known and not _fits(field, word, kind))
    if not wrong:
        return ""
    return f"{field} {wrong[0]!r} is not a known word{_hint(field, wrong[0], kind)}"


def undeclarable(word: str) -> str:
    """Return the error in a word declared for a row with external features; "" if there is none."""
    if word in DECLARABLE or is_supervision(word):
        return ""
    known = sorted(DECLARABLE)
    near = difflib.get_close_matches(word[:100], known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"unknown word{hint} (known: {', '.join(known)}; or labels that it was trained on, as in 'ImageNet labels')"


def _hint(field: str, word: str, kind: str) -> str:
    """Return the nearest known word, or the field to which the word belongs, and all known words, as text."""
    known = sorted(known_words(field, kind))
    near = difflib.get_close_matches(word, known, n=1)
    right = [other for other in FIELDS if word in known_words(other, kind)]
    hint = f"; did you mean {near[0]!r}?" if near else f"; it belongs in `{right[0]}`" if right else ""
    own = "; your own words need a colon, as in acme:wavelets" if _fits(field, "acme:wavelets", kind) else ""
    labels = "; or labels behind a file, as in 'ImageNet labels'" if _fits(field, UNKNOWN, kind) else ""
    return f"{hint} (known: {', '.join(known) or 'none'}{own}{labels})"


def _fits(field: str, word: str, kind: str) -> bool:
    """Return whether a word belongs to an open family of words."""
    if field == "protocol":
        if kind == "evaluator":
            return bool(OWN.fullmatch(word) or RULE_OF.fullmatch(word))
        return kind != "dataset" and is_supervision(word)
    own = kind == "backbone" if field == "capabilities" else field == "requires" and kind in METHODS
    return own and OWN.fullmatch(word) is not None


def _labels(given: Any) -> Any:
    """Return labels as a tuple; `none` becomes an empty one."""
    if given is None:
        return None
    words = given if isinstance(given, list | tuple) else [given]
    if words == ["none"]:
        return ()
    if not all(isinstance(word, str) and DATA_SET_LABELS.fullmatch(word) for word in words):
        raise ValueError("must be none, the labels of a data set, as in 'ImageNet labels', or a list of such")
    return tuple(dict.fromkeys(words))


Labels = Annotated[tuple[str, ...] | None, BeforeValidator(_labels), Declared()]


def behind(file: object, labels: Iterable[str] | None) -> frozenset[str]:
    """Return the protocol words of a component that starts from `file`, None for no file, with parameter `labels`."""
    if file is None:
        return frozenset()
    return frozenset({UNKNOWN} if labels is None else labels)


def require_file(file: object, labels: object, name: str) -> None:
    """Raise ValueError for labels declared without a file; `name` is the file's parameter."""
    if labels is not None and file is None:
        raise ValueError(f"labels declares what {name} was trained on, but {name} is not given")
