"""`reidbench show`: a component's description, parameters, paper and published numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from .options import Kind, WithoutOption, load_plugins

if TYPE_CHECKING:
    from reidbench.components import Component, Paper

app = typer.Typer()
Shown = Literal[Kind, "tracker", "executor", "protocol"]


@app.command()
def show(
    kind: Annotated[
        Shown, typer.Argument(show_default=False, help="Kind of component, tracker, executor, or protocol.")
    ],
    name: Annotated[
        str, typer.Argument(show_default=False, help="Name of the component as listed by `reidbench plugins`.")
    ],
    published: Annotated[bool, typer.Option("--published", help="Print the published tables instead, in %.")] = False,
    without: WithoutOption = None,
) -> None:
    """Show a component's parameters with types and defaults, its paper and deviations, or its published tables.

    For a tracker, the parameters are its options: `reidbench run --track NAME --track-option NAME.KEY=VALUE`.
    For an executor, the parameters are its options: `reidbench run --executor NAME --option KEY=VALUE`.

    For a protocol, such as dg-2 or sequence, show its test data sets and the source of its definition.
    """
    if kind == "protocol":
        from reidbench.matrix.families.generalisation import described

        print("\n".join([f"{kind} {name}", *described(name)]))
        return
    registry = load_plugins(without)
    component = registry.get(kind, name)
    print(f"{kind} {name} (version {component.version}, from {registry.source[kind, name]})")
    if published:
        _print_published(f"{kind} {name}", component.paper)
        return
    _print_params(component)
    for metric in component.metrics:
        print(f"metric: {metric.described}")
    for word in ("capabilities", "traits", "requires", "lacks", "protocol"):
        if values := getattr(component, word):
            print(f"{word}: {'depends on the parameters' if callable(values) else ', '.join(sorted(values))}")
    if component.paper:
        _print_paper(f"{kind} {name}", component.paper)


def _print_params(component: Component) -> None:
    from reidbench.registry import plugins, presets

    if component.summary:
        print(component.summary)
    print("params:" if component.params.model_fields else "params: none")
    schema = component.params.model_json_schema()["properties"] if component.params.model_fields else {}
    for param, info in component.params.model_fields.items():
        annotation = getattr(info.annotation, "__name__", None) if not schema[param].get("enum") else None
        plain = annotation and annotation.isidentifier() and annotation != "Optional"
        kind_text = annotation if plain else _type_text(schema[param], info.annotation)
        default = "required" if info.is_required() else f"default {info.get_default(call_default_factory=True)!r}"
        print(f"  {param} ({kind_text}, {default})  {info.description or ''}".rstrip())
    for line in presets.described(component):
        print(plugins.printable(line))


def _type_text(schema: dict[str, Any], annotation: Any) -> str:
    if "enum" in schema:
        return "one of " + ", ".join(map(str, schema["enum"]))
    if getattr(annotation, "__name__", "") == "Optional":  # of a Literal or an annotated type, whose repr is long
        parts = (part.get("enum") or [part.get("const") or _json_type(part)] for part in schema["anyOf"])
        return "one of " + ", ".join(str(word) for part in parts for word in part)
    return str(annotation).replace("typing.", "")


def _json_type(schema: dict[str, Any]) -> str:
    named = str(schema.get("format") or schema.get("type") or schema.get("$ref", "").rpartition("/")[2])
    return {"null": "none", "array": "list", "string": "text", "object": "map"}.get(named, named)


def _print_paper(component: str, paper: Paper) -> None:
    from reidbench.registry import plugins, published

    print(f"paper: {_reference(paper)}")
    if paper.code:
        print(f"official code: {paper.code} ({paper.code_licence or 'licence unknown'})")
    for deviation in paper.deviations:
        print(f"differs: {deviation}")
    if paper.published:
        print(f"published (`reidbench show {component} --published` prints the numbers):")
    for line in published.contents(paper.published):
        print(plugins.printable(f"  {line}"))


def _print_published(component: str, paper: Paper | None) -> None:
    from reidbench.registry import plugins, published
    from reidbench.report import NAMES

    if paper is None or not paper.published:
        print(f"no published numbers for {component}")
        return
    print(f"paper: {_reference(paper)}")
    print("published, in % (comparable only with the same method, data, AP rule and ranking):")
    for line in published.tables(paper.published, NAMES):
        print(plugins.printable(line))


def _reference(paper: Paper) -> str:
    return f"{paper.title}. {paper.venue}. {paper.url}".rstrip(". ")
