"""`reidbench watch`: the page of a run in a browser, refreshed as results arrive."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from reidbench.cli.options import (
    FileArgument,
    SetOption,
    StoreOption,
    WithoutOption,
    load_plugins,
    one_store_at,
    plan_or_board,
    read_resolved,
    uncollected,
    whole,
)
from reidbench.errors import ReidbenchError

app = typer.Typer()


@app.command()
def watch(
    file: FileArgument,
    store: StoreOption = None,
    port: Annotated[
        int, typer.Option(parser=whole(0), metavar="N", help="Port on 127.0.0.1. Default: 0, any free port.")
    ] = 0,
    overrides: SetOption = None,
    without: WithoutOption = None,
) -> None:
    """Serve the HTML page of a matrix file on this machine, refreshed as results arrive. Ctrl-C stops it.

    The server listens only on 127.0.0.1 and does not write to the store. Requires the extra `report`.
    """
    from reidbench import report
    from reidbench.execution import status
    from reidbench.packs import lasting
    from reidbench.report.formats.extras import require
    from reidbench.report.html.page import render

    from .serving import Server, Source

    require("`reidbench watch`", "jinja2", "plotly", "itables")
    the_store = one_store_at(store, "watch")
    registry = load_plugins(without)
    given = [*lasting.set_words(overrides), *(word for name in without or () for word in ("--without", name))]

    @uncollected()
    def state() -> dict[str, Any]:
        found = status.status(read_resolved(file, registry, overrides, the_store), the_store)
        content = status.as_json(found)
        for one, running in zip(content["running"], found.running, strict=True):
            one["words"] = running.words
        content["words"] = list(status.lines(found))[:2]
        busy = found.running or found.waiting
        content["remaining_words"] = f"; remaining: {found.remaining.words}" if busy else ""
        return content

    @uncollected()
    def page() -> str:
        plan = plan_or_board(file, registry, overrides, the_store)
        board = report.collect(plan, the_store)
        return render(board, plan, the_store, report.Options(arguments=given))

    source = Source(state, page)
    if error := source.state().get("error"):
        raise ReidbenchError(error)
    try:
        server = Server(source, port)
    except (OSError, OverflowError) as error:
        raise ReidbenchError(f"--port {port}: {getattr(error, 'strerror', None) or error}; use another port") from None
    with server:
        print(f"serving {server.address} (Ctrl-C stops it)", file=sys.stderr, flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print("stopped", file=sys.stderr)
