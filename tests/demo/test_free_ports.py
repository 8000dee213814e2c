"""Ports that are chosen now and used later are nobody else's in between."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from node.demo import free_ports as subject
from node.demo.free_ports import HOST, free_ports

ROOT = Path(__file__).resolve().parents[2]
# The same place to begin, whatever its process: what two processes must not be able to share.
OTHER = """
import sys
from node.demo import free_ports as subject
class Same:
    def __init__(self, seed): pass
    def randrange(self, size): return int(sys.argv[1])
subject.random.Random = Same
print(*subject.free_ports(int(sys.argv[2])), flush=True)
sys.stdin.read()
"""


def other(start: int, count: int) -> tuple[subprocess.Popen[str], list[int]]:
    process = subprocess.Popen(
        [sys.executable, "-c", OTHER, str(start), str(count)],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    return process, [int(word) for word in process.stdout.readline().split()]


def end(process: subprocess.Popen[str]) -> None:
    process.communicate("")
    assert process.returncode == 0


def test_a_process_is_given_every_port_once():
    first, second = free_ports(20), free_ports(20)
    assert len(set(first + second)) == 40


def test_two_processes_that_begin_at_one_place_are_given_different_ports():
    first, mine = other(5000, 10)
    second, theirs = other(5000, 10)
    try:
        assert len(set(mine + theirs)) == 20
    finally:
        end(first)
        end(second)


def test_a_process_that_ended_leaves_no_claim():
    first, ports = other(7000, 10)
    end(first)
    second, again = other(7000, 10)
    end(second)
    assert set(ports) & set(again)


def test_a_port_in_use_is_not_given():
    process, ports = other(9000, 1)
    end(process)
    with socket.socket() as used:
        used.bind((HOST, ports[0]))
        process, others = other(9000, 5)
        end(process)
    assert ports[0] not in others


def test_a_range_that_is_used_up_is_said(monkeypatch):
    monkeypatch.setattr(subject, "_next", iter(free_ports(2)))
    with pytest.raises(OSError, match="no 3 free ports"):
        free_ports(3)
