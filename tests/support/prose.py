"""Find words that the project's prose avoids, in Markdown text, docstrings, comments and messages.

`python tests/support/prose.py [PATH...]` prints findings as `file:line: word: text`, then the rate per 1,000 words.
"""

from __future__ import annotations

import ast
import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
# CONTRIBUTING.md has the words to use instead, under "Words".
AVOIDED = {
    "anew": r"anew",
    "whoever": r"whoever|whosoever|whomever|whichever",
    "whatever": r"whatever",
    "lies": r"lies|lay|lain|lying",
    "stands": r"stands?(?!-ins?\b| for\b| alone\b|ard)|stood|standing",
    "tells": r"tells?|told",
    "is no": r"(?<!there )(?<!There )(?:is|are|was|were) no(?! longer\b| more\b| fewer\b| less\b|t\b| match\b)(?= )",
    "goes on": r"go(?:es)? on(?!to\b)|went on|gone on|going on",
    "beside": r"(?<!\.)beside(?!=)",
    "mend": r"mend(?:s|ed|ing)?",
    "foretell": r"foretells?|foretold",
    "somebody": r"somebody(?:'s)?",
    "one's own": r"one's own|of its own|of their own",
    "at hand": r"at hand",
    "held against": r"h[eo]ld(?:s|ing)? (?:\w+ )?against",
    "set apart": r"(?:set|sets|told|tells?|kept|keeps?) (?:\w+ )?apart",
    "likewise": r"likewise",
    "alike": r"alike",
    "so many": r"(?:by|of|in|so) so (?:many|much)|so many|as many as it",
    "made again": r"made again|makes? again|making again",
    "archaic": r"albeit|lest|upon|whence|wherein|whereof|whereby|therein|thereof|thereby|hereby|hitherto|henceforth|"
    r"shall|ought|n[ao]ught|amid(?:st)?|amongst|whilst|forthwith|thrice|nay|hence|thus|none the less|nonetheless|dealt",
    "house": r"the house|rooms?",
}
_PATTERN = re.compile(
    r"\b(?:" + "|".join(f"(?P<w{n}>{pattern})" for n, pattern in enumerate(AVOIDED.values())) + r")\b", re.IGNORECASE
)
_NAMES = tuple(AVOIDED)
OPENINGS = re.compile(r"(?:What|How|Where|Who|Whose|Which|When|Why)\b")  # of a docstring


@dataclass(frozen=True)
class Prose:
    """A piece of text with its first line; `docstring` if it documents a module, class or function."""

    path: Path
    line: int
    text: str
    docstring: bool = False


@dataclass(frozen=True)
class Finding:
    """An avoided word and its position."""

    path: Path
    line: int
    word: str
    text: str

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line}: {self.word}: {self.text}"


def prose_of(path: Path) -> Iterator[Prose]:
    """Yield the prose of a Python, Markdown, YAML or template file, without code, names in backticks and links."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        yield from _of_python(path, text)
    elif path.suffix in {".md", ".tmpl", ".j2", ".html"}:
        yield from _of_markdown(path, text)
    elif path.suffix in {".yaml", ".yml", ".toml"}:
        for number, line in enumerate(text.splitlines(), 1):
            if "#" in line:
                yield Prose(path, number, line.split("#", 1)[1])


def _of_markdown(path: Path, text: str) -> Iterator[Prose]:
    fenced = generated = False
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
        generated = (generated or line.startswith("<!-- ")) and not line.startswith("<!-- end of ")
        if line.startswith(("<!-- /", "<!-- end of ")) or (
            line.startswith("<!--") and line.endswith("-->") and ":" not in line and line != "<!-- tables -->"
        ):
            generated = False
        if not fenced and not generated:
            yield Prose(path, number, re.sub(r"\]\([^)]*\)", "]", line))


def _of_python(path: Path, text: str) -> Iterator[Prose]:
    tree = ast.parse(text)
    docstrings = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                docstrings.add(first.value)
                yield Prose(path, first.lineno, first.value.value, docstring=True)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str) or node in docstrings:
            continue
        if " " in node.value.strip():  # a sentence, not a name
            yield Prose(path, node.lineno, node.value)
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield Prose(path, token.start[0], token.string.lstrip("# "))


def findings(prose: Prose) -> Iterator[Finding]:
    """Yield every avoided word of a piece, and a docstring that opens with a question word."""
    if prose.docstring and OPENINGS.match(prose.text):
        yield Finding(prose.path, prose.line, "opening", prose.text.strip().splitlines()[0])
    for offset, line in enumerate(prose.text.splitlines()):
        bare = re.sub(r"`[^`]*`", lambda found: "_" * len(found[0]), line)
        for found in _PATTERN.finditer(bare):
            word = _NAMES[next(n for n in range(len(_NAMES)) if found[f"w{n}"])]
            yield Finding(prose.path, prose.line + offset, word, line.strip())


def files(paths: list[Path]) -> list[Path]:
    """Tracked files with prose, under the given paths or in the whole repository; this file lists the words itself."""
    listed = subprocess.run(["git", "ls-files", *map(str, paths)], cwd=ROOT, capture_output=True, text=True, check=True)
    suffixes = {".py", ".md", ".yaml", ".yml", ".toml", ".tmpl", ".j2", ".html"}
    found = (ROOT / name for name in listed.stdout.splitlines() if Path(name).suffix in suffixes)
    return [file for file in found if file != Path(__file__).resolve()]


def main(arguments: list[str]) -> None:
    """Print the findings in the given paths and their rate."""
    words, found = 0, []
    for path in files([Path(name).resolve() for name in arguments]):
        for prose in prose_of(path):
            words += len(prose.text.split())
            found += findings(prose)
    for finding in sorted(found, key=lambda finding: (finding.path, finding.line)):
        print(finding)
    print(f"{len(found)} findings in {words} words: {1000 * len(found) / max(words, 1):.2f} in 1,000")


if __name__ == "__main__":
    main(sys.argv[1:])
