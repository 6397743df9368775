"""`reidbench new-results`: a repository whose scripts check untrusted submissions, run here unchanged."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from reidbench.errors import ReidbenchError
from reidbench.matrix import plan
from reidbench.matrix.reading import reader
from reidbench.packs.writing import write_pack
from reidbench.registry.plugins import Registry
from reidbench.scaffold import results
from reidbench.store.artifacts import Store
from reidbench.testing import run_matrix
from tests.support import forging

MATRIX = """
title: Tiny
image_size: [32, 16]
data: {d: {use: synthetic, world: plaza, size: tiny}}
tasks: {t: {source: d, target: d}}
backbone: {use: resnet-tiny, width: 4}
methods: {untrained: {finetune: none}}
"""
PEOPLE = {"GIT_AUTHOR_NAME": "a", "GIT_COMMITTER_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_EMAIL": "a@b"}
# Writes down each call, with a NUL behind each word, and reads all its input. The command is run if
# REAL is set. Else `verify --store DIR` makes the folder and fails for a torn pack, and `site` makes a page.
RECORDER = f"""#!/usr/bin/env bash
cat > /dev/null
printf '%s\\0' "$@" END >> "$CALLS"
if [[ ${{REAL:-}} ]]; then exec {shlex.quote(sys.executable)} -m reidbench "$@"; fi
if [[ $1 == site ]]; then mkdir -p site && touch site/index.html; exit; fi
mkdir -p "$3" && [[ ${{@: -1}} != */torn.zip ]]
"""
# `python3 -m venv FOLDER`, whose pip installs nothing and whose reidbench is the recorder.
PYTHON = """#!/usr/bin/env bash
[[ $1 == -m && $2 == venv ]] || exit 1
mkdir -p "$3/bin"
cp "$RECORDER" "$3/bin/reidbench"
printf '#!/usr/bin/env bash\\ncp "${@: -1}" "$CALLS.requirements"\\n' > "$3/bin/pip"
chmod +x "$3/bin/pip"
"""


class Board:
    """A repository of results in a folder, on a machine that has `git`, a recorder as `reidbench`, and nothing else."""

    def __init__(self, place: Path, **environment: str) -> None:
        self.folder, self.calls = place / "a board", place / "calls"
        self.runner, programs = place / "runner", place / "bin"
        self.paths = place / "paths"
        for folder in (programs, self.runner):
            folder.mkdir(parents=True)
        for name, text in {"reidbench": RECORDER, "python3": PYTHON}.items():
            (programs / name).write_text(text)
            (programs / name).chmod(0o755)
        self.checked = str(self.runner / "checked")
        quiet = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull, "CALLS": str(self.calls)}
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("GIT_")},
            **PEOPLE,
            **quiet,
            "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path)),
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "RECORDER": str(programs / "reidbench"),
            "RUNNER_TEMP": str(self.runner),
            "GITHUB_PATH": str(self.paths),
            **environment,
        }
        results.write(self.folder, "A board")
        self.git("init", "--quiet", "--initial-branch=main")
        self.commit("begin")

    def run(self, *command: object, code: int = 0) -> str:
        """Return a command's output, then standard error; it must exit with `code`."""
        words = list(map(str, command))
        done = subprocess.run(
            words, cwd=self.folder, env=self.environment, capture_output=True, text=True, stdin=subprocess.DEVNULL
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def git(self, *words: str) -> str:
        return self.run("git", *words)

    def commit(self, message: str) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)

    def put(self, path: str, content: bytes = b"x") -> None:
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / path).write_bytes(content)

    def called(self) -> list[list[str]]:
        """The words of each call of `reidbench`."""
        text = self.calls.read_text() if self.calls.exists() else ""
        return [call.split("\0") for call in text.split("\0END\0") if call]

    def merged(self) -> None:
        """Check out the merge of this branch into main, with main as first parent, like GitHub for a pull request."""
        self.commit("proposed")
        branch = self.git("rev-parse", "HEAD").strip()
        self.git("checkout", "--quiet", "--detach", "main")
        self.git("merge", "--quiet", "--no-ff", "--message", "merge", branch)


def workflow(name: str) -> dict[Any, Any]:
    found: dict[Any, Any] = yaml.safe_load(results.render("A board")[f".github/workflows/{name}.yml"])
    return found


def steps(name: str) -> list[Mapping[str, Any]]:
    return [step for job in workflow(name)["jobs"].values() for step in job["steps"]]


def as_github_does(board: Board, name: str, code: int = 0) -> str:
    """Run the shell lines of a workflow one after the other, as GitHub does. That of verify.sh must end with a code."""
    said = ""
    shell = [step for step in steps(name) if "run" in step]
    for number, step in enumerate(shell):
        script = board.runner / "step.sh"
        script.write_text(step["run"])
        board.environment |= step.get("env", {})
        if board.paths.exists():
            board.environment["PATH"] = f"{board.paths.read_text().strip()}{os.pathsep}{board.environment['PATH']}"
        fails = code and "verify.sh" in step["run"]
        said += board.run("bash", "-e", script, code=code if fails else 0)
        if fails and not step.get("continue-on-error"):
            assert number < len(shell) - 1  # what follows is not run
            return said
    return said


@pytest.fixture
def board(tmp_path: Path) -> Board:
    return Board(tmp_path)


@pytest.fixture(scope="module")
def pack(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With features, of one row that was really run."""
    folder = tmp_path_factory.mktemp("tiny")
    run_matrix(MATRIX, folder)
    the_plan = plan.expand(reader.read(folder / "matrix.yaml", registry))
    write_pack(the_plan, Store(folder / "store"), folder / "tiny.zip", features=True)
    return folder / "tiny.zip"


# ---------------------------------------------------------------------- the folder
@pytest.mark.slow
def test_the_command_writes_a_repository_and_says_how_to_go_on(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "reidbench", "new-results", "my board"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "my board: a results repository"
    written = {path.relative_to(tmp_path / "my board").as_posix() for path in (tmp_path / "my board").rglob("*")}
    assert set(results.FILES) <= written
    assert (tmp_path / "my board" / "README.md").read_text().startswith("# my board\n")
    again = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)
    sentence = "reidbench: my board: this path already exists; give another folder\n"
    assert (again.returncode, again.stderr) == (2, sentence)


def test_every_template_is_used_and_filled() -> None:
    folder = Path(results.__file__).parent / "repository"
    assert {path.name for path in folder.iterdir()} == {f"{name}.tmpl" for name in results.FILES.values()}
    for path, text in results.render("A board").items():
        assert not re.search(r"@[A-Z]+@", text), path
        assert max(map(len, text.splitlines()), default=0) <= 250


@pytest.mark.parametrize("page", ["README.md", "SUBMITTING.md"])
def test_files_and_targets_that_are_named_are_there(page: str) -> None:
    files = results.render("A board")
    text = files[page]
    assert {link for link in re.findall(r"\]\(([^)]+)\)", text) if ":" not in link} <= set(files)
    named = set(re.findall(r"`([\w.]+\.(?:sh|yml|txt|md))`", text))
    assert named <= {path.rpartition("/")[2] for path in files}
    assert set(re.findall(r"`make (\w+)", text)) <= set(re.findall(r"^(\w+):", files["Makefile"], re.MULTILINE))


def test_nothing_is_overwritten_and_an_empty_clone_will_do(tmp_path: Path) -> None:
    (tmp_path / "clone" / ".git").mkdir(parents=True)
    results.write(tmp_path / "clone")
    with pytest.raises(ReidbenchError, match="this path already exists"):
        results.write(tmp_path / "clone")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / ".gitignore").touch()
    with pytest.raises(ReidbenchError, match="this path already exists"):
        results.write(tmp_path / "other")
    assert [path.name for path in (tmp_path / "other").iterdir()] == [".gitignore"]
    with pytest.raises(ReidbenchError, match="this path already exists"):
        results.write(tmp_path / "other" / ".gitignore")
    with pytest.raises(ReidbenchError, match="cannot be written"):
        results.write(tmp_path / "other" / ".gitignore" / "below")


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "a\u2028b", "\x1b[1m", "x" * 101])
def test_a_name_is_one_line(name: str, tmp_path: Path) -> None:
    with pytest.raises(ReidbenchError, match="expected one line of 1 to 100 characters"):
        results.write(tmp_path / "board", name)
    assert not (tmp_path / "board").exists()


def test_a_name_is_no_template_and_no_command(tmp_path: Path) -> None:
    board = Board(tmp_path)
    for name in ("@VERSION@ $name \\1 & 'q' \"$(touch x)\"", "-o elsewhere", "Größe `touch x`"):
        board.put("README.md", results.render(name)["README.md"].encode())
        board.put("packs/a.zip")
        board.run("bash", "site.sh")
        assert board.called()[-1] == ["site", "packs/a.zip", "-o", "site", f"--title={name}"]
    assert not (board.folder / "x").exists()


# ---------------------------------------------------------------------- the workflows
@pytest.mark.parametrize("name", ["verify", "site"])
def test_workflows_can_only_read_and_use_what_is_pinned(name: str) -> None:
    found, text = workflow(name), results.render("A board")[f".github/workflows/{name}.yml"]
    assert found["permissions"] == {"contents": "read"}
    assert "secrets." not in text
    for step in steps(name):
        assert ("uses" in step) != ("run" in step)
        assert re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40}", step.get("uses", f"actions/x@{'0' * 40}"))
        assert "${{" not in step.get("run", "")  # what GitHub puts in becomes part of the program
    assert len(re.findall(r"^ *- ?(?:uses|id: \w+\n *uses).*# v\d+\.\d+\.\d+$", text, re.MULTILINE)) == sum(
        "uses" in step for step in steps(name)
    )
    for job in found["jobs"].values():
        assert job["runs-on"] == "ubuntu-24.04"
        assert job["timeout-minutes"] <= 60


def test_each_workflow_starts_where_it_should() -> None:
    verify, site = workflow("verify"), workflow("site")  # YAML reads `on` as true
    assert verify[True] == {"pull_request": None}  # never pull_request_target, which would have secrets
    assert site[True] == {"push": {"branches": ["main"], "paths": ["packs/*.zip"]}, "workflow_dispatch": None}
    permissions = {name: job.get("permissions") for name, job in site["jobs"].items()}
    assert permissions == {"make": None, "publish": {"pages": "write", "id-token": "write"}}
    assert [step for step in site["jobs"]["publish"]["steps"] if "run" in step] == []
    for name in ("verify", "site"):
        (checkout,) = (step for step in steps(name) if "actions/checkout@" in step.get("uses", ""))
        assert checkout["with"]["persist-credentials"] is False
    assert steps("verify")[0]["with"]["fetch-depth"] == 2


@pytest.mark.slow
def test_a_pull_request_with_a_pack_is_verified_and_shown(tmp_path: Path, pack: Path) -> None:
    def retitle(files: forging.Files) -> None:
        forging.edit_board(files, lambda one: one.update(title="Old"))

    board = Board(tmp_path, REAL="1")
    board.put("packs/old.zip", forging.forge(pack, tmp_path / "old.zip", retitle).read_bytes())
    board.commit("an earlier pack")  # which is not verified again
    board.git("checkout", "--quiet", "-b", "theirs")
    board.put("packs/tiny-1.0.zip", pack.read_bytes())
    board.merged()
    said = as_github_does(board, "verify")
    assert "results: 1 re-scored; mismatches: 0\n" in said
    assert "packs verified: 1; to review: 0\n" in said
    assert board.called() == [
        ["verify", "--store", board.checked, "packs/tiny-1.0.zip"],
        ["site", "packs/old.zip", "packs/tiny-1.0.zip", "-o", "site", "--title=A board", "--store", board.checked],
    ]
    assert Path(f"{board.calls}.requirements").read_text() == results.render("A board")["requirements.txt"]
    index = (board.folder / "site" / "index.html").read_text()
    assert "<h1>A board</h1>" in index
    (row,) = re.findall(r"<tr id=.*?</tr>", index, re.DOTALL)
    assert "re-scored" in row
    assert "matrix/old.html" in row


@pytest.mark.slow
def test_a_pack_that_does_not_verify_fails_the_pull_request(tmp_path: Path, pack: Path) -> None:
    def change(files: forging.Files) -> None:
        forging.edit_manifest(files, forging.key_of(files, "evaluate"), lambda one: one["metrics"].update(mAP=0.99))

    board = Board(tmp_path, REAL="1")
    board.git("checkout", "--quiet", "-b", "theirs")
    board.put("packs/torn.zip", pack.read_bytes()[:-100])
    board.put("packs/forged.zip", forging.forge(pack, tmp_path / "forged.zip", change).read_bytes())
    board.merged()
    said = as_github_does(board, "verify", code=1)
    assert "mismatch: " in said
    assert "review packs/forged.zip: does not verify (above)\n" in said
    assert "review packs/torn.zip: does not verify (above)\n" in said
    assert "packs verified: 0; to review: 2\n" in said  # one failure does not end it
    assert [call[0] for call in board.called()] == ["verify"] * 2


def test_the_site_is_made_of_what_is_checked_and_of_what_is_not(board: Board) -> None:
    board.put("packs/tiny.zip")
    board.put("packs/torn.zip")
    board.commit("packs")
    assert "packs verified: 1; to review: 1\n" in as_github_does(board, "site", code=1)
    packs = ["packs/tiny.zip", "packs/torn.zip"]
    assert board.called() == [
        *(["verify", "--store", board.checked, pack] for pack in packs),
        ["site", *packs, "-o", "site", "--title=A board", "--store", board.checked],
    ]


NAMES = {  # of files that are added -> how they are printed
    "packs/a b.zip": r"packs/a\ b.zip",
    "packs/$(touch x).zip": r"packs/\$\(touch\ x\).zip",
    "packs/`touch x`.zip": r"packs/\`touch\ x\`.zip",
    "packs/;touch x;.zip": r"packs/\;touch\ x\;.zip",
    "packs/a\n::error::b.zip": r"$'packs/a\n::error::b.zip'",
    "packs/a.zip\nb.zip": r"$'packs/a.zip\nb.zip'",
    "packs/-x.zip": "packs/-x.zip",
    "packs/.x.zip": "packs/.x.zip",
    "packs/*.zip": r"packs/\*.zip",
    "packs/é.zip": r"$'packs/\303\251.zip'",
    "packs/\udcff.zip": r"$'packs/\377.zip'",
    "packs/below/a.zip": "packs/below/a.zip",
    "packs/a.ZIP": "packs/a.ZIP",
    "packs/notes.txt": "packs/notes.txt",
    "-x.zip": "-x.zip",
    "::error::x": "::error::x",
    "reidbench": "reidbench",
    "sitecustomize.py": "sitecustomize.py",
}


def test_hostile_names_are_named_and_never_run(board: Board) -> None:
    board.git("checkout", "--quiet", "-b", "theirs")
    for name in NAMES:
        board.put(name)
    board.put("packs/sound.zip")
    board.merged()
    said = as_github_does(board, "verify", code=1)
    because = "not a pack; use packs/NAME.zip, where NAME consists of letters, digits, '.', '_' and '-'"
    expected = {f"review {shown}: {because}" for shown in NAMES.values()}
    assert {line for line in said.splitlines() if line.startswith("review ")} == expected
    assert not any(line.lstrip().startswith("::") for line in said.splitlines())
    assert board.called() == [["verify", "--store", board.checked, "packs/sound.zip"]]
    assert not list(board.folder.rglob("x"))


def test_other_changes_are_for_a_person_to_look_at(board: Board) -> None:
    for name in ("kept", "changed", "removed", "renamed"):
        board.put(f"packs/{name}.zip", name.encode())
    board.commit("earlier packs")
    board.git("checkout", "--quiet", "-b", "theirs")
    board.put("packs/changed.zip", b"other results")
    (board.folder / "packs" / "removed.zip").unlink()
    (board.folder / "packs" / "renamed.zip").rename(board.folder / "packs" / "moved.zip")
    (board.folder / "packs" / "link.zip").symlink_to("kept.zip")
    board.put("packs/program.zip")
    (board.folder / "packs" / "program.zip").chmod(0o755)
    for name in ("verify.sh", "site.sh", "requirements.txt", ".github/workflows/verify.yml"):
        board.put(name, b"true\n")  # what would let everything pass
    board.merged()
    said = as_github_does(board, "verify", code=1)
    found = dict(re.findall(r"^review (\S+): ([\w ]+)", said, re.MULTILINE))
    link, change = "a link", "is changed"  # up to the first comma or semicolon
    assert found == {
        "packs/changed.zip": change,
        "packs/removed.zip": "is removed",
        "packs/renamed.zip": "is removed",
        "packs/link.zip": link,
        "packs/program.zip": link,
        "verify.sh": change,
        "site.sh": change,
        "requirements.txt": change,
        ".github/workflows/verify.yml": change,
    }
    assert board.called() == [["verify", "--store", board.checked, "packs/moved.zip"]]
    assert "reidbench" in Path(f"{board.calls}.requirements").read_text()  # of main


def test_signatures_are_those_of_main(board: Board) -> None:
    """A pull request that adds its own key is checked against the keys that were there before."""
    key = 'owner@example.org namespaces="reidbench" ssh-ed25519 AAAA\n'
    board.put("packs/first.zip")
    board.run("bash", "verify.sh")
    assert board.called() == [["verify", "--store", "checked", "packs/first.zip"]]  # as nobody is in the file
    board.put("allowed_signers", (board.folder / "allowed_signers").read_bytes() + key.encode())
    board.commit("a key")
    board.git("checkout", "--quiet", "-b", "theirs")
    board.put("packs/second.zip")
    board.put("allowed_signers", key.replace("owner", "stranger").encode())
    board.merged()
    assert "review allowed_signers: is changed" in as_github_does(board, "verify", code=1)
    own = board.runner / "main" / "allowed_signers"
    assert board.called()[1:] == [["verify", "--store", board.checked, "--signers", str(own), "packs/second.zip"]]
    assert own.read_text().endswith(key)


# ---------------------------------------------------------------------- without GitHub
def test_make_verifies_all_packs_and_names_what_is_none(board: Board) -> None:
    assert "packs verified: 0; to review: 0\n" in board.run("make", "verify")
    for name in ("b.zip", "a.zip", "$(touch x).zip", "-a.zip"):
        board.put(f"packs/{name}")
    (board.folder / "packs" / "dead.zip").symlink_to("nowhere.zip")
    (board.folder / "packs" / "live.zip").symlink_to("a.zip")
    (board.folder / "packs" / "folder.zip").mkdir()
    said = board.run("bash", "verify.sh", code=1)
    assert "packs verified: 2; to review: 5\n" in said
    assert board.called() == [["verify", "--store", "checked", f"packs/{name}.zip"] for name in "ab"]
    assert not (board.folder / "x").exists()


def test_the_site_has_all_packs_and_is_refused_without_any(board: Board) -> None:
    assert "packs/ contains no packs" in board.run("bash", "site.sh", code=1)
    assert "packs/ contains no packs" in board.run("make", "site", code=2)
    for name in ("b.zip", "a b.zip", "$(touch x).zip"):
        board.put(f"packs/{name}")
    board.run("make", "site")
    packs = ["packs/$(touch x).zip", "packs/a b.zip", "packs/b.zip"]
    assert board.called() == [["site", *packs, "-o", "site", "--title=A board"]]
    assert not (board.folder / "x").exists()
    board.put("checked/manifest.json")  # verify.sh has been there
    board.run("make", "site")
    assert board.called()[1] == ["site", *packs, "-o", "site", "--title=A board", "--store", "checked"]
    assert board.git("status", "--short", "--ignored", "site", "checked") == "!! checked/\n!! site/\n"


def test_a_commit_that_is_not_there_is_no_success(board: Board) -> None:
    board.run("bash", "verify.sh", "nowhere", code=128)
    assert "nothing added since main; commit the pack first\n" in board.run("bash", "verify.sh", "main", code=1)


@pytest.mark.slow
def test_the_guide_leads_to_a_pull_request(tmp_path: Path, pack: Path) -> None:
    """Every command of SUBMITTING.md, as it is there, but for the name of the pack to begin with."""
    board = Board(tmp_path, REAL="1")
    board.put("packs/tiny.zip", pack.read_bytes())
    board.commit("the first pack")
    board.git("clone", "--quiet", "--bare", ".", str(tmp_path / "fork.git"))
    board.git("remote", "add", "origin", str(tmp_path / "fork.git"))
    board.git("fetch", "--quiet", "origin")
    said = ""
    for block in re.findall(r"```sh\n(.*?)```", (board.folder / "SUBMITTING.md").read_text(), re.DOTALL):
        said += board.run("bash", "-e", "-c", block.replace("packs/PACK.zip", "packs/tiny.zip"))
        own = board.folder / "my-method.yaml"
        if own.exists():
            own.write_text(own.read_text().replace("untrained", "mine"))
    assert "| mine " in said
    assert "== packs/my-method.zip\n" in said
    assert "results: 1 re-scored; mismatches: 0\n" in said
    assert "packs verified: 1; to review: 0\n" in said
    assert board.git("diff", "--name-only", "origin/main", "origin/my-method") == "packs/my-method.zip\n"
    assert board.git("status", "--short") == ""  # the matrix file and the store stay with the submitter
