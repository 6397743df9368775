"""`reidbench score`: score feature files from any program, under rules from options or a named protocol."""

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
CAMERAS = "for example 0,2, numbered from 0 as in the file"
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
        help="Named protocol, such as sysu-mm01-all-single or mars; `reidbench show evaluator cosine` lists them as "
        "presets. Other options override its rules, with a warning.",
    ),
]
ExcludeOption = Annotated[
    Exclude | None,
    typer.Option(
        help="Exclude matches of the query's identity in the same, or in different, clothes. Requires clothes."
    ),
]
CrossOption = Annotated[
    Cross | None,
    typer.Option(help="Match queries only with gallery images of another modality. Requires modality."),
]
SkipOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="CAMERA:CAMERAS",
        help="Never match queries of one camera with others: 2:1,3 excludes cameras 1 and 3 for camera 2. Repeatable.",
    ),
]
QueryCamerasOption = Annotated[
    str | None, typer.Option(metavar="CAMERAS", help=f"Use only queries of these cameras, {CAMERAS}.")
]
GalleryCamerasOption = Annotated[
    str | None, typer.Option(metavar="CAMERAS", help=f"Use only gallery images of these cameras, {CAMERAS}.")
]
PoolOption = Annotated[
    Pool | None,
    typer.Option(help="Pool the features of each tracklet by mean or maximum. Requires tracklets."),
]
MultiQueryOption = Annotated[
    bool, typer.Option("--multi-query", help="Pool the queries of each identity and camera, by --pool or their mean.")
]
ShotsOption = Annotated[
    int | None, typer.Option(parser=whole(1), help="Draw a gallery with this number of images per identity.")
]
ShotsPerOption = Annotated[ShotsPer | None, typer.Option(help="With --shots: unit to draw from. Default: identity.")]
RepeatsOption = Annotated[
    int | None, typer.Option(parser=whole(1), help="With --shots: number of galleries to draw. Default: 10.")
]
DrawSeedOption = Annotated[
    int | None, typer.Option(parser=whole(0), help="With --shots: seed of the draw. Default: 0.")
]
CmcOption = Annotated[
    Literal["images", "identities"] | None, typer.Option(help="Unit that rank k counts. Default: images.")
]
UseOption = Annotated[
    Literal["features", "distances"] | None, typer.Option(help="Content to score if a file has both.")
]
ManifestOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE.csv", help="CSV manifest (path,pid,split[,camid]) of the images named in the feature files."
    ),
]
NoCameraOption = Annotated[
    bool, typer.Option("--no-camera", help="Keep matches of the query's own camera. Needs no camera labels.")
]


class OnceEach(TyperCommand):
    """A command that rejects repeated options, since the last value would silently win."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Raise ReidbenchError for a repeated option, unless it collects its values or is a flag."""
        order: list[Any] = self.make_parser(ctx).parse_args(list(args))[2]
        for option in order:
            single = not (option.param_type_name == "argument" or option.multiple or option.is_flag)
            if single and order.count(option) > 1:
                raise ReidbenchError(f"{option.opts[0]} is given {order.count(option)} times; give it once")
        return super().parse_args(ctx, args)


@app.command("score", cls=OnceEach)
def score_files(
    context: typer.Context,
    files: FilesArgument,
    as_json: JsonOption = False,
    protocol: ProtocolOption = None,
    ap: Annotated[AveragePrecision, typer.Option(help="Average precision rule.")] = "step",
    invalid: Annotated[Invalid, typer.Option(help="Treatment of queries without a true match.")] = "drop",
    ties: Annotated[Ties, typer.Option(help="Order of equal distances.")] = "stable",
    distance: Annotated[Literal["cosine", "euclidean"], typer.Option(help="Distance between features.")] = "cosine",
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
    rerank: Annotated[Variant | None, typer.Option(help="k-reciprocal re-ranking, in this variant.")] = None,
    k1: Annotated[
        int, typer.Option(parser=whole(1), help="With --rerank: number of neighbours in the reciprocal sets.")
    ] = 20,
    k2: Annotated[
        int, typer.Option(parser=whole(1), help="With --rerank: number of neighbours in the query expansion.")
    ] = 6,
    lambda_: Annotated[
        float, typer.Option("--lambda", parser=decimal, help="With --rerank: weight of the original distance, 0 to 1.")
    ] = 0.3,
) -> None:
    """Score feature files: mAP, CMC, mINP and the number of filtered images. Compares several files in pairs."""
    from reidbench.scoring import score

    for option, name in {"--k1": "k1", "--k2": "k2", "--lambda": "lambda_"}.items():
        if rerank is None and _is_given(context, name):
            raise ReidbenchError(f"{option} requires --rerank VARIANT; add it or remove {option}")
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
    """Return whether the option of a rule with a default is given on the command line."""
    source = context.get_parameter_source("no_camera" if rule == "camera" else rule)
    return source is not None and source.name == "COMMANDLINE"


def _chosen(
    protocol: str | None, rules: Mapping[str, Any], given: Mapping[str, Any]
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the rules by name, `given` ones overriding the protocol, and a warning if they differ from it.

    Raises ReidbenchError for options of a draw without --shots, and for an unknown protocol.
    """
    named = dict(rules) if protocol is None else named_protocol(protocol)
    chosen = {**named, **given}
    drawing = [name for name in ("shots_per", "repeats", "seed") if name in given]
    if drawing and "shots" not in chosen:
        raise ReidbenchError(f"{_option(drawing[0])} requires --shots N; add it or remove {_option(drawing[0])}")
    return chosen, () if protocol is None else _departures(protocol, named, chosen)


def _departures(protocol: str, named: Mapping[str, Any], chosen: Mapping[str, Any]) -> tuple[str, ...]:
    """Return a sentence that names the rules that differ from a protocol, if any."""
    from reidbench.metrics import MetricError, Rules

    try:
        old, new = (Rules(**rules) for rules in (named, chosen))
    except MetricError as error:
        raise ReidbenchError(str(error)) from error
    values = {rule.name: [_value(rules, rule.name) for rules in (new, old)] for rule in dataclasses.fields(Rules)}
    changed = [f"{name}={mine} instead of {theirs}" for name, (mine, theirs) in values.items() if mine != theirs]
    return (f"differs from --protocol {protocol}: {', '.join(changed)}",) if changed else ()


def _value(rules: Rules, name: str) -> str:
    """Return a rule's value as in JSON output, which leaves out inactive rules."""
    value = rules.as_dict().get(name, getattr(rules, name))
    return "none" if value in (None, ()) else str(value)


def named_protocol(name: str) -> dict[str, Any]:
    """Return the rules of a preset of the evaluator cosine, by name, as arguments of `metrics.Rules`.

    Raises ReidbenchError for an unknown preset.
    """
    presets = load_plugins(None).get("evaluator", PROTOCOLS).presets
    if name not in presets:
        near = difflib.get_close_matches(name, presets, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ReidbenchError(f"unknown protocol {name!r}{hint} (known: {', '.join(presets) or 'none'})")
    values: Mapping[str, Any] = presets[name]
    return {"seed" if key == "draw_seed" else key: value for key, value in values.items() if value is not None}


def _option(name: str) -> str:
    return {"seed": "--draw-seed", "camera": "--no-camera"}.get(name, f"--{name.replace('_', '-')}")


def _cameras(option: str, text: str | None) -> list[int] | None:
    """Parse camera numbers like 0,2; None stays None."""
    if text is None:
        return None
    try:
        return [whole(0)(piece.strip()) for piece in text.split(",")]
    except typer.BadParameter:
        raise ReidbenchError(
            f"{option} {text!r}: expected camera numbers separated by commas, for example 0,2"
        ) from None


def _skipped(given: Sequence[str] | None) -> dict[int, list[int]] | None:
    """Parse strings like 2:1,3 into skipped gallery cameras by query camera; None if nothing is given."""
    found: dict[int, list[int]] = {}
    for text in given or ():
        camera, colon, skipped = text.partition(":")
        if not colon:
            raise ReidbenchError(
                f"--skip-cameras {text!r}: expected a query camera and the gallery cameras to skip, for example 2:1,3"
            )
        for own in _cameras("--skip-cameras", camera) or ():
            found.setdefault(own, []).extend(_cameras("--skip-cameras", skipped) or ())
    return found or None
