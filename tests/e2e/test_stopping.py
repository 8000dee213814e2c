"""A node that is told to stop answers first what it was asked, and ends well."""

from __future__ import annotations

import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest
from messages import ask, discovery, new_message_id, response_code
from node_network import Network, Running, serving, start, until

from node.model import Transaction

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def network(tmp_path_factory) -> Network:
    network = Network(tmp_path_factory.mktemp("stopping"))
    network.add("asker")
    network.add("clinic", listen="answer_delay_seconds = 2")
    network.join()
    return network


def ops(running: Running, path: str) -> tuple[int, str]:
    with urllib.request.urlopen(running.bound["ops"] + path, timeout=20) as answer:
        return answer.status, answer.read().decode()


def connected(running: Running) -> bool:
    """Whether a peer's connection is open, as the metrics tell."""
    text = ops(running, "/metrics")[1]
    values = [line for line in text.splitlines() if line.startswith("tefca_gateway_connections{")]
    return any(not line.endswith(" 0.0") for line in values)


def test_sigterm_lets_a_request_be_answered_and_its_entry_be_written(network):
    asker, clinic = network.sites["asker"], network.sites["clinic"]
    message_id = new_message_id()
    with serving(clinic, anew=True) as running, ThreadPoolExecutor(1) as threads:
        body = discovery(asker, target=clinic.hcid)
        asked = threads.submit(ask, asker, clinic, Transaction.ITI_55, body, message_id=message_id)
        until(lambda: connected(running))
        time.sleep(0.5)  # the request follows its handshake at once, its answer only after seconds
        code = running.stop()
        assert response_code(asked.result(20)) == "NF"
    assert code == 0
    assert clinic.entry_of(message_id).fields["outcome"] == "ok-empty"
    assert b"Traceback" not in running.log.read_bytes()


def test_readiness_and_liveness_answer_while_it_runs_and_a_second_start_works(network):
    running = start(network.sites["clinic"])
    try:
        assert ops(running, "/livez") == (200, "ok\n")
        status, text = ops(running, "/readyz")
        assert status == 200
        assert '"ready":true' in text
    finally:
        assert running.stop() == 0


def test_a_port_that_is_taken_is_told_and_not_a_traceback(network):
    clinic = network.sites["clinic"]
    with serving(clinic):
        done = clinic.cli("serve", "--json")
    assert done.returncode == 3, done.stderr
    assert "Traceback" not in done.stderr
    assert "next:" in done.stderr
