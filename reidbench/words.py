"""The words that components say of themselves: closed lists, so that a misspelt word is found and not silence.

`capabilities` is what a network or a data set offers, `traits` how a method behaves, `requires` what must be there,
`protocol` what is shown in the protocol column, `lacks` what a data set is without. A capability or a rule of ranking
that only one plugin knows has a colon in it: "acme:wavelets". At the end: on which labels the weights of a file were
trained, which only their user can know.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator

FIELDS = ("capabilities", "traits", "requires", "protocol", "lacks")
METHODS = ("selector", "pretrainer", "preparer", "finetuner", "adapter")  # the kinds whose stages have a seed
SEEDLESS = "seedless"  # whatever its seed, the same inputs (a network to start from is one) give the same bytes
BACKBONE_FREE = "backbone-free"  # a fine-tuner or an adapter that computes features without the backbone
VALIDATION = "validation"  # held-out images that a training looks at while it runs; a part that a data set ships
# Labels beyond pid and camid. Methods are given those that they declare in `protocol`; evaluators are given all.
MORE_LABELS = frozenset({"clothes", "modality", "tracklets", "attributes"})
CAPABILITIES: Mapping[str, frozenset[str]] = {
    "backbone": frozenset({"stages", "bn", "tokens"}),
    "dataset": frozenset({"truth", VALIDATION}) | MORE_LABELS,
}
TRAITS: Mapping[str, frozenset[str]] = {
    "backbone": frozenset({SEEDLESS}),
    "selector": frozenset({SEEDLESS}),
    "pretrainer": frozenset({"pool-free", "data-parallel", SEEDLESS}),
    "preparer": frozenset({SEEDLESS}),
    "finetuner": frozenset({"label-free", BACKBONE_FREE, "data-parallel", SEEDLESS}),
    "adapter": frozenset({"source-free", BACKBONE_FREE, SEEDLESS}),
}
# What a component may require of its task, its data and the steps before it. All else that selectors, pretrainers,
# fine-tuners and adapters require is a capability of the backbone.
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
# A label beyond identity is lacked by the whole set, or by one part of it: `test` is query or gallery.
LACKS = (
    frozenset({"cameras", "labels", "train", "test"})
    | MORE_LABELS
    | {f"{word} in {part}" for word in MORE_LABELS for part in ("train", "test")}
)
# What is used beside the ordinary inputs; beside these, the labels behind pre-trained weights: "ImageNet labels".
FLIP = "flip"  # features are means over an image and its mirror image
USED = frozenset({"target-labels", "cameras", "truth", "test-images", "auxiliary", FLIP}) | MORE_LABELS
# What a matrix file may declare of a row whose features come from outside; beside these "DATA SET labels".
DECLARABLE = USED | {"source labels", "target images", "pool", "truth of the pool", "transductive"}
DECLARED, UNDECLARED = "declared: ", "undeclared"  # before each such word, and of a row that declares none
RULES = frozenset(
    {"AP step", "AP trapezoid", "no camera rule", "invalid queries count 0", "ties best", "ties worst"}
    | {"cosine", "euclidean", "query expansion", "query expansion among all", "re-ranked"}
    | {"same clothes excluded", "different clothes excluded", "across modalities", "CMC over identities"}
    | {f"{what} ({how})" for what in ("tracklets pooled", "multi-query") for how in ("mean", "max")}
)  # of an evaluator; beside these, with names, cameras as the data have them, and numbers:
_CAMERAS = r"(?:camera \d+|cameras \d+(?:\+\d+)+)"  # the words of a protocol are joined by commas
RULE_OF = re.compile(
    rf"re-ranked \([\w .-]+\)|single gallery shot x[1-9]\d*|(?:queries|gallery) of {_CAMERAS}"
    rf"|{_CAMERAS} skipped for queries of camera \d+"
    r"|gallery (?:1 shot|[1-9]\d* shots) per identity(?: and camera)? x[1-9]\d*|draw seed [1-9]\d*",
    re.ASCII,
)
ON_TEST_LABELS = "chosen on test labels"  # of a row whose parameters a search judged by the test part itself
OWN = re.compile(r"[a-z][a-z0-9-]*: ?\w[\w .-]*")  # a plugin's own word

UNKNOWN = "unknown pre-training"  # what a row says that starts from a file of which nothing was declared
IMAGENET = "ImageNet labels"
DATA_SET_LABELS = re.compile(r"(?!(?:no|source|target|unknown) )[A-Za-z0-9][\w .+/&()-]{0,60} labels")
DESCRIPTION = (
    "labels that the file was trained on, for the protocol column: none, or as in 'ImageNet labels' (a list for "
    "several); default: the row says 'unknown pre-training'"
)


@dataclass(frozen=True)
class Declared:
    """Marks a parameter that only declares something: no result depends on it, and it is not part of the key."""


def is_supervision(word: str) -> bool:
    """Whether a protocol word is one for the labels behind pre-trained weights: "DATA SET labels", or unknown ones."""
    return word == UNKNOWN or DATA_SET_LABELS.fullmatch(word) is not None


def known_words(field: str, kind: str) -> frozenset[str]:
    """The words that a component of this kind may say in a field of its declaration."""
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
    """What is wrong with the words of a field, with the nearest one that is known; "" when nothing is."""
    if isinstance(words, str) or not isinstance(words, Iterable) or not all(isinstance(word, str) for word in words):
        return f"{field} {words!r} must be a set of words, like frozenset({{'word'}})"
    known = known_words(field, kind)
    wrong = sorted(word for word in words if word not in known and not _fits(field, word, kind))
    if not wrong:
        return ""
    return f"{field} {wrong[0]!r} is not a word that is known here{_hint(field, wrong[0], kind)}"


def undeclarable(word: str) -> str:
    """What is wrong with a word that is declared of a row from outside, with the nearest known; "" when nothing is."""
    if word in DECLARABLE or is_supervision(word):
        return ""
    known = sorted(DECLARABLE)
    near = difflib.get_close_matches(word[:100], known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"no such word{hint} (known: {', '.join(known)}; or labels that it was trained on, like 'ImageNet labels')"


def _hint(field: str, word: str, kind: str) -> str:
    """The nearest known word, or the field that the word belongs to, and all words that are known."""
    known = sorted(known_words(field, kind))
    near = difflib.get_close_matches(word, known, n=1)
    right = [other for other in FIELDS if word in known_words(other, kind)]
    hint = f"; did you mean {near[0]!r}?" if near else f"; it is one of `{right[0]}`" if right else ""
    own = "; one of your own has a colon, like acme:wavelets" if _fits(field, "acme:wavelets", kind) else ""
    labels = "; or labels behind a file, like 'ImageNet labels'" if _fits(field, UNKNOWN, kind) else ""
    return f"{hint} (known: {', '.join(known) or 'none'}{own}{labels})"


def _fits(field: str, word: str, kind: str) -> bool:
    """Whether a word belongs to a family that no list can hold."""
    if field == "protocol":
        if kind == "evaluator":
            return bool(OWN.fullmatch(word) or RULE_OF.fullmatch(word))
        return kind != "dataset" and is_supervision(word)
    own = kind == "backbone" if field == "capabilities" else field == "requires" and kind in METHODS
    return own and OWN.fullmatch(word) is not None


def _labels(given: Any) -> Any:
    """`none` as an empty tuple, one word as a tuple of one."""
    if given is None:
        return None
    words = given if isinstance(given, list | tuple) else [given]
    if words == ["none"]:
        return ()
    if not all(isinstance(word, str) and DATA_SET_LABELS.fullmatch(word) for word in words):
        raise ValueError("must be none, or name a data set, as in 'ImageNet labels', or be a list of such")
    return tuple(dict.fromkeys(words))


Labels = Annotated[tuple[str, ...] | None, BeforeValidator(_labels), Declared()]


def behind(file: object, labels: Iterable[str] | None) -> frozenset[str]:
    """Protocol words of a component that starts from `file`, or from no file (None), with its parameter `labels`."""
    if file is None:
        return frozenset()
    return frozenset({UNKNOWN} if labels is None else labels)


def require_file(file: object, labels: object, name: str) -> None:
    """Raise ValueError for labels that are declared of no file; `name` is the file's parameter."""
    if labels is not None and file is None:
        raise ValueError(f"labels declares what {name} was trained on, and no {name} is given")
