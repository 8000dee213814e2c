"""The keys of a node home, wherever they are: in a file, or in the token of its settings."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

from node.errors import SettingsError
from node.settings import NodeHome, Settings
from trust.errors import TrustError
from trust.files import write_file
from trust.keys import (
    AnyPrivateKey,
    KeyKind,
    PrivateKey,
    load_key,
    read_private_file,
    save_key,
)
from trust.token import KeyReference, Token, parse_reference
from trust.token_keys import TokenKey, token_key


def open_key(
    home: NodeHome, settings: Settings, path: Path, *, passphrase: bytes | None
) -> PrivateKey:
    """The private key of a key file, or the key in the token that the file refers to.

    Raises:
        SettingsError: ``token-not-set`` when it refers to another token than the settings.
        TrustError: as ``load_key``, and those of ``trust.token``.
    """
    reference = reference_in(path)
    if reference is None:
        return load_key(path, passphrase=passphrase)
    token = token_of(home, settings)
    if reference.token != token.label:
        raise SettingsError(
            "token-not-set", "A key is in another token than that of the settings.", where=str(path)
        )
    return token_key(token, reference.label)


def reference_in(path: Path) -> KeyReference | None:
    """The reference that a key file holds; ``None`` when it holds a key. Raises ``TrustError``."""
    return parse_reference(read_private_file(path))


def keep_key(path: Path, key: AnyPrivateKey, *, passphrase: bytes | None) -> None:
    """Write a new key file, or a reference where the key is in a token. Raises ``TrustError``."""
    if isinstance(key, TokenKey):
        write_file(path, f"{key.reference.uri}\n".encode(), mode=0o600)
    else:
        save_key(path, key, passphrase=passphrase)


def make_token_key(home: NodeHome, settings: Settings, label: str, kind: KeyKind) -> PrivateKey:
    """A key of the token by its label; made there when it has none.

    Raises:
        SettingsError: ``token-not-set``.
        TrustError: those of ``trust.token``.
    """
    token = token_of(home, settings)
    try:
        return token_key(token, label)
    except TrustError as error:
        if error.code != "token-key-missing":
            raise
    token.generate(label, kind)
    return token_key(token, label)


def token_of(home: NodeHome, settings: Settings) -> Token:
    """The token of the settings, one for the whole process. Raises ``SettingsError``."""
    section = settings.token
    if not (section.module and section.label):
        raise SettingsError(
            "token-not-set", "A key is to be in a token, and node.toml names none.", where="token"
        )
    pin_file = home.resolve(section.pin_file) if section.pin_file else None
    return _token(section.module, section.label, section.pin_env, pin_file)


@lru_cache(maxsize=8)
def _token(module: str, label: str, pin_env: str, pin_file: Path | None) -> Token:
    def pin() -> str | None:
        if pin_file is not None:
            return read_private_file(pin_file).decode("utf-8", "replace").strip()
        return os.environ.get(pin_env)

    return Token(module, label, pin)
