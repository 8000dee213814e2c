"""The exit codes, the same for every command; docs/manual/commands.md lists them."""

from __future__ import annotations

from enum import IntEnum

from node.errors import CodedError, Party


class Exit(IntEnum):
    """What a script may rely on."""

    DONE = 0
    NOT_GOOD = 1  # the command worked; what it looked at is not in order, or not everybody answered
    USAGE = 2
    OUR_SIDE = 3
    THEIR_SIDE = 4
    NETWORK = 5


_BY_PARTY = {
    Party.OURS: Exit.OUR_SIDE,
    Party.THEIRS: Exit.THEIR_SIDE,
    Party.NETWORK: Exit.NETWORK,
}


_ARGUMENTS = frozenset(
    {"network-fingerprint-invalid", "person-incomplete", "probe-transaction", "purpose-missing"}
)
"""Codes that speak of what was typed, before anything was done."""


def exit_of(error: CodedError) -> Exit:
    """The exit code of an error that ended a command."""
    if error.code in _ARGUMENTS:
        return Exit.USAGE
    return _BY_PARTY[error.party]
