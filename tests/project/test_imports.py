"""The import contracts of pyproject.toml hold, and a command imports only the packages listed here."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Packages outside the standard library by the part that needs them. A command that imports another one fails here: each
# slows down every start, torch and scipy.stats by about a second. HELP is for Rich's pages; the packages after a name
# in a line are imported by it, if installed.
PROGRAM = "typer annotated_doc shellingham"
HELP = "rich attr markdown_it mdurl pygments"
PARAMS = "pydantic pydantic_core annotated_types typing_extensions typing_inspection"
PLUGINS = f"{PROGRAM} {PARAMS} pluggy numpy PIL platformdirs"
PLAN = f"{PLUGINS} yaml cython_runtime"
TABLE = f"{PLAN} rich attr tabulate wcwidth scipy charset_normalizer"
PAGE = f"{TABLE} jinja2 markupsafe plotly google narwhals itables pandas dateutil pyarrow cloudpickle"
MAY_IMPORT = {
    "--version": PROGRAM,
    "--help": f"{PROGRAM} {HELP}",
    "table --help": f"{PROGRAM} {HELP} {PARAMS}",
    "search --help": f"{PROGRAM} {HELP} {PARAMS}",
    "plugins": PLUGINS,
    "show finetuner bot": PLAN,
    "show finetuner bot --published": f"{PLAN} rich attr tabulate wcwidth",
    "new-results BOARD": PLUGINS,
    "plan FILE --store STORE": PLAN,
    "clean FILE --dry-run --store STORE": f"{PLAN} rich attr tabulate wcwidth",
    "table FILE --store STORE": TABLE,
    "table FILE --store STORE --format json": TABLE,
    "table FILE --store STORE --format html": PAGE,
    "pack FILE --store STORE -o NEW": TABLE,
    "merge PACK --store OTHER": TABLE,
    "table PACK": TABLE,
    "site FILE PACK --store STORE -o SITE": PAGE,
    "run FILE --store STORE": f"{TABLE} psutil",
    "rehearse FILE": f"{TABLE} psutil",
}
LISTING = """
import sys
before = set(sys.modules)
from reidbench.cli import main
sys.argv = ["reidbench", *sys.argv[1:]]
try:
    main.main()
except SystemExit as end:
    assert not end.code, end.code
print("IMPORTED", *sorted(set(sys.modules) - before), file=sys.stderr)
"""


def test_import_contracts() -> None:
    paths = os.pathsep.join([str(ROOT), str(ROOT / "plugins")])
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": paths})
    assert done.returncode == 0, done.stdout + done.stderr


def start(*command: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A matrix of three seeds, so that its table has intervals, and a store with all of its results."""
    folder = tmp_path_factory.mktemp("imports")
    (folder / "matrix.yaml").write_text(
        "image_size: [32, 16]\nseeds: [0, 1, 2]\ndata: {d: {use: synthetic, world: plaza, size: tiny}}\n"
        "tasks: {t: {source: d, target: d}}\nbackbone: {use: resnet-tiny, width: 4}\nevaluate: cosine\n"
        "methods: {untrained: {finetune: none}}\n"
    )
    found = {"FILE": str(folder / "matrix.yaml"), "STORE": str(folder / "store")}
    found |= {name: str(folder / name) for name in ("PACK", "NEW", "OTHER", "BOARD", "SITE")}
    start("-m", "reidbench", "run", found["FILE"], "--store", found["STORE"], "--executor", "inline")
    start("-m", "reidbench", "pack", found["FILE"], "--store", found["STORE"], "-o", found["PACK"])
    return found


def test_the_package_imports_nothing_until_a_name_is_asked_for() -> None:
    line = "import sys; before = set(sys.modules); import reidbench; print(*sorted(set(sys.modules) - before))"
    imported = start("-c", line).stdout.split()
    assert {name.partition(".")[0] for name in imported} - {"__future__"} <= {"reidbench", *sys.stdlib_module_names}
    assert {name for name in imported if name.startswith("reidbench.")} == set()


@pytest.mark.slow
def test_a_call_from_python_imports_no_more_than_its_command(places: dict[str, str]) -> None:
    """Neither torch, nor pandas before a frame is requested."""
    line = (
        "import sys; before = set(sys.modules); import reidbench; "
        "reidbench.load(sys.argv[1], store=sys.argv[2]).markdown(); print(*sorted(set(sys.modules) - before))"
    )
    imported = {name.partition(".")[0] for name in start("-c", line, places["FILE"], places["STORE"]).stdout.split()}
    own = {name for name in imported if name.startswith(("_", "reidbench"))}
    assert imported - own - set(sys.stdlib_module_names) - set(f"{TABLE} psutil".split()) == set()


@pytest.mark.slow
@pytest.mark.parametrize("command", MAY_IMPORT)
def test_a_command_imports_no_more_than_it_may(command: str, places: dict[str, str]) -> None:
    done = start("-c", LISTING, *(places.get(word, word) for word in command.split()))
    imported = done.stderr.rpartition("IMPORTED ")[2].split()
    assert "reidbench.cli.main" in imported
    packages = {name.partition(".")[0] for name in imported}
    own = {name for name in packages if name.startswith(("_", "reidbench"))}
    assert packages - own - set(sys.stdlib_module_names) - set(MAY_IMPORT[command].split()) == set()
    assert "scipy.stats" not in imported
