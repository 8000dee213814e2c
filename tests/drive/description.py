"""An OpenAPI document of the FHIR side, made from what a running server says of itself.

The CapabilityStatement gives the types, interactions, search parameters and operations, the
metadata of UDAP and SMART the endpoints of the authorization server. Nothing is known here that
they do not say, so that whatever is published is also driven.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

Json = dict[str, Any]

_DAY = r"[0-9]{4}(-(0[1-9]|1[0-2])(-(0[1-9]|[12][0-9]|3[01]))?)?"
_KINDS: dict[str, Json] = {
    "date": {"type": "string", "pattern": f"^(eq|ne|gt|lt|ge|le|sa|eb|ap)?{_DAY}$"},
    "token": {"type": "string", "pattern": r"^([a-z:/.]{0,20}\|)?[A-Za-z0-9-]{0,12}$"},
    "reference": {"anyOf": [
        {"type": "string", "enum": ["ann", "Patient/ann", "Patient/ben", "Observation/o1"]},
        {"type": "string", "pattern": r"^([A-Z][a-z]{2,12}/)?[A-Za-z0-9.-]{1,20}$"},
    ]},
    "string": {"type": "string", "minLength": 1, "maxLength": 40},
}  # fmt: skip
_ID = {"anyOf": [
    {"type": "string", "enum": ["ann", "ben", "o1", "doc", "bin"]},
    {"type": "string", "minLength": 1, "maxLength": 64, "pattern": r"^[A-Za-z0-9.-]+$"},
]}  # fmt: skip
_RESULTS: dict[str, Json] = {
    "_count": {"type": "integer", "minimum": 0, "maximum": 10**9},
    "_sort": {"type": "string", "pattern": "^-?[a-zA-Z_-]{1,20}$"},
    "_summary": {"enum": ["count", "false", "true", "data", "text"]},
    "_total": {"enum": ["none", "estimate", "accurate"]},
    "_format": {"enum": ["json", "application/fhir+json"]},
}
_PART = "[A-Za-z0-9_-]{2,40}"
_JWT: Json = {"type": "string", "pattern": rf"^{_PART}\.{_PART}\.{_PART}$"}
_SCOPE: Json = {"type": "string", "pattern": r"^(system|patient|user)/(Patient|\*)\.[cruds]{1,5}$"}
_FORMS = ("application/x-www-form-urlencoded",)


def describe_fhir(statement: Json) -> Json:
    """The document of a FHIR server; paths are below its base address."""
    paths: dict[str, Json] = {"/metadata": {"get": _operation()}}
    for rest in statement["rest"]:
        for resource in rest.get("resource", ()):
            for path, methods in _of_type(resource, rest):
                paths.setdefault(path, {}).update(methods)
        for operation in rest.get("operation", ()):
            paths[f"/${operation['name']}"] = _operations(operation["name"])
    return _document("FHIR", paths)


def describe_oauth(udap: Json, smart: Json) -> Json:
    """The document of an authorization server, from its metadata of both kinds."""
    paths: dict[str, Json] = {
        "/.well-known/udap": {"get": _operation(community={"type": "string", "maxLength": 60})},
        "/.well-known/smart-configuration": {"get": _operation()},
        "/.well-known/openid-configuration": {"get": _operation()},
    }
    for endpoint, methods in _endpoints({**smart, **udap}):
        paths.setdefault(endpoint, {}).update(methods)
    return _document("authorization", paths)


# --- FHIR -------------------------------------------------------------------------------------


def _of_type(resource: Json, rest: Json) -> Iterator[tuple[str, Json]]:
    name = resource["type"]
    codes = {each["code"] for each in resource.get("interaction", ())}
    if "read" in codes:
        yield f"/{name}/{{id}}", {"get": _operation(_in_path={"id": _ID})}
    if "vread" in codes:
        in_path = {"id": _ID, "version": {"enum": ["1", "2", "x"]}}
        yield f"/{name}/{{id}}/_history/{{version}}", {"get": _operation(_in_path=in_path)}
    if "search-type" in codes:
        found = _parameters(resource, rest)
        yield f"/{name}", {"get": _operation(**found)}
        form = {"type": "object", "properties": found, "required": _needed(found)}
        yield f"/{name}/_search", {"post": _operation(_body=form, _media=_FORMS)}
    for operation in resource.get("operation", ()):
        yield f"/{name}/${operation['name']}", _operations(operation["name"])


def _parameters(resource: Json, rest: Json) -> dict[str, Json]:
    found = dict(_RESULTS)
    for each in (*rest.get("searchParam", ()), *resource.get("searchParam", ())):
        found[each["name"]] = _KINDS.get(each["type"], _KINDS["string"])
    for name in ("_include", "_revinclude"):
        known = resource.get(f"search{'Rev' if name == '_revinclude' else ''}Include", ())
        if known:
            found[name] = {"enum": list(known)}
    if "patient" in found:
        found["patient"] = {**found["patient"], "x-required": True}
    return found


def _operations(name: str) -> Json:
    """An operation by GET and by POST of Parameters, some of which it may know."""
    value = {"anyOf": [
        {"type": "object", "properties": {"name": _NAMES, "resource": _PATIENT}},
        {"type": "object", "properties": {"name": _NAMES, "valueBoolean": {"type": "boolean"}}},
        {"type": "object", "properties": {"name": _NAMES, "valueInteger": {"type": "integer"}}},
        {"type": "object", "properties": {"name": _NAMES, "valueString": {"type": "string"}}},
    ]}  # fmt: skip
    body = {
        "type": "object",
        "required": ["resourceType", "parameter"],
        "properties": {
            "resourceType": {"enum": ["Parameters", "Patient"]},
            "parameter": {"type": "array", "items": value, "maxItems": 4},
        },
    }
    asked = {"patient": _KINDS["reference"], "start": _KINDS["date"], "end": _KINDS["date"],
             "type": _KINDS["token"], "sourceIdentifier": _KINDS["token"]}  # fmt: skip
    media = ("application/fhir+json",)
    return {"post": _operation(_body=body, _media=media), "get": _operation(**asked), "x": name}


_NAMES = {"enum": ["resource", "onlyCertainMatches", "count", "patient", "start", "end", "type"]}
_TEXT = {"type": "string", "maxLength": 30}
_PATIENT = {
    "type": "object",
    "required": ["resourceType"],
    "properties": {
        "resourceType": {"enum": ["Patient", "Person"]},
        "birthDate": _KINDS["date"],
        "gender": {"enum": ["male", "female", "other", "unknown", "FEMALE"]},
        "name": {"type": "array", "maxItems": 3, "items": {
            "type": "object",
            "properties": {"family": _TEXT, "given": {"type": "array", "items": _TEXT}},
        }},
        "identifier": {"type": "array", "maxItems": 3, "items": {
            "type": "object", "properties": {"system": _TEXT, "value": _TEXT},
        }},
        "address": {"type": "array", "maxItems": 2, "items": {
            "type": "object", "properties": {"line": {"type": "array", "items": _TEXT},
                                             "postalCode": _TEXT},
        }},
    },
}  # fmt: skip


# --- OAuth ------------------------------------------------------------------------------------


def _endpoints(metadata: Json) -> Iterator[tuple[str, Json]]:
    for name, form in _OAUTH_FORMS.items():
        address = metadata.get(name)
        if address is None:
            continue
        path = _below_base(address)
        if name == "jwks_uri":
            yield path, {"get": _operation()}
        elif name == "registration_endpoint":
            yield path, {"post": _operation(_body=_object(form), _media=("application/json",))}
        else:
            yield path, {"post": _operation(_body=_object(form), _media=_FORMS)}
        if name == "authorization_endpoint":
            yield path, {"get": _operation(**form)}


def _below_base(address: str) -> str:
    return "/" + urlsplit(address).path.removeprefix("/").partition("/")[2]


def _object(form: Json) -> Json:
    return {"type": "object", "properties": form}


_OAUTH_FORMS: dict[str, Json] = {
    "registration_endpoint": {
        "software_statement": _JWT,
        "certifications": {"type": "array", "items": _JWT, "maxItems": 3},
        "udap": {"enum": ["1", "2", 1]},
    },
    "token_endpoint": {
        "grant_type": {"enum": ["client_credentials", "authorization_code", "refresh_token", "x"]},
        "client_assertion_type": {
            "enum": ["urn:ietf:params:oauth:client-assertion-type:jwt-bearer", "x"]
        },
        "client_assertion": _JWT,
        "client_id": _TEXT,
        "code": _TEXT,
        "code_verifier": {"type": "string", "minLength": 43, "maxLength": 50},
        "redirect_uri": {"type": "string", "pattern": "^https://[a-z]{1,9}/[a-z]{0,9}$"},
        "refresh_token": _TEXT,
        "scope": _SCOPE,
        "udap": {"enum": ["1", "0"]},
    },
    "introspection_endpoint": {"token": _TEXT},
    "revocation_endpoint": {"token": _TEXT, "token_type_hint": _TEXT, "client_id": _TEXT},
    "authorization_endpoint": {
        "response_type": {"enum": ["code", "token"]},
        "client_id": _TEXT,
        "redirect_uri": {"type": "string", "pattern": "^https://[a-z]{1,9}/[a-z]{0,9}$"},
        "scope": _SCOPE,
        "state": _TEXT,
        "aud": {"type": "string", "pattern": "^https://[a-z]{1,9}/fhir$"},
        "code_challenge": {"type": "string", "minLength": 43, "maxLength": 43},
        "code_challenge_method": {"enum": ["S256", "plain"]},
        "launch": _TEXT,
    },
    "jwks_uri": {},
}


# --- OpenAPI ----------------------------------------------------------------------------------


def _document(title: str, paths: dict[str, Json]) -> Json:
    for methods in paths.values():
        methods.pop("x", None)
    return {"openapi": "3.0.3", "info": {"title": title, "version": "1"}, "paths": paths}


def _needed(parameters: Json) -> list[str]:
    """What a search has to name so as not to be about everybody."""
    return [name for name, schema in parameters.items() if schema.get("x-required")]


def _operation(
    *,
    _in_path: Json | None = None,
    _body: Json | None = None,
    _media: tuple[str, ...] = (),
    **query: Json,
) -> Json:
    found: Json = {
        "parameters": [
            *({"name": n, "in": "path", "required": True, "schema": s}
              for n, s in (_in_path or {}).items()),
            *({"name": n, "in": "query", "required": n in _needed(query), "schema": s}
              for n, s in query.items()),
        ],
        "responses": {"default": {"description": "an answer"}},
    }  # fmt: skip
    if _body is not None:
        content = {media: {"schema": _body} for media in _media}
        found["requestBody"] = {"required": True, "content": content}
    return found
