"""The promises of SECURITY.md: each names tests, and they are there."""

from __future__ import annotations

import ast
import re
import socket
from pathlib import Path

import pytest

from midmix.cli.app import run

ROOT = Path(__file__).parents[1]
NAMED = re.findall(r"`(tests/[\w/]+\.py)::([\w:]+)`", (ROOT / "SECURITY.md").read_text())


def test_enough_promises_name_a_test():
    assert len(NAMED) >= 18


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_the_named_test_is_there(file, name):
    body = ast.parse((ROOT / file).read_text()).body
    for part in name.split("::"):
        found = [
            node for node in body if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == part
        ]
        assert found, f"{file} has no {name}"
        body = found[0].body


def test_nothing_reaches_the_network_unasked(tmp_path, monkeypatch):
    def refuse(self, address):
        raise AssertionError(f"a connection to {address}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)
    out = str(tmp_path / "run")
    assert run(["train", "digits", "--network", "mlp-8", "--epochs", "1", "--out", out]) == 0
    assert run(["evaluate", out, "digits"]) == 0
    assert run(["analyze", out, "--out", str(tmp_path / "analysis")]) == 0
