"""A system that asks the node by SMART Backend Services: makes its keys, gets its tokens.

    python backend.py keys FOLDER
    python backend.py token FOLDER CLIENT_ID FHIR_BASE SCOPE CA_FILE

It needs Python 3.11 and the package joserfc, nothing of the node.
"""

from __future__ import annotations

import json
import secrets
import ssl
import sys
import time
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from joserfc import jwt
from joserfc.jwk import ECKey

ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def make_keys(folder: Path) -> None:
    """Write a private key, and the key set that the node is given."""
    key = ECKey.generate_key("P-384", {"kid": secrets.token_hex(8)}, private=True)
    folder.mkdir()
    private = folder / "private.json"
    private.touch(mode=0o600)
    private.write_text(json.dumps(key.as_dict(private=True)))
    (folder / "jwks.json").write_text(json.dumps({"keys": [key.as_dict(private=False)]}))


def get_token(folder: Path, client_id: str, base: str, scope: str, ca: str) -> str:
    """A token of five minutes."""
    context = ssl.create_default_context(cafile=ca)
    with urlopen(f"{base}/.well-known/smart-configuration", context=context) as answer:
        endpoint = json.load(answer)["token_endpoint"]
    key = ECKey.import_key(json.loads((folder / "private.json").read_text()))
    claims = {
        "iss": client_id,
        "sub": client_id,
        "aud": endpoint,
        "exp": int(time.time()) + 240,
        "jti": secrets.token_hex(16),
    }
    header = {"alg": "ES384", "kid": key.kid, "typ": "JWT"}
    form = {
        "grant_type": "client_credentials",
        "scope": scope,
        "client_assertion_type": ASSERTION,
        "client_assertion": jwt.encode(header, claims, key, algorithms=["ES384"]),
    }
    with urlopen(Request(endpoint, data=urlencode(form).encode()), context=context) as answer:
        return str(json.load(answer)["access_token"])


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["keys", folder]:
            make_keys(Path(folder))
        case ["token", folder, client_id, base, scope, ca]:
            print(get_token(Path(folder), client_id, base, scope, ca))
        case _:
            sys.exit(__doc__)
