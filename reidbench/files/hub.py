"""Files of the Hugging Face hub: found in its cache without the network, or brought there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from reidbench.errors import ReidbenchError

from .names import shown


def cached(repository: str, name: str, revision: str | None = None) -> Path | None:
    """A repository's file in the hub's cache ($HF_HUB_CACHE), of the newest revision that was fetched; None without it.

    The network is not asked. Raises ReidbenchError for what is no name of a repository.
    """
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(repository, name, revision=revision)
    except HFValidationError as error:
        raise ReidbenchError(f"{shown(repository)} is no name of a repository: {error}") from None
    return Path(found) if isinstance(found, str) else None


def fetch(repository: str, names: Sequence[str], revision: str | None = None) -> None:
    """Bring files of a repository into the hub's cache; those that the repository does not have are passed over.

    Raises ReidbenchError, with what to do, where the hub cannot be reached or does not have any of them.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    found = 0
    for name in names:
        try:
            hf_hub_download(repository, name, revision=revision)
            found += 1
        except LocalEntryNotFoundError as error:
            raise _unreachable(repository, revision, error) from None
        except EntryNotFoundError:
            continue
        except (OSError, ValueError) as error:  # refused, unknown, or no network: the hub's errors are of these kinds
            raise _unreachable(repository, revision, error) from None
    if not found:
        raise ReidbenchError(f"{shown(repository)} on the hub has none of {', '.join(names)}")


def _unreachable(repository: str, revision: str | None, error: Exception) -> ReidbenchError:
    from huggingface_hub import constants

    at = f" at revision {shown(revision)}" if revision else ""
    why = " ".join(str(error).split()).partition(". ")[0][:200]
    return ReidbenchError(
        f"{shown(repository)}{at} is neither in the cache {constants.HF_HUB_CACHE} nor can be fetched from the hub "
        f"({shown(why)}): fetch it where there is a network and copy the cache, or give a local `weights_file`"
    )
