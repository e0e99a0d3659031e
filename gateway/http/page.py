"""The page: static files, from the wheel or from `web/` beside the package in a checkout."""

from __future__ import annotations

from pathlib import Path

from quart import Blueprint, Quart, Response, send_from_directory

from gateway.http.answers import problem
from gateway.http.security import CONTENT_POLICY

PACKAGE = Path(__file__).parent.parent
HIDDEN = {".py", ".pyc"}
"""The build hook lives beside the page; it is not served."""


def page_folder() -> Path | None:
    """Where the page is, or None when it was not built in."""
    return next(
        (folder for folder in (PACKAGE / "web", PACKAGE.parent / "web") if (folder / "index.html").is_file()), None
    )


def add_routes(app: Quart) -> None:
    """Mount ``/`` and the files of the page."""
    blueprint = Blueprint("page", __name__)
    folder = page_folder()

    @blueprint.get("/")
    async def index() -> Response:
        return await page_file("index.html")

    @blueprint.get("/<path:name>")
    async def page_file(name: str) -> Response:
        if folder is None or Path(name).suffix in HIDDEN or name.startswith("api/"):
            return problem(404, "not found")
        response = await send_from_directory(folder, name)
        response.headers["Content-Security-Policy"] = CONTENT_POLICY
        # Checked each time and then mostly answered with 304: an updated gateway must not meet an old page's script.
        response.headers["Cache-Control"] = "no-cache"
        return response

    app.register_blueprint(blueprint)
