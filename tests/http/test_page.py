from __future__ import annotations

import socket

import httpx
import pytest

from gateway.http.page import page_folder
from tests.conftest import Pair

pytestmark = [
    pytest.mark.broker,
    pytest.mark.skipif(page_folder() is None, reason="the page is not built: there is no web/index.html"),
]


def status(pair: Pair, path: str) -> tuple[int, str]:
    """Asked for exactly as written: a client library would tidy the path first."""
    with socket.create_connection(("127.0.0.1", pair.gateway.port), timeout=5) as sock:
        sock.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        body = b""
        while piece := sock.recv(65_536):
            body += piece
    head, _, rest = body.partition(b"\r\n\r\n")
    return int(head.split()[1]), rest.decode(errors="replace")


def test_the_page_has_a_policy_that_runs_nothing_foreign(pair: Pair) -> None:
    answer = pair.gateway.get("/")
    assert (200, "text/html; charset=utf-8") == (answer.status_code, answer.headers["Content-Type"])
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
    assert "nosniff" == answer.headers["X-Content-Type-Options"]
    assert "no-cache" == answer.headers["Cache-Control"]


def test_modules_have_the_type_that_browsers_ask_for(pair: Pair) -> None:
    assert "javascript" in pair.gateway.get("/main.js").headers["Content-Type"]
    assert "text/css" in pair.gateway.get("/style.css").headers["Content-Type"]


def test_an_unchanged_file_is_a_304(pair: Pair) -> None:
    tag = pair.gateway.get("/main.js").headers["ETag"]
    assert 304 == httpx.get(f"{pair.gateway.url}/main.js", headers={"If-None-Match": tag}).status_code


@pytest.mark.parametrize(
    "path",
    [
        "/../pyproject.toml", "/%2e%2e/pyproject.toml", "/..%2fpyproject.toml", "/%2e%2e%2fpyproject.toml",
        "//etc/passwd", "/%2fetc%2fpasswd", "/web/../../pyproject.toml", "/..%5cpyproject.toml", "/./../config.toml",
        "/build.py", "/build.PY", "/build.py/", "/__pycache__/build.cpython-311.pyc", "/.", "/%00", "/index.html%00",
        "/api/", "/api/nothing", "/vendor", "/vendor/", "/vendor/..", "/.git/config", "/.gitignore",
    ],
)  # fmt: skip
def test_nothing_but_the_page_is_served(pair: Pair, path: str) -> None:
    found, body = status(pair, path)
    assert 404 == found, body[:300]
    assert "Traceback" not in body
