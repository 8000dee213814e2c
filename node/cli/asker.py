"""The options of every question: who asks, for what, through which node. Shared by ``query``."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from node.cli.home import Wiring, opened
from node.errors import SettingsError
from node.model import (
    Address,
    Code,
    Demographics,
    HomeCommunityId,
    PersonName,
    Principal,
    Telecom,
)
from node.policy.purposes import purpose_register
from node.settings import NodeHome, Settings
from node.wire.identifiers import home_community_id, parse_cx
from node.wire.timestamps import parse_date
from trust.udap.id_token import MAX_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """Who asks, and how the answers are to be given."""

    home: NodeHome
    settings: Settings
    wiring: Wiring
    principal: Principal
    node: str | None
    seconds: float | None
    as_json: bool


def read_asker(
    context: typer.Context,
    purpose: Annotated[
        str, typer.Option(help="Exchange purpose code, e.g. T-TRTMNT; default: principal.purpose.")
    ] = "",
    user: Annotated[str, typer.Option(help="Name of the user who asks.")] = "",
    user_id: Annotated[str, typer.Option(help="The user's id at this organisation.")] = "",
    npi: Annotated[str, typer.Option(help="The user's NPI.")] = "",
    id_token: Annotated[
        Path | None,
        typer.Option(
            help="File with the id_token of an individual who asks for their own records."
        ),
    ] = None,
    node: Annotated[
        str | None, typer.Option("--node", help="Ask through a running node: its gRPC address.")
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(min=1, max=3600, help="Give up after so many seconds.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON value, for scripts.")
    ] = False,
) -> Asker:
    """Take who asks from the options, the rest from the settings."""
    home, settings, wiring = opened(context)
    register, own = purpose_register(), settings.principal
    chosen = register.by_code(purpose or own.purpose)
    if chosen is None:
        known = ", ".join(register.purposes)
        raise SettingsError(
            "purpose-missing", f"A question needs a purpose (--purpose), one of {known}."
        )
    return Asker(
        home=home,
        settings=settings,
        wiring=wiring,
        principal=Principal(
            subject_id=user or own.subject_id,
            user_id=user_id or own.user_id,
            organization=settings.node.name,
            organization_id=settings.node.organization_id,
            home_community_id=HomeCommunityId(settings.node.home_community_id),
            role=Code(code=own.role, scheme=own.role_system, display=own.role_display),
            purpose=chosen.code,
            npi=npi or own.npi or None,
            id_token=_id_token(id_token),
        ),
        node=node,
        seconds=seconds,
        as_json=as_json,
    )


def _id_token(file: Path | None) -> str | None:
    if file is None:
        return None
    try:
        with file.open("rb") as opened_file:
            data = opened_file.read(MAX_BYTES + 2).strip()
    except OSError as error:
        raise SettingsError(
            "id-token-unreadable", "The file of the id_token cannot be read."
        ) from error
    if not data or len(data) > MAX_BYTES or not data.isascii():
        raise SettingsError("id-token-unreadable", "The file holds no id_token.")
    return data.decode("ascii")


def read_person(
    family: Annotated[str, typer.Option(help="Family name.")] = "",
    given: Annotated[list[str] | None, typer.Option(help="Given name; repeatable.")] = None,
    birth_date: Annotated[str, typer.Option(help="YYYY-MM-DD.")] = "",
    sex: Annotated[str | None, typer.Option(help="M, F or UN.")] = None,
    street: Annotated[str | None, typer.Option(help="Street and number.")] = None,
    city: Annotated[str | None, typer.Option(help="City.")] = None,
    state: Annotated[str | None, typer.Option(help="State, two letters.")] = None,
    zip_code: Annotated[str | None, typer.Option("--zip", help="ZIP code.")] = None,
    phone: Annotated[str | None, typer.Option(help="Telephone number.")] = None,
    identifier: Annotated[
        list[str] | None, typer.Option("--id", help="An id as id^^^&oid&ISO; repeatable.")
    ] = None,
) -> Demographics:
    """Take the person from the options (QTF-709: give everything that is known)."""
    digits = birth_date.replace("-", "")
    if digits and parse_date(digits) != digits:
        raise SettingsError("person-incomplete", "The birth date has to be YYYY-MM-DD.")
    if not identifier and not (family and digits):
        raise SettingsError(
            "person-incomplete", "A person is found by family name and birth date, or by --id."
        )
    where = (street, city, state, zip_code)
    return Demographics(
        names=(PersonName(family=family or None, given=tuple(given or ())),) if family else (),
        birth_date=digits or None,
        sex=sex,
        addresses=(
            Address(
                lines=(street,) if street else (), city=city, state=state, postal_code=zip_code
            ),
        )
        if any(where)
        else (),
        telecoms=(Telecom(value=f"tel:{phone}"),) if phone else (),
        identifiers=tuple(parse_cx(text) for text in identifier or ()),
    )


def read_named(**values: Any) -> Demographics | None:
    """As ``read_person``, where the person may be left out."""
    return read_person(**values) if any(values.values()) else None


read_named.__signature__ = inspect.signature(  # type: ignore[attr-defined]
    read_person, eval_str=True
)


def homes(texts: Sequence[str] | None) -> list[HomeCommunityId]:
    """The communities that are to be asked alone."""
    return [home_community_id(text) for text in texts or ()]


def taking(**readers: Callable[..., Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options of some readers; each reader's value becomes one argument.

    Typer has no groups of options, and writing them out at every command would be many copies.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = inspect.signature(command, eval_str=True).parameters
        plain = [p for name, p in own.items() if name not in readers]
        read = {
            name: list(inspect.signature(reader, eval_str=True).parameters.values())
            for name, reader in readers.items()
        }
        options = [p for parameters in read.values() for p in parameters]

        @wraps(command)
        def called(**values: Any) -> None:
            arguments = {p.name: values[p.name] for p in plain}
            for name, reader in readers.items():
                arguments[name] = reader(**{p.name: values[p.name] for p in read[name]})
            command(**arguments)

        parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in (*plain, *options)]
        called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        called.__annotations__ = {p.name: p.annotation for p in parameters}
        del called.__wrapped__  # its signature is not ours
        return called

    return decorate
