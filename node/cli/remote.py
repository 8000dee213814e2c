"""The channel to a running node, for the commands that ask through one (``--node``)."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Any

from node.identity import identity_files, network_anchors, passphrase
from node.rpc.client import channel_to
from node.settings import NodeHome, Settings
from node.setup import OPERATOR
from trust.certificates import Bundle
from trust.keys import load_key, plain_pem


def operators_channel(
    home: NodeHome, settings: Settings, address: str
) -> AbstractAsyncContextManager[Any]:
    """A channel to the node at a gRPC address, as the operator of a node home.

    Raises:
        TrustError: when the operator's key or certificate cannot be used.
    """
    files = identity_files(home, OPERATOR)
    return channel_to(
        address,
        key=plain_pem(load_key(files.key, passphrase=passphrase(settings))),
        chain=files.certificate.read_bytes(),
        anchors=b"".join(Bundle(leaf=a.certificate).pem() for a in network_anchors(home)),
        host_name=settings.grpc.host_name,
    )
