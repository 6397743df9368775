"""MkDocs hook: pages of the site that are generated, or that live elsewhere in the repository.

Generated from code: `reference/commands.md` (typer), `reference/words.md` and `reference/components/` (the registry).
Taken from the repository: README.md as the home page, CONTRIBUTING.md, CHANGELOG.md, the READMEs of the plugins and the
pages of benchmarks/. Links to other files of the repository lead to copies of them below `files/`.
"""

from __future__ import annotations

import json
import os
import posixpath
import re
import types
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
TAKEN = (
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "SECURITY.md",
    "plugins/*/README.md",
    "benchmarks/*.md",
    "benchmarks/*/*.md",
)
LINK = re.compile(r"\]\((?!\w+:|#)([^)\s#]+)(#[^)\s]*)?\)")
PARTS = re.compile(r"(```.*?```|`[^`\n]*`)", re.DOTALL)  # code, in which nothing is a link
QUOTE = re.compile(r"(?<=```python\n)# (tests/\S+\.py)\n(?=```)")  # a block that names a file has its code
COPIED = "files/"
TITLES = {"dataset": "Data sets", "finetuner": "Fine-tuners"}  # of other kinds the name with an s


def sources() -> dict[str, str]:
    """The site's path of each Markdown page or notebook of the repository, by its path there."""
    pages = {path.relative_to(ROOT).as_posix() for pattern in TAKEN for path in ROOT.glob(pattern)}
    pages |= {path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")}
    return {page: site_path(page) for page in sorted(pages)} | {"docs/notebook.ipynb": "notebook.md"}


def site_path(page: str) -> str:
    """The path of a page on the site: `plugins/reidbench_hhl/README.md` is `plugins/hhl.md`."""
    if page.startswith("docs/"):
        return page.removeprefix("docs/")
    page = re.sub(r"^plugins/reidbench_(\w+)/README\.md$", r"plugins/\1.md", page)
    return re.sub(r"README\.md$", "index.md", page).lower()


def relinked(text: str, page: str, pages: dict[str, str], copied: set[str]) -> str:
    """The text of a page of the repository with its links as they are on the site.

    A link to a missing file is left unchanged, so that `mkdocs build --strict` reports it. Linked files that are not
    pages are added to `copied`.
    """

    def link(found: re.Match[str]) -> str:
        goal = posixpath.normpath(posixpath.join(posixpath.dirname(page), found[1]))
        if (ROOT / goal).is_dir():  # leads to the nearest README
            folders = (ROOT / goal / "README.md").relative_to(ROOT).parents
            goal = next(name for folder in folders if (name := (folder / "README.md").as_posix()) in pages)
        if goal not in pages and (goal.startswith("docs/") or not (ROOT / goal).is_file()):
            return found[0]
        if goal not in pages:
            copied.add(goal)
        place = pages.get(goal, COPIED + goal)
        return f"]({posixpath.relpath(place, posixpath.dirname(pages[page]) or '.')}{found[2] or ''})"

    parts = PARTS.split(text)
    return "".join(part if n % 2 else LINK.sub(link, part) for n, part in enumerate(parts))


def notebook(path: Path) -> str:
    """A notebook as Markdown: its text, its code and what the code printed."""
    parts = []
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        source = "".join(cell["source"])
        parts.append(source if cell["cell_type"] == "markdown" else f"```python\n{source}\n```")
        for output in cell.get("outputs", []):
            if output["output_type"] == "execute_result":
                parts.append(f"```text\n{''.join(output['data']['text/plain']).rstrip()}\n```")
    return "\n\n".join(parts) + "\n"


def commands() -> str:
    """Every command with its arguments and options, as typer has them."""
    import typer

    from reidbench.cli import main

    root: Any = typer.main.get_command(main.app)
    lines = ["# Commands", "", "Generated from the program; `reidbench COMMAND --help` prints the same.", ""]
    for name, command in sorted(leaves(root, "reidbench")):
        positional = " ".join(one.metavar or one.name.upper() for one in command.params if is_argument(one))
        lines += [f"## {name.removeprefix('reidbench ')}", "", f"```text\n{name} {positional} [OPTIONS]\n```", ""]
        lines += [paragraph(command.help), ""]
        lines += ["| argument or option | type | default | meaning |", "|---|---|---|---|"]
        context = typer.Context(command, info_name=name)
        for one in command.params:
            if not getattr(one, "hidden", False):
                lines.append("| " + " | ".join(parameter_cells(one, context)) + " |")
        lines.append("")
    return "\n".join(lines)


def leaves(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    """The commands below a group, each by its whole name."""
    for word, one in getattr(command, "commands", {}).items():
        yield from leaves(one, f"{name} {word}") if hasattr(one, "commands") else [(f"{name} {word}", one)]


def is_argument(parameter: Any) -> bool:
    """Whether a parameter of a command has no dashes."""
    return str(parameter.param_type_name) == "argument"


def parameter_cells(one: Any, context: Any) -> list[str]:
    """The line of an argument or option: its names, its type, its default and its help."""
    names = one.metavar or one.name.upper() if is_argument(one) else ", ".join([*one.opts, *one.secondary_opts])
    default = one.default if one.default not in (None, False, (), []) and not callable(one.default) else ""
    kind = "flag" if getattr(one, "is_flag", False) else one.display_type(context).strip("<>")
    default = getattr(default, "value", default)
    return [f"`{names}`", code(str(kind)), code(str(default)) if default != "" else "", cell(paragraph(one.help or ""))]


def code(text: str) -> str:
    """Text as code in a cell of a table, where a bar needs no backslash."""
    return f"`{' '.join(text.split())}`" if text != "flag" else text


def paragraph(text: str) -> str:
    """Help text as Markdown: no hard breaks, and angle brackets that are not read as HTML."""
    return "\n\n".join(" ".join(part.split()) for part in escaped(text).split("\n\n"))


def escaped(text: str) -> str:
    """Text in which `<` outside of code is printed and not read as HTML."""
    return "".join(part if n % 2 else part.replace("<", "&lt;") for n, part in enumerate(re.split(r"(`[^`]*`)", text)))


def cell(text: str) -> str:
    """Text for one cell of a table."""
    return " ".join(text.replace("|", r"\|").split())


def words() -> str:
    """The words that a component may declare, by kind."""
    from reidbench.hookspecs import HOOKS
    from reidbench.words import FIELDS, known_words

    lines = ["| kind | field | words |", "|---|---|---|"]
    for kind in HOOKS:
        for field in FIELDS:
            if found := sorted(known_words(field, kind)):
                lines.append(f"| {kind} | `{field}` | {', '.join(f'`{word}`' for word in found)} |")
    return "\n".join(lines)


def component_pages() -> dict[str, str]:
    """A page for each kind of component, and an index of all."""
    from reidbench.hookspecs import EVERY_HOOK
    from reidbench.registry import plugins

    registry = plugins.load()
    index = [
        "# Components",
        "",
        "Everything that a matrix file can name, trackers, and executors, as the built-in plugins declare them.",
        "",
    ]
    found = {}
    for kind in EVERY_HOOK:
        members = [(name, one) for (of, name), one in registry.components.items() if of == kind]
        index += [f"## {kind}", "", "| name | summary |", "|---|---|"]
        index += [f"| [{name}]({kind}.md#{slug(name)}) | {cell(escaped(one.summary))} |" for name, one in members] + [
            ""
        ]
        text = [f"# {TITLES.get(kind, kind.capitalize() + 's')}", ""]
        for name, one in members:
            text += [f"## {name} {{#{slug(name)}}}", "", *component(kind, name, one, registry.source[kind, name])]
        found[f"reference/components/{kind}.md"] = "\n".join(text)
    return {"reference/components/index.md": "\n".join(index)} | found


def slug(name: str) -> str:
    """The anchor of a component on its page."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower())


def component(kind: str, name: str, one: Any, source: str) -> Iterator[str]:
    """One component: summary, parameters, presets, paper and published numbers."""
    from reidbench.registry import plugins, presets, published
    from reidbench.report import NAMES

    yield f"{escaped(one.summary)} (version {one.version}, from {source})"
    yield ""
    if one.params.model_fields:
        yield from ["| parameter | type | default | meaning |", "|---|---|---|---|"]
        for field, info in one.params.model_fields.items():
            default = "required" if info.is_required() else code(repr(info.get_default(call_default_factory=True)))
            kind_text = code(type_text(info.annotation))
            yield f"| `{field}` | {kind_text} | {default} | {cell(escaped(info.description or ''))} |"
        yield ""
    for metric in one.metrics:
        yield f"- metric: {escaped(metric.described)}"
    for word in ("capabilities", "traits", "requires", "lacks", "protocol"):
        if values := getattr(one, word):
            yield f"- {word}: {'depends on the parameters' if callable(values) else ', '.join(sorted(values))}"
    yield ""
    for line in presets.described(one):
        yield f"- {escaped(plugins.printable(line))}"
    yield ""
    if one.paper:
        title = f"[{one.paper.title}]({one.paper.url})" if one.paper.url else one.paper.title
        yield f"Paper: {title}. {one.paper.venue}"
        yield ""
        if one.paper.code:
            yield from [f"Official code: <{one.paper.code}> ({one.paper.code_licence or 'licence unknown'})", ""]
        if one.paper.deviations:
            yield from ["Differences from the paper:", "", *(f"- {escaped(line)}" for line in one.paper.deviations), ""]
        if one.paper.published:
            yield f'??? note "Published numbers, in %: `reidbench show {kind} {name} --published`"'
            yield ""
            lines = map(plugins.printable, published.tables(one.paper.published, NAMES))
            yield from ["    ```text", *(f"    {line}" for line in lines), "    ```", ""]


def type_text(annotation: Any) -> str:
    """An annotation in short: `float`, `int | None`, `'a' | 'b'`, `tuple[int, ...]`."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return type_text(arguments[0])
    if origin is typing.Literal:
        return " | ".join(map(repr, arguments))
    if origin in (typing.Union, types.UnionType):
        return " | ".join(map(type_text, arguments))
    if annotation in (None, type(None), ...):
        return "..." if annotation is ... else "None"
    name = getattr(origin or annotation, "__name__", str(annotation))
    return f"{name}[{', '.join(map(type_text, arguments))}]" if arguments else name


def generated() -> dict[str, Callable[[], str] | str]:
    """The pages that are made from code, by their path on the site."""
    return {"reference/commands.md": commands(), **component_pages()}


def on_files(files: Any, config: Any) -> Any:
    """Add the generated pages and those of the repository, and the files that these link to."""
    from mkdocs.structure.files import File

    pages, copied = sources(), set[str]()
    for page, place in pages.items():
        text = notebook(ROOT / page) if page.endswith(".ipynb") else (ROOT / page).read_text(encoding="utf-8")
        text = relinked(text, page, pages, copied)
        if page.startswith("docs/") and page.endswith(".md"):
            continue  # MkDocs reads it; on_page_markdown changes its links
        files.append(File.generated(config, place, content=text))
    for place, text in generated().items():
        files.append(File.generated(config, place, content=text))
    for goal in sorted(copied):
        files.append(File.generated(config, COPIED + goal, abs_src_path=os.fspath(ROOT / goal)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """The text of a page of docs/ with the links of the site, and with the table of words where it is marked."""
    name = f"docs/{page.file.src_uri}"
    pages = sources()
    if name in pages and pages[name] == page.file.src_uri:
        markdown = QUOTE.sub(lambda found: (ROOT / found[1]).read_text(encoding="utf-8"), markdown)
        markdown = relinked(markdown, name, pages, set())
    return markdown.replace("<!-- words -->", words()) if "<!-- words -->" in markdown else markdown
