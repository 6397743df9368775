"""Sign packs: SSH signatures of the digest by `ssh-keygen`, without prompts."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from reidbench.errors import ReidbenchError
from reidbench.files.names import shown

NAMESPACE = "reidbench"  # signatures for other purposes are not valid for packs
SECONDS = 60.0  # timeout of one call: a hardware key may wait for a touch
BEGINS = b"-----BEGIN SSH SIGNATURE-----"


def sign(digest: str, key: Path) -> bytes:
    """Return the signature of a pack's digest by a private key, or by a public key whose private key an agent holds.

    Raises ReidbenchError if `ssh-keygen` or the key is missing, or if the key has a passphrase.
    """
    if not key.is_file():
        raise ReidbenchError(f"{shown(key)}: no such key file")
    done = _call(["-Y", "sign", "-f", str(key.absolute()), "-n", NAMESPACE], _message(digest))
    if done.returncode or not done.stdout.startswith(BEGINS):
        locked = b"passphrase" in done.stderr
        reason = "the key has a passphrase: run `ssh-add` and sign with KEY.pub" if locked else ""
        raise ReidbenchError(f"{shown(key)}: cannot sign: {reason or _reason(done)}")
    return done.stdout


def signer(digest: str, signature: bytes, signers: Path) -> str:
    """Return the allowed signer (in an allowed_signers file of ssh-keygen) who signed a pack's digest.

    Raises ReidbenchError if none of them did, or if `ssh-keygen` or the file is missing.
    """
    if not signers.is_file():
        raise ReidbenchError(f"{shown(signers)}: no such file of allowed signers")
    if not signature.startswith(BEGINS):
        raise ReidbenchError("the signature is not an SSH signature")
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
        raise ReidbenchError("the signature does not match this pack's digest")
    raise ReidbenchError(f"the key of the signature is not in {shown(signers)}: {_reason(found)}")


def _message(digest: str) -> bytes:
    return f"{digest}\n".encode()


def _call(arguments: Sequence[str], given: bytes) -> subprocess.CompletedProcess[bytes]:
    """Run ssh-keygen in a new session without a terminal, with the given input."""
    program = shutil.which("ssh-keygen")
    if program is None:
        raise ReidbenchError("ssh-keygen is not installed; signatures require OpenSSH 8.2 or later")
    quiet = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")}
    quiet |= {"SSH_ASKPASS_REQUIRE": "never", "SSH_ASKPASS": "", "LC_ALL": "C"}
    command = [program, *arguments]
    try:
        return subprocess.run(  # noqa: S603 - ssh-keygen with a list of arguments
            command, input=given, capture_output=True, env=quiet, start_new_session=True, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise ReidbenchError(f"ssh-keygen did not answer within {SECONDS:.0f} seconds") from None
    except OSError as error:
        raise ReidbenchError(f"{program}: cannot be run: {error.strerror}") from None


def _reason(done: subprocess.CompletedProcess[bytes]) -> str:
    lines = [line for line in done.stderr.decode(errors="replace").splitlines() if line.strip()]
    return shown(lines[-1].strip().rstrip(".")) if lines else f"ssh-keygen failed with exit code {done.returncode}"
