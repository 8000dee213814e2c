"""Which settings are in force, said without saying them."""

from __future__ import annotations

import hashlib

from node.errors import SettingsError
from node.settings import NodeHome


def settings_digest(home: NodeHome) -> str:
    """SHA-256 (hex) of the settings file as it is now.

    Raises:
        SettingsError: ``no-node-home`` when it cannot be read.
    """
    try:
        return hashlib.sha256(home.settings_file.read_bytes()).hexdigest()
    except OSError as error:
        raise SettingsError("no-node-home", "The settings file cannot be read.") from error
