"""Drives a server by its own description: whatever is asked gets a precise answer, never a 500."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from orjson import JSONDecodeError, loads
from schemathesis import APIOperation, Case, GenerationMode

MODES = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
_SERVER_ERROR = 500
_CLIENT_ERROR = 400


@dataclass(slots=True)
class Driven:
    """What came of it: answers by status, and what was wrong, by request."""

    statuses: Counter[int] = field(default_factory=Counter)
    operations: set[str] = field(default_factory=set)
    faults: list[str] = field(default_factory=list)


Check = Callable[[Case, requests.Response], str | None]


def drive(
    description: dict[str, Any],
    base: str,
    session: requests.Session,
    check: Check,
    *,
    seconds: float,
    seed: int,
    examples: int = 1,
    only: Callable[[str], bool] = lambda _path: True,
) -> Driven:
    """Ask every operation with good and with bad values, again and again until the time is up.

    Args:
        description: OpenAPI.
        base: the address that its paths are below.
        session: how it is asked.
        check: says what is wrong with an answer.
        seconds: after which no further round begins; the first one is always whole.
        seed: of the values; the rounds count on from it.
        examples: of each operation and mode, in each round.
        only: which paths.
    """
    made = schemathesis.openapi.from_dict(description)
    operations = [result.ok() for result in made.get_all_operations()]
    wanted = [each for each in operations if only(each.path)]
    found = Driven()
    until = time.monotonic() + seconds
    while True:
        for operation in wanted:
            for mode in MODES:
                _round(operation, mode, base, session, check, found, seed, examples)
            if found.faults and time.monotonic() > until:
                return found
        seed += 1
        if time.monotonic() > until:
            return found


def _round(
    operation: APIOperation,
    mode: GenerationMode,
    base: str,
    session: requests.Session,
    check: Check,
    found: Driven,
    seed: int,
    examples: int,
) -> None:
    strategy = operation.as_strategy(generation_mode=mode)

    @seeded(seed)
    @settings(
        max_examples=examples,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=strategy)
    def one(case: Case) -> None:
        response = session.send(_request(case, base, session), allow_redirects=False, timeout=60)
        found.statuses[response.status_code] += 1
        found.operations.add(f"{operation.method.upper()} {operation.path}")
        fault = check(case, response)
        if fault is not None:
            found.faults.append(f"{fault}: {case.as_curl_command()} -> {response.text[:300]}")

    try:
        one()
    except Exception as error:
        # there is no bad value for an operation that takes none
        if type(error).__name__ not in {"Unsatisfiable", "SkipTest"}:
            raise


def _request(case: Case, base: str, session: requests.Session) -> requests.PreparedRequest:
    kwargs = case.as_transport_kwargs(base_url=base)
    for name in ("timeout", "stream", "verify", "cert", "proxies", "allow_redirects"):
        kwargs.pop(name, None)
    return session.prepare_request(requests.Request(**kwargs))


def check_fhir(_case: Case, response: requests.Response) -> str | None:
    """A FHIR server's answer: a resource, or an OperationOutcome with a code of ours."""
    if response.status_code >= _SERVER_ERROR:
        return "a server error"
    if response.status_code < _CLIENT_ERROR:
        return None
    if response.headers.get("content-type", "").partition(";")[0] != "application/fhir+json":
        return "an error that is no FHIR resource"
    try:
        issue = loads(response.content)["issue"][0]
        code, own = issue["code"], issue["details"]["coding"][0]["code"]
    except (JSONDecodeError, LookupError, TypeError):
        return "an error that is no OperationOutcome"
    return None if code and own and own != "fhir-unavailable" else "an error that says nothing"


def check_oauth(_case: Case, response: requests.Response) -> str | None:
    """An authorization server's answer: JSON with an error code, or a page for a person."""
    if response.status_code >= _SERVER_ERROR:
        return "a server error"
    kind = response.headers.get("content-type", "").partition(";")[0]
    if response.status_code < _CLIENT_ERROR or kind == "text/html":
        return None
    if response.status_code in {404, 405}:
        return None
    try:
        error = loads(response.content)["error"]
    except (JSONDecodeError, LookupError, TypeError):
        return "an error that is no OAuth error"
    return None if isinstance(error, str) and error else "an error without a code"
