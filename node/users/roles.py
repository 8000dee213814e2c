"""Roles and rights, read from ``data/roles.toml`` once.

A right that no role of a user lists, the user does not have.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

from node.model import Code


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """A role: what people call it, and its rights.

    ``purposes`` are those that its people ask other organisations for, the usual one first, and
    ``asserts`` what peers are told that they are; empty where the role does not ask.
    """

    code: str
    title: str
    rights: frozenset[str]
    purposes: tuple[str, ...] = ()
    asserts: Code | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleTable:
    """All roles, and what each right lets a person do, in words."""

    roles: Mapping[str, Role]
    rights: Mapping[str, str]

    def rights_of(self, roles: Iterable[str]) -> frozenset[str]:
        """The rights of a person with these roles; a role that is not in the table gives none."""
        held = (self.roles[code].rights for code in roles if code in self.roles)
        return frozenset().union(*held)

    def holders(self, right: str) -> tuple[str, ...]:
        """The titles of the roles that have a right: whom to ask for it."""
        return tuple(role.title for role in self.roles.values() if right in role.rights)


@cache
def role_table() -> RoleTable:
    """The table of this version."""
    text = resources.files("node.users").joinpath("data", "roles.toml").read_text(encoding="utf-8")
    read = tomllib.loads(text)
    return RoleTable(
        roles={
            code: Role(
                code=code,
                title=row["title"],
                rights=frozenset(row["rights"]),
                purposes=tuple(row.get("purposes", ())),
                asserts=Code(**row["asserts"]) if "asserts" in row else None,
            )
            for code, row in read["roles"].items()
        },
        rights=dict(read["rights"]),
    )
