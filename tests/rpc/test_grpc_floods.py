"""The gRPC port under load of its own clients: calls, messages and streams have limits."""

from __future__ import annotations

import asyncio

import grpc
import pytest
from test_admission import NOW, Speaking, World, asked, cas, code_of, identity

from node.rpc.deliveries import MOST_BYTES
from node.rpc.server import GrpcCredentials, GrpcIdentity, serving_grpc
from protos.tefca_node.v1 import exchange_pb2 as pb
from protos.tefca_node.v1 import exchange_pb2_grpc as pb_grpc
from trust.ca import Profile
from trust.certificates import Bundle

__all__ = ["cas"]  # a fixture
EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED


class Counting(Speaking):
    """Counts the streams that are open."""

    def __init__(self) -> None:
        super().__init__()
        self.open = 0

    async def FindPatients(self, request, context):  # noqa: N802
        self.open += 1
        try:
            yield pb.Event(started=pb.LegStarted())
            await asyncio.Event().wait()
        finally:
            self.open -= 1


@pytest.fixture
async def world(cas):
    world = World(cas)
    world.service = Counting()
    key, chain = identity(cas["node"], Profile.TLS_SERVER)
    anchors = b"".join(Bundle(leaf=anchor).pem() for anchor in world.anchors)
    credentials = GrpcCredentials(GrpcIdentity(key=key, chain=chain, client_anchors=anchors))
    async with serving_grpc(
        world.service, credentials, world.admission, host="127.0.0.1", port=0, most_calls=5
    ) as world.port:
        yield world


async def emptied(world) -> None:
    async with asyncio.timeout(10):
        while world.service.open:  # noqa: ASYNC110 - the servicer is told nothing of it
            await asyncio.sleep(0.01)


async def test_calls_past_the_limit_are_turned_away_and_cancelled_ones_make_room(world):
    assert world.now == NOW
    async with world.channel("ehr") as channel:
        stub = pb_grpc.ExchangeStub(channel)
        for _ in range(3):
            calls = [stub.FindPatients(pb.FindPatientsRequest(), timeout=30) for _ in range(5)]
            for each in calls:
                assert (await each.read()).HasField("started")
            assert await asked(channel) is EXHAUSTED
            for each in calls:
                each.cancel()
            await emptied(world)
        assert await asked(channel) is grpc.StatusCode.OK


async def test_a_message_past_the_limit_is_turned_away_and_the_service_goes_on(world):
    async with world.channel("ehr") as channel:
        request = pb.FindDocumentsRequest(principal=pb.Principal(user_id="x" * MOST_BYTES))
        call = pb_grpc.ExchangeStub(channel).FindDocuments(request, timeout=30)
        assert await code_of(call) is EXHAUSTED
        assert await asked(channel) is grpc.StatusCode.OK
