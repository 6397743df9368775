"""Files of the Hugging Face hub: from its cache without the network, or downloaded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from reidbench.errors import ReidbenchError

from .names import shown


def cached(repository: str, name: str, revision: str | None = None) -> Path | None:
    """Return a repository's file in the hub's cache ($HF_HUB_CACHE), of the newest fetched revision, or None.

    Does not use the network. Raises ReidbenchError for an invalid repository name.
    """
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(repository, name, revision=revision)
    except HFValidationError as error:
        raise ReidbenchError(f"{shown(repository)} is not the name of a repository: {error}") from None
    return Path(found) if isinstance(found, str) else None


def fetch(repository: str, names: Sequence[str], revision: str | None = None) -> None:
    """Download files of a repository into the hub's cache; files that it does not have are skipped.

    Raises ReidbenchError, with a fix, if the hub cannot be reached or has none of them.
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
        except (OSError, ValueError) as error:  # refused, unknown, or no network: the hub raises these types
            raise _unreachable(repository, revision, error) from None
    if not found:
        raise ReidbenchError(f"{shown(repository)} on the hub has none of {', '.join(names)}")


def _unreachable(repository: str, revision: str | None, error: Exception) -> ReidbenchError:
    from huggingface_hub import constants

    at = f" at revision {shown(revision)}" if revision else ""
    why = " ".join(str(error).split()).partition(". ")[0][:200]
    return ReidbenchError(
        f"{shown(repository)}{at} is not in the cache {constants.HF_HUB_CACHE} and cannot be fetched from the hub "
        f"({shown(why)}): fetch it on a machine with a network and copy the cache, or set a local `weights_file`"
    )
