"""Who made a pack: signatures of its digest by SSH keys, through `ssh-keygen`, which is never let ask anything."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from reidbench.errors import ReidbenchError
from reidbench.files.names import shown

NAMESPACE = "reidbench"  # a signature that was made for something else is none of a pack
SECONDS = 60.0  # for one call: a key in hardware may wait for a touch
BEGINS = b"-----BEGIN SSH SIGNATURE-----"


def sign(digest: str, key: Path) -> bytes:
    """The signature of a pack's digest by a private key, or by a public one whose private key an agent has.

    Raises ReidbenchError where there is no `ssh-keygen`, no such key, or one with a passphrase.
    """
    if not key.is_file():
        raise ReidbenchError(f"{shown(key)}: no such key")
    done = _call(["-Y", "sign", "-f", str(key.absolute()), "-n", NAMESPACE], _message(digest))
    if done.returncode or not done.stdout.startswith(BEGINS):
        locked = b"passphrase" in done.stderr
        reason = "the key has a passphrase, and none is asked for: `ssh-add` it, and give KEY.pub" if locked else ""
        raise ReidbenchError(f"{shown(key)}: cannot sign: {reason or _reason(done)}")
    return done.stdout


def signer(digest: str, signature: bytes, signers: Path) -> str:
    """Who in a file of allowed signers (as ssh-keygen reads it) made a signature of a pack's digest.

    Raises ReidbenchError where nobody in it did, and where there is no `ssh-keygen` or no such file.
    """
    if not signers.is_file():
        raise ReidbenchError(f"{shown(signers)}: no such file of allowed signers")
    if not signature.startswith(BEGINS):
        raise ReidbenchError("the signature is not one that ssh-keygen makes")
    with tempfile.TemporaryDirectory(prefix="reidbench-") as folder:
        file = Path(folder) / "signature"
        file.write_bytes(signature)
        given = ["-f", str(signers.absolute()), "-s", str(file)]
        found = _call(["-Y", "find-principals", *given, "-n", NAMESPACE], b"")
        for line in found.stdout.decode(errors="replace").splitlines() if not found.returncode else ():
            for who in line.strip().split(","):
                arguments = ["-Y", "verify", *given, "-n", NAMESPACE, "-I", who]
                if who and not _call(arguments, _message(digest)).returncode:
                    return who
    if not found.returncode:
        raise ReidbenchError("the signature is not one of this pack's digest")
    raise ReidbenchError(f"the key of the signature is not in {shown(signers)}: {_reason(found)}")


def _message(digest: str) -> bytes:
    return f"{digest}\n".encode()


def _call(arguments: Sequence[str], given: bytes) -> subprocess.CompletedProcess[bytes]:
    """Run ssh-keygen without a terminal: in a session of its own, with what it may read as its only input."""
    program = shutil.which("ssh-keygen")
    if program is None:
        raise ReidbenchError("ssh-keygen is not installed, which makes and checks signatures (OpenSSH 8.2 or later)")
    quiet = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")}
    quiet |= {"SSH_ASKPASS_REQUIRE": "never", "SSH_ASKPASS": "", "LC_ALL": "C"}
    command = [program, *arguments]
    try:
        return subprocess.run(  # noqa: S603 - the program that signs, with a list of arguments
            command, input=given, capture_output=True, env=quiet, start_new_session=True, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise ReidbenchError(f"ssh-keygen did not answer within {SECONDS:.0f} seconds") from None
    except OSError as error:
        raise ReidbenchError(f"{program}: cannot be run: {error.strerror}") from None


def _reason(done: subprocess.CompletedProcess[bytes]) -> str:
    lines = [line for line in done.stderr.decode(errors="replace").splitlines() if line.strip()]
    return shown(lines[-1].strip().rstrip(".")) if lines else f"ssh-keygen ended with {done.returncode}"
