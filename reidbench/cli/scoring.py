"""`reidbench score`: feature files of anybody's, under rules that options or a named protocol give."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.core import TyperCommand

from reidbench.errors import ReidbenchError

from .options import AveragePrecision, Invalid, JsonOption, Ties, Variant, decimal, load_plugins, whole

if TYPE_CHECKING:
    from reidbench.metrics import Rules

app = typer.Typer()
PROTOCOLS = "cosine"  # the evaluator whose presets are the named protocols
CAMERAS = "0,2: numbers of cameras as the file has them, from 0 on"
Exclude = Literal["same-clothes", "different-clothes"]
Cross = Literal["modality"]
Pool = Literal["mean", "max"]
ShotsPer = Literal["identity", "identity-and-camera"]
Cmc = Literal["images", "identities"]

FilesArgument = Annotated[
    list[Path],
    typer.Argument(
        metavar="FILE...", show_default=False, help=".npz, .mat, .pt, .csv or .parquet files, or folders of .npy files."
    ),
]
ProtocolOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="All rules of a named protocol, such as sysu-mm01-all-single or mars: the presets of `reidbench show "
        "evaluator cosine`. Options beside it win, and a warning names them.",
    ),
]
ExcludeOption = Annotated[
    Exclude | None,
    typer.Option(help="Leave out the query's own person in the same clothes, or in others; needs clothes."),
]
CrossOption = Annotated[
    Cross | None,
    typer.Option(help="A query meets only gallery images of another modality; needs modality."),
]
SkipOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="CAMERA:CAMERAS", help="2:1,3: queries of camera 2 never meet cameras 1 and 3, whatever person."
    ),
]
QueryCamerasOption = Annotated[
    str | None, typer.Option(metavar="CAMERAS", help=f"Only queries of these cameras, {CAMERAS}.")
]
GalleryCamerasOption = Annotated[
    str | None, typer.Option(metavar="CAMERAS", help=f"Only gallery images of these cameras, {CAMERAS}.")
]
PoolOption = Annotated[
    Pool | None,
    typer.Option(help="The images of a tracklet become one by their mean or maximum; needs tracklets."),
]
MultiQueryOption = Annotated[
    bool, typer.Option("--multi-query", help="Queries of one person and camera become one, by --pool or their mean.")
]
ShotsOption = Annotated[
    int | None, typer.Option(parser=whole(1), help="A gallery of so many drawn images of each identity.")
]
ShotsPerOption = Annotated[ShotsPer | None, typer.Option(help="--shots: of what they are drawn.")]
RepeatsOption = Annotated[
    int | None, typer.Option(parser=whole(1), help="--shots: how many galleries are drawn. Default: 10.")
]
DrawSeedOption = Annotated[
    int | None, typer.Option(parser=whole(0), help="--shots: another seed, other galleries. Default: 0.")
]
CmcOption = Annotated[Literal["images", "identities"] | None, typer.Option(help="What rank k counts. Default: images.")]
UseOption = Annotated[
    Literal["features", "distances"] | None, typer.Option(help="What to score where a file has both.")
]
ManifestOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE.csv", help="path,pid,split[,camid] of the images whose features and names the files have."
    ),
]
NoCameraOption = Annotated[
    bool, typer.Option("--no-camera", help="Keep matches of the query's own camera; no camera keys are needed.")
]


class OnceEach(TyperCommand):
    """A command that takes no option twice: the first would be lost."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Raises ReidbenchError for an option that is there twice, unless it collects its values or is a switch."""
        order: list[Any] = self.make_parser(ctx).parse_args(list(args))[2]
        for option in order:
            single = not (option.param_type_name == "argument" or option.multiple or option.is_flag)
            if single and order.count(option) > 1:
                raise ReidbenchError(f"{option.opts[0]} is given {order.count(option)} times: give it once")
        return super().parse_args(ctx, args)


@app.command("score", cls=OnceEach)
def score_files(
    context: typer.Context,
    files: FilesArgument,
    as_json: JsonOption = False,
    protocol: ProtocolOption = None,
    ap: Annotated[AveragePrecision, typer.Option(help="Area under precision and recall.")] = "step",
    invalid: Annotated[Invalid, typer.Option(help="Queries without a true match.")] = "drop",
    ties: Annotated[Ties, typer.Option(help="Order of equal distances.")] = "stable",
    distance: Annotated[Literal["cosine", "euclidean"], typer.Option(help="How features are compared.")] = "cosine",
    no_camera: NoCameraOption = False,
    exclude: ExcludeOption = None,
    cross: CrossOption = None,
    skip_cameras: SkipOption = None,
    query_cameras: QueryCamerasOption = None,
    gallery_cameras: GalleryCamerasOption = None,
    pool: PoolOption = None,
    multi_query: MultiQueryOption = False,
    shots: ShotsOption = None,
    shots_per: ShotsPerOption = None,
    repeats: RepeatsOption = None,
    draw_seed: DrawSeedOption = None,
    cmc: CmcOption = None,
    use: UseOption = None,
    manifest: ManifestOption = None,
    rerank: Annotated[Variant | None, typer.Option(help="k-reciprocal re-ranking, whose definition.")] = None,
    k1: Annotated[int, typer.Option(parser=whole(1), help="Re-ranking: neighbours of the reciprocal sets.")] = 20,
    k2: Annotated[int, typer.Option(parser=whole(1), help="Re-ranking: neighbours of the query expansion.")] = 6,
    lambda_: Annotated[
        float, typer.Option("--lambda", parser=decimal, help="Re-ranking: share of the original distance.")
    ] = 0.3,
) -> None:
    """Score feature files: mAP, CMC, mINP, and what was filtered. Several files are also compared in pairs."""
    from reidbench.scoring import score

    rules = {"ap": ap, "invalid": invalid, "ties": ties, "camera": "none" if no_camera else "market1501"}
    more = {"exclude": exclude, "cross": cross, "skip_cameras": _skipped(skip_cameras),
            "query_cameras": _cameras("--query-cameras", query_cameras),
            "gallery_cameras": _cameras("--gallery-cameras", gallery_cameras), "pool": pool,
            "multi_query": multi_query or None, "shots": shots, "shots_per": shots_per, "repeats": repeats,
            "seed": draw_seed, "cmc": cmc}  # fmt: skip
    given: dict[str, Any] = {name: value for name, value in more.items() if value is not None}
    if protocol is not None:
        given |= {name: value for name, value in rules.items() if _is_given(context, name)}
    chosen, said = _chosen(protocol, rules, given)
    again: dict[str, Any] = {"rerank": rerank, "k1": k1, "k2": k2, "lambda_": lambda_}
    score.run(files, as_json=as_json, distance=distance, use=use, manifest=manifest, more=chosen, said=said, **again)


def _is_given(context: typer.Context, rule: str) -> bool:
    """Whether the option of a rule that has a default stands on the command line."""
    source = context.get_parameter_source("no_camera" if rule == "camera" else rule)
    return source is not None and source.name == "COMMANDLINE"


def _chosen(
    protocol: str | None, rules: Mapping[str, Any], given: Mapping[str, Any]
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The rules by name, those `given` before those of a protocol; and a warning where they differ from it.

    Raises ReidbenchError for draws where nothing is drawn, and for a protocol that does not exist.
    """
    named = dict(rules) if protocol is None else named_protocol(protocol)
    chosen = {**named, **given}
    drawing = [name for name in ("shots_per", "repeats", "seed") if name in given]
    if drawing and "shots" not in chosen:
        raise ReidbenchError(f"{_option(drawing[0])} is of a drawn gallery: add --shots N, or leave it out")
    return chosen, () if protocol is None else _departures(protocol, named, chosen)


def _departures(protocol: str, named: Mapping[str, Any], chosen: Mapping[str, Any]) -> tuple[str, ...]:
    """A sentence that names the rules which differ from those of a protocol, if there are any."""
    from reidbench.metrics import MetricError, Rules

    try:
        old, new = (Rules(**rules) for rules in (named, chosen))
    except MetricError as error:
        raise ReidbenchError(str(error)) from error
    values = {rule.name: [_value(rules, rule.name) for rules in (new, old)] for rule in dataclasses.fields(Rules)}
    changed = [f"{name}={mine} in place of {theirs}" for name, (mine, theirs) in values.items() if mine != theirs]
    return (f"not as --protocol {protocol} has it: {', '.join(changed)}",) if changed else ()


def _value(rules: Rules, name: str) -> str:
    """What a rule is, as JSON has it; rules that do nothing are not in there."""
    value = rules.as_dict().get(name, getattr(rules, name))
    return "none" if value in (None, ()) else str(value)


def named_protocol(name: str) -> dict[str, Any]:
    """Rules by name, as `metrics.Rules` takes them, of a preset of the evaluator cosine.

    Raises ReidbenchError where there is no such preset.
    """
    presets = load_plugins(None).get("evaluator", PROTOCOLS).presets
    if name not in presets:
        near = difflib.get_close_matches(name, presets, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ReidbenchError(f"no protocol named {name!r}{hint} (known: {', '.join(presets) or 'none'})")
    values: Mapping[str, Any] = presets[name]
    return {"seed" if key == "draw_seed" else key: value for key, value in values.items() if value is not None}


def _option(name: str) -> str:
    return {"seed": "--draw-seed", "camera": "--no-camera"}.get(name, f"--{name.replace('_', '-')}")


def _cameras(option: str, text: str | None) -> list[int] | None:
    """Numbers of cameras from 0,2; None where nothing is given."""
    if text is None:
        return None
    try:
        return [whole(0)(piece.strip()) for piece in text.split(",")]
    except typer.BadParameter:
        raise ReidbenchError(
            f"{option} {text!r}: write numbers of cameras with commas between them, like 0,2"
        ) from None


def _skipped(given: Sequence[str] | None) -> dict[int, list[int]] | None:
    """Cameras of the gallery by the camera of the query, from texts like 2:1,3; None where nothing is given."""
    found: dict[int, list[int]] = {}
    for text in given or ():
        camera, colon, skipped = text.partition(":")
        if not colon:
            raise ReidbenchError(f"--skip-cameras {text!r}: write the camera of queries and those skipped, like 2:1,3")
        for own in _cameras("--skip-cameras", camera) or ():
            found.setdefault(own, []).extend(_cameras("--skip-cameras", skipped) or ())
    return found or None
