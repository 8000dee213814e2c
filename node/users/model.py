"""A person who may sign in, and how an attempt to do so ended."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final

from node.encounter import PractitionerId
from node.errors import OurFault
from node.policy.relationship import Clinician
from node.users.roles import role_table

LOGIN: Final = re.compile(r"[a-z][a-z0-9._@-]{1,62}[a-z0-9]", re.ASCII)
"""The form of a login name: it may stand in the log's private part and on pages."""

FHIR_ID: Final = re.compile(r"[A-Za-z0-9.-]{1,64}", re.ASCII)

PASSWORD_LENGTH: Final = (12, 1024)
"""Characters of a password (NIST SP 800-63B asks for 8 at least and no rules of composition)."""

MOST_USERS: Final = 10_000

FREE_FAILURES: Final = 5
"""Wrong attempts in a row before an account is locked."""

LOCKED: Final = timedelta(minutes=1)
"""The first lock; each further failure doubles it, up to ``LONGEST_LOCK``."""

LONGEST_LOCK: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A person.

    Attributes:
        login: the name to sign in with.
        name: as pages show it.
        roles: codes of ``data/roles.toml``, in its order.
        active: whether signing in is allowed at all.
        must_change: whether the password was given by somebody else.
        has_code: whether a one-time code was set up.
        practitioner: id of the Practitioner of our FHIR server that the person is.
        practitioner_ids: who the person is in encounters, as ``ID@AUTHORITY`` or ``ID``.
        departments: codes of the departments the person works in, as encounters name them.
        external: whether the sign-on of our organisation proves the person, and no password.
    """

    login: str
    name: str
    roles: tuple[str, ...]
    active: bool = True
    must_change: bool = False
    has_code: bool = False
    practitioner: str | None = None
    practitioner_ids: tuple[str, ...] = ()
    departments: tuple[str, ...] = ()

    @property
    def clinician(self) -> Clinician:
        """The person as encounters know them."""
        return Clinician(
            ids=frozenset(practitioner_id(each) for each in self.practitioner_ids),
            departments=frozenset(self.departments),
        )

    external: bool = False

    @property
    def rights(self) -> frozenset[str]:
        """What the person may do."""
        return role_table().rights_of(self.roles)

    @property
    def titles(self) -> str:
        """The roles in words."""
        return ", ".join(role_table().roles[code].title.lower() for code in self.roles)


class Refused(StrEnum):
    """Why nobody was signed in. What the page says does not tell the first two apart."""

    WRONG = "sign-in-wrong"
    DISABLED = "sign-in-disabled"
    LOCKED = "sign-in-locked"


def check_login(login: str) -> str:
    """The login name itself.

    Raises:
        OurFault: ``user-invalid``.
    """
    if not LOGIN.fullmatch(login):
        raise OurFault(
            "user-invalid",
            "A login name has 3 to 64 of a-z, 0-9 and ._@-, and begins with a letter.",
        )
    return login


def check_roles(roles: tuple[str, ...]) -> tuple[str, ...]:
    """The roles, each once, in the table's order.

    Raises:
        OurFault: ``user-invalid`` for none, or one that there is not.
    """
    table = role_table().roles
    if unknown := sorted(set(roles) - set(table)):
        raise OurFault(
            "user-invalid",
            f"There is no role {', '.join(unknown)}; there are {', '.join(table)}.",
        )
    if not roles:
        raise OurFault("user-invalid", f"A user needs a role: {', '.join(table)}.")
    return tuple(code for code in table if code in roles)


def practitioner_id(text: str) -> PractitionerId:
    """``ID@AUTHORITY`` or ``ID`` as a value."""
    number, _, authority = text.partition("@")
    return PractitionerId(authority=authority, id=number)


def check_codes(what: str, codes: tuple[str, ...]) -> tuple[str, ...]:
    """Practitioner ids or department codes, each once, as they are stored together.

    Raises:
        OurFault: ``user-invalid`` for one that is empty or has a blank, and for too many.
    """
    kept = tuple(dict.fromkeys(codes))
    if not all(_CODE.fullmatch(each) for each in kept):
        raise OurFault("user-invalid", f"{what} has 1 to 64 printable characters without blanks.")
    if len("\n".join(kept)) > _CODES_LENGTH:
        raise OurFault("user-invalid", f"{what}: that is more than a user can have.")
    return kept


_CODE: Final = re.compile(r"[!-~]{1,64}", re.ASCII)
_CODES_LENGTH: Final = 512


def check_password(password: str, login: str) -> str:
    """The password itself.

    Raises:
        OurFault: ``password-weak``; the sentence says why, never the password.
    """
    shortest, longest = PASSWORD_LENGTH
    if not shortest <= len(password) <= longest:
        raise OurFault("password-weak", f"A password has {shortest} to {longest} characters.")
    if login.lower() in password.lower():
        raise OurFault("password-weak", "The password holds the login name.")
    if len(set(password)) < _DIFFERENT:
        raise OurFault("password-weak", f"A password has {_DIFFERENT} different characters.")
    return password


_DIFFERENT: Final = 5
