"""A refusal of the authorization server: our code and sentence, and its name on the wire."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from importlib import resources
from typing import Any

from node.errors import CodedError

_BAD_REQUEST = 400


class Endpoint(StrEnum):
    """Where a refusal happens."""

    REGISTRATION = "registration"
    TOKEN = "token"  # noqa: S105  the name of an endpoint
    AUTHORIZATION = "authorization"


class Refused(Exception):
    """A request is refused: raised inside an endpoint, answered and entered at its edge.

    Attributes:
        code: a row of an ``errors.toml`` or of ``policy/data/reasons.toml``.
        sentence: what the client's developer reads; no value of the request is in it.
        extensions: more for the answer, as the consent policies that are wanted.
    """

    def __init__(
        self, code: str, sentence: str, *, extensions: Mapping[str, Any] | None = None
    ) -> None:
        """``code`` must have a row in ``data/oauth_errors.toml``, or be of a chain."""
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence
        self.extensions = extensions

    @classmethod
    def by(cls, error: CodedError) -> Refused:
        """The refusal that an error of the token's own rules is."""
        return cls(error.code, error.sentence)


@dataclass(frozen=True, slots=True, kw_only=True)
class WireError:
    """What goes out: an HTTP status and an OAuth error code."""

    status: int
    error: str


def wire_error(code: str, endpoint: Endpoint) -> WireError:
    """What a refusal is called at an endpoint."""
    table = _table()
    row = table["codes"].get(code, table["chain"])
    error = str(row.get(endpoint) or table["chain"][endpoint])
    status = table["status"].get(code) or table["status"].get(error, _BAD_REQUEST)
    return WireError(status=int(status), error=error)


@lru_cache
def _table() -> dict[str, dict[str, Any]]:
    file = resources.files("node.gateway.oauth").joinpath("data/oauth_errors.toml")
    return tomllib.loads(file.read_text("utf-8"))
