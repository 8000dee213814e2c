"""Clients of a running node's gRPC service."""

from __future__ import annotations

from contextlib import asynccontextmanager

import grpc
import pytest
from node_network import Site

from node.identity import identity_files, network_anchors
from node.setup import OPERATOR
from protos.tefca_node.v1 import exchange_pb2 as pb
from trust.certificates import Bundle

WHO = pb.Principal(subject_id="Dr Sample", user_id="sample@ehr.example", purpose="T-TRTMNT")


def anchors_of(site: Site) -> bytes:
    return b"".join(Bundle(leaf=a.certificate).pem() for a in network_anchors(site.home))


@asynccontextmanager
async def channel(site: Site, *, name: str | None = OPERATOR, of: Site | None = None):
    """A channel with the identity ``name`` of ``of``; ``None`` is without a certificate."""
    files = identity_files((of or site).home, name) if name else None
    credentials = grpc.ssl_channel_credentials(
        anchors_of(site),
        files.key.read_bytes() if files else None,
        files.certificate.read_bytes() if files else None,
    )
    async with grpc.aio.secure_channel(site.grpc, credentials) as opened:
        yield opened


async def status_of(call) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async for _ in call:
            pass
    return caught.value.code(), caught.value.details() or ""
