"""tools/chaos.py for seconds: processes and Redis are killed, and clients move between them."""

import os
import shutil
import sys

import pytest

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)),
                             os.pardir, os.pardir, os.pardir, "tools"))
chaos = pytest.importorskip("chaos")


@pytest.mark.parametrize("kind", ["sqlite", "redis"])
def test_each_client_gets_each_event_of_its_topics_once_and_in_order(kind):
    if kind == "redis":
        pytest.importorskip("redis")
        if not shutil.which("redis-server"):
            pytest.skip("redis-server is not installed")
    found = chaos.chaos(kind, 5)
    assert {fault: found[fault] for fault in chaos.FAULTS} == dict.fromkeys(chaos.FAULTS, 0)
    assert found["kills"] > 3 and found["connections"] > 2 * chaos.CLIENTS
    assert found["delivered"] > 500
