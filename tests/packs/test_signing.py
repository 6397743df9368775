"""Signatures of digests by ephemeral SSH keys; nobody is ever asked for a passphrase."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from reidbench.errors import ReidbenchError
from reidbench.packs.reading import Pack
from reidbench.packs.signing import sign, signer
from reidbench.packs.writing import write_pack
from tests.packs.conftest import Ran

pytestmark = pytest.mark.skipif(not shutil.which("ssh-keygen"), reason="ssh-keygen is not installed")
DIGEST = "ab" * 32


def make_key(file: Path, passphrase: str = "") -> str:
    """Make a key; gives its line in a file of allowed signers, without the name."""
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-C", "x", "-f", str(file)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    return " ".join(file.with_name(f"{file.name}.pub").read_text().split()[:2])


def test_who_signed_a_digest_is_known_to_those_who_know_the_key(tmp_path: Path) -> None:
    key, other = make_key(tmp_path / "a key"), make_key(tmp_path / "other")
    signature = sign(DIGEST, tmp_path / "a key")
    signers, strangers = tmp_path / "signers", tmp_path / "strangers"
    signers.write_text(f"bob@lab {other}\njane@lab {key}\n")
    strangers.write_text(f"bob@lab {other}\n")
    assert signer(DIGEST, signature, signers) == "jane@lab"
    with pytest.raises(ReidbenchError, match="does not match this pack's digest"):
        signer("ac" * 32, signature, signers)
    with pytest.raises(ReidbenchError, match="key of the signature is not in"):
        signer(DIGEST, signature, strangers)
    with pytest.raises(ReidbenchError, match="not an SSH signature"):
        signer(DIGEST, b"no signature", signers)


def test_a_signature_for_another_purpose_counts_for_nothing(tmp_path: Path) -> None:
    key = make_key(tmp_path / "key")
    (tmp_path / "signers").write_text(f"jane@lab {key}\n")
    command = ["ssh-keygen", "-Y", "sign", "-f", str(tmp_path / "key"), "-n", "git"]
    done = subprocess.run(command, input=f"{DIGEST}\n".encode(), capture_output=True, check=True)
    with pytest.raises(ReidbenchError, match=r"does not match this pack's digest|key of the signature is not in"):
        signer(DIGEST, done.stdout, tmp_path / "signers")


def test_a_key_with_a_passphrase_is_one_sentence_and_no_question(tmp_path: Path) -> None:
    make_key(tmp_path / "key", "secret words")
    with pytest.raises(ReidbenchError, match="the key has a passphrase: run `ssh-add`"):
        sign(DIGEST, tmp_path / "key")


@pytest.mark.parametrize("content", [None, b"", b"no key"])
def test_what_is_no_key_is_one_sentence(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "key").write_bytes(content)
    with pytest.raises(ReidbenchError, match=r"no such key|cannot sign"):
        sign(DIGEST, tmp_path / "key")


def test_a_pack_carries_the_signature_and_its_digest_is_that_of_one_without(ran: Ran, tmp_path: Path) -> None:
    key = make_key(tmp_path / "key")
    (tmp_path / "signers").write_text(f"jane@lab {key}\n")
    plain = write_pack(ran.plan, ran.store, tmp_path / "plain.zip")
    signed = write_pack(
        ran.plan, ran.store, tmp_path / "signed.zip", sign=lambda digest: sign(digest, tmp_path / "key")
    )
    assert plain.digest == signed.digest
    with Pack(tmp_path / "signed.zip") as pack:
        signature = pack.signature()
        assert signature is not None
        assert signer(pack.digest, signature, tmp_path / "signers") == "jane@lab"
    with Pack(tmp_path / "plain.zip") as pack:
        assert pack.signature() is None
