"""The metadata files of a network's folder: staged, published, and how long they hold."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, Root, Targets, Timestamp
from tuf.api.serialization import DeserializationError
from tuf.api.serialization.json import JSONSerializer

from trust.errors import TrustError
from trust.files import write_file
from trust.network_list import names
from trust.network_list.workspace import Workspace

_RENEW_SHARE = 3
"""A role is made anew when less than a third of its lifetime is left."""


class MetadataFiles:
    """Reads staged and published metadata, and stages; it signs nothing."""

    def __init__(self, workspace: Workspace) -> None:
        """``workspace`` is the network's folder."""
        self._staged = workspace.staged
        self.published = workspace.public / "metadata"

    def stage(self, role: str, envelope: Metadata[Any]) -> None:
        """Put metadata on its way through its holders; replaces what was staged."""
        data = envelope.to_bytes(JSONSerializer(compact=False))
        write_file(self._staged / f"{role}.json", data, replace=True)

    def staged(self, role: str) -> Metadata[Any] | None:
        """What waits for signatures or publication, or ``None``."""
        return _read(self._staged / f"{role}.json")

    def newest(self, role: str) -> Metadata[Any] | None:
        """The newest published version, or ``None``."""
        versions = [
            int(path.name.split(".", 1)[0])
            for path in self.published.glob(f"*.{role}.json")
            if path.name.split(".", 1)[0].isdigit()
        ]
        return _read(self.published / f"{max(versions)}.{role}.json") if versions else None

    def root(self) -> Metadata[Root]:
        """The newest published root. Raises ``network-not-here``."""
        found = self.newest(names.ROOT)
        if found is None:
            raise TrustError("network-not-here", "This network has not published a root yet.")
        return cast("Metadata[Root]", found)

    def timestamp(self) -> Metadata[Timestamp] | None:
        """The published timestamp, or ``None``."""
        return cast("Metadata[Timestamp] | None", _read(self.published / "timestamp.json"))

    def unstage(self, role: str) -> None:
        """Take back what was staged."""
        (self._staged / f"{role}.json").unlink()

    def delegator(self, role: str) -> Root | Targets:
        """Whose keys say who signs a role. Raises ``network-not-here``."""
        if role == names.TARGETS:
            return cast("Root", (self.staged(names.ROOT) or self.root()).signed)
        targets = self.staged(names.TARGETS) or self.newest(names.TARGETS)
        if targets is None:
            raise TrustError("network-not-here", "This folder is no network's folder.")
        return cast("Targets", targets.signed)

    def still_signed(self, role: str, published: Metadata[Any]) -> bool:
        """Whether published metadata holds under the keys of today: they may have been replaced."""
        try:
            self.delegator(role).verify_delegate(role, published.signed_bytes, published.signatures)
        except (RepositoryError, ValueError):
            return False
        return True


def role_lifetime(role: str) -> timedelta:
    """How long the metadata of a role is signed for (facts pki B3.1)."""
    return timedelta(days=names.numbers()["lifetime_days"][role])


def expiry(role: str, now: datetime) -> datetime:
    """When a role that is signed now expires."""
    return now.replace(microsecond=0) + role_lifetime(role)


def runs_out(expires: datetime, role: str, now: datetime) -> bool:
    """Whether it is time to make a role anew."""
    return expires - now < role_lifetime(role) / _RENEW_SHARE


def _read(path: Path) -> Metadata[Any] | None:
    try:
        return Metadata.from_bytes(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, DeserializationError) as error:
        raise TrustError(
            "network-not-here", "A metadata file of the network cannot be read.", where=str(path)
        ) from error
