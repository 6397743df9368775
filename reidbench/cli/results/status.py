"""`reidbench status`: progress of a run, read from its store."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import typer

from reidbench.cli.options import (
    FileArgument,
    JsonOption,
    SetOption,
    StoreOption,
    WithoutOption,
    load_plugins,
    one_store_at,
    read_resolved,
    uncollected,
)

if TYPE_CHECKING:
    from reidbench.execution.status import Status

app = typer.Typer()


@app.command("status")
@uncollected()
def show_status(
    file: FileArgument,
    store: StoreOption = None,
    overrides: SetOption = None,
    without: WithoutOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the progress of a run: stages done, running, failed and to run, with epochs and remaining time.

    Works during a run in another process, or on another host that shares the store. A running stage is shown with the
    age of its heartbeat; a stage on another host without a heartbeat for 120 s may be dead.
    """
    from reidbench.execution import status
    from reidbench.registry.plugins import printable

    the_store = one_store_at(store, "status")
    found: Status = status.status(read_resolved(file, load_plugins(without), overrides, the_store), the_store)
    if as_json:
        print(json.dumps(status.as_json(found), indent=1))
        return
    for line in status.lines(found):
        print(printable(line))
