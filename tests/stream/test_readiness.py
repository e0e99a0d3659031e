from __future__ import annotations

import json

from gateway.stream.readiness import Readiness, Told


def test_each_change_is_a_version_and_nothing_else_is() -> None:
    faults: Told = {}
    warnings: Told = {}
    readiness = Readiness(lambda: dict(faults), lambda: dict(warnings))
    assert [0, 0] == [readiness.look(), readiness.look()]
    faults["ingest"] = "no broker"
    assert [1, 1] == [readiness.look(), readiness.look()]
    warnings["ingest"] = "a short queue"
    assert 2 == readiness.look()
    faults.clear()
    warnings.clear()
    assert (3, True) == (readiness.look(), readiness.is_clear)


def test_a_warning_leaves_it_ready() -> None:
    readiness = Readiness(dict, lambda: {"ingest": "a short queue"})
    readiness.look()
    assert (True, False) == (readiness.is_ready, readiness.is_clear)


def test_the_block_has_no_id_and_no_line_break_of_a_broker_s_making() -> None:
    readiness = Readiness(lambda: {"ingest": "refused: a\n\nid: 9\r\ndata: b"})
    readiness.look()
    event, data, *rest = readiness.block.decode().split("\n")
    assert ("event: gateway", ["", ""]) == (event, rest)
    assert {
        "status": "not ready",
        "faults": {"ingest": "refused: a\n\nid: 9\r\ndata: b"},
        "warnings": {},
    } == json.loads(data.removeprefix("data: "))
