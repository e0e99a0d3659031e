"""Answers that several routes give: JSON, and problems as JSON."""

from __future__ import annotations

from typing import NamedTuple

import msgspec
from quart import Response

JSON = "application/json"


class Answer(NamedTuple):
    """A whole answer that does not come from Quart; what every answer carries is added by the gate."""

    status: int
    headers: dict[str, str]
    body: bytes = b""


def json_answer(body: bytes, status: int = 200) -> Response:
    """Quart's answer with a JSON body that is encoded already."""
    return Response(body, status, content_type=JSON)


def problem(status: int, error: str, **details: str) -> Response:
    """Quart's answer ``{"error": …}`` with what names the fault."""
    return json_answer(_problem(error, details), status)


def problem_answer(status: int, error: str, headers: dict[str, str] | None = None, **details: str) -> Answer:
    """As `problem`, for what is answered without Quart."""
    return Answer(status, {"Content-Type": JSON, **(headers or {})}, _problem(error, details))


def _problem(error: str, details: dict[str, str]) -> bytes:
    return msgspec.json.encode({"error": error, **details})
