"""Answers that several routes give."""

from __future__ import annotations

import msgspec
from quart import Response


def json_answer(body: bytes, status: int = 200) -> Response:
    """A JSON body that is encoded already."""
    return Response(body, status, content_type="application/json")


def problem(status: int, error: str, **details: str) -> Response:
    """``{"error": …}`` with what names the fault."""
    return json_answer(msgspec.json.encode({"error": error, **details}), status)
