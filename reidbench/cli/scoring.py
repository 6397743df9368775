"""`reidbench score`: feature files of anybody's, under rules that options or a named protocol give."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from reidbench.errors import ReidbenchError

from .options import AveragePrecision, Invalid, JsonOption, Ties, Variant, decimal, load_plugins, whole

app = typer.Typer()
PROTOCOLS = "cosine"  # the evaluator whose presets are the named protocols
CAMERAS = "0,2: numbers of cameras as the file has them, from 0 on"


@app.command("score")
def score_files(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...",
            show_default=False,
            help=".npz, .mat, .pt, .csv or .parquet files, or folders of .npy files.",
        ),
    ],
    as_json: JsonOption = False,
    protocol: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="All rules of a named protocol, such as sysu-mm01-all-single or mars: the presets of `reidbench show "
            "evaluator cosine`.",
        ),
    ] = None,
    ap: Annotated[AveragePrecision, typer.Option(help="Area under precision and recall.")] = "step",
    invalid: Annotated[Invalid, typer.Option(help="Queries without a true match.")] = "drop",
    ties: Annotated[Ties, typer.Option(help="Order of equal distances.")] = "stable",
    distance: Annotated[Literal["cosine", "euclidean"], typer.Option(help="How features are compared.")] = "cosine",
    no_camera: Annotated[
        bool, typer.Option("--no-camera", help="Keep matches of the query's own camera; no camera keys are needed.")
    ] = False,
    exclude: Annotated[
        Literal["same-clothes", "different-clothes"] | None,
        typer.Option(help="Leave out the query's own person in the same clothes, or in others; needs clothes."),
    ] = None,
    cross: Annotated[
        Literal["modality"] | None,
        typer.Option(help="A query meets only gallery images of another modality; needs modality."),
    ] = None,
    skip_cameras: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CAMERA:CAMERAS", help="2:1,3: queries of camera 2 never meet cameras 1 and 3, whatever person."
        ),
    ] = None,
    query_cameras: Annotated[
        str | None, typer.Option(metavar="CAMERAS", help=f"Only queries of these cameras, {CAMERAS}.")
    ] = None,
    gallery_cameras: Annotated[
        str | None, typer.Option(metavar="CAMERAS", help=f"Only gallery images of these cameras, {CAMERAS}.")
    ] = None,
    pool: Annotated[
        Literal["mean", "max"] | None,
        typer.Option(help="The images of a tracklet become one by their mean or maximum; needs tracklets."),
    ] = None,
    multi_query: Annotated[
        bool,
        typer.Option("--multi-query", help="Queries of one person and camera become one, by --pool or their mean."),
    ] = False,
    shots: Annotated[
        int | None, typer.Option(parser=whole(1), help="A gallery of so many drawn images of each identity.")
    ] = None,
    shots_per: Annotated[
        Literal["identity", "identity-and-camera"] | None, typer.Option(help="--shots: of what they are drawn.")
    ] = None,
    repeats: Annotated[
        int | None, typer.Option(parser=whole(1), help="--shots: how many galleries are drawn. Default: 10.")
    ] = None,
    draw_seed: Annotated[
        int | None, typer.Option(parser=whole(0), help="--shots: another seed, other galleries. Default: 0.")
    ] = None,
    cmc: Annotated[
        Literal["images", "identities"] | None,
        typer.Option(help="What rank k counts. Default: images."),
    ] = None,
    use: Annotated[
        Literal["features", "distances"] | None, typer.Option(help="What to score where a file has both.")
    ] = None,
    manifest: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.csv", help="path,pid,split[,camid] of the images whose features and names the files have."
        ),
    ] = None,
    rerank: Annotated[
        Variant | None,
        typer.Option(help="k-reciprocal re-ranking, whose definition."),
    ] = None,
    k1: Annotated[int, typer.Option(parser=whole(1), help="Re-ranking: neighbours of the reciprocal sets.")] = 20,
    k2: Annotated[int, typer.Option(parser=whole(1), help="Re-ranking: neighbours of the query expansion.")] = 6,
    lambda_: Annotated[
        float, typer.Option("--lambda", parser=decimal, help="Re-ranking: share of the original distance.")
    ] = 0.3,
) -> None:
    """Score feature files: mAP, CMC, mINP, and what was filtered. Several files are also compared in pairs."""
    from reidbench.scoring import score

    beyond = {
        "exclude": exclude,
        "cross": cross,
        "skip_cameras": _skipped(skip_cameras) if skip_cameras else None,
        "query_cameras": None if query_cameras is None else _cameras("--query-cameras", query_cameras),
        "gallery_cameras": None if gallery_cameras is None else _cameras("--gallery-cameras", gallery_cameras),
        "pool": pool,
        "multi_query": multi_query or None,
        "shots": shots,
        "shots_per": shots_per,
        "repeats": repeats,
        "seed": draw_seed,
        "cmc": cmc,
    }
    more = {name: value for name, value in beyond.items() if value is not None}
    _refuse_undrawn(more)
    if protocol is not None:
        plain = {"ap": ap != "step", "invalid": invalid != "drop", "ties": ties != "stable", "no_camera": no_camera}
        _refuse_beside(protocol, [*(name for name, given in plain.items() if given), *more])
        more = named_protocol(protocol)
    score.run(
        files,
        as_json=as_json,
        ap=ap,
        invalid=invalid,
        ties=ties,
        distance=distance,
        camera=not no_camera,
        rerank=rerank,
        k1=k1,
        k2=k2,
        lambda_=lambda_,
        use=use,
        manifest=manifest,
        more=more,
    )


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


def _refuse_beside(protocol: str, given: Sequence[str]) -> None:
    if given:
        names = ", ".join(_option(name) for name in given)
        raise ReidbenchError(f"--protocol {protocol} gives all rules: leave out {names}, or --protocol")


def _refuse_undrawn(more: Mapping[str, Any]) -> None:
    """Raise ReidbenchError for options of a drawn gallery where none is drawn."""
    given = [_option(name) for name in ("shots_per", "repeats", "seed") if name in more]
    if given and "shots" not in more:
        raise ReidbenchError(f"{given[0]} is of a drawn gallery: add --shots N, or leave it out")


def _option(name: str) -> str:
    return {"seed": "--draw-seed"}.get(name, f"--{name.replace('_', '-')}")


def _cameras(option: str, text: str) -> list[int]:
    """Numbers of cameras from 0,2."""
    try:
        return [whole(0)(piece.strip()) for piece in text.split(",")]
    except typer.BadParameter:
        raise ReidbenchError(
            f"{option} {text!r}: write numbers of cameras with commas between them, like 0,2"
        ) from None


def _skipped(given: Sequence[str]) -> dict[int, list[int]]:
    """Cameras of the gallery by the camera of the query, from texts like 2:1,3."""
    found: dict[int, list[int]] = {}
    for text in given:
        camera, colon, skipped = text.partition(":")
        if not colon:
            raise ReidbenchError(f"--skip-cameras {text!r}: write the camera of queries and those skipped, like 2:1,3")
        for own in _cameras("--skip-cameras", camera):
            found.setdefault(own, []).extend(_cameras("--skip-cameras", skipped))
    return found
