"""What a benchmark found: tables, figures for the goals, plots; printed, and written into `docs/performance.md`."""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tests.bench.machine import machine
from tests.conftest import ROOT

PAGE = ROOT / "docs/performance.md"
FOLDER = ROOT / "docs/performance"
RESULTS = FOLDER / "results.json"


@dataclass
class Report:
    """``figures`` are medians by name, which `goals.py` reads; ``plots`` are SVG by file name."""

    name: str
    text: list[str] = field(default_factory=list)
    figures: dict[str, float] = field(default_factory=dict)
    plots: dict[str, str] = field(default_factory=dict)
    busy: list[float] = field(default_factory=list)

    def say(self, *lines: str) -> None:
        """Add lines, and show them now: a benchmark takes minutes."""
        self.text.extend(lines)
        print(*lines, sep="\n", flush=True)

    def table(self, head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        self.say("", *markdown(head, rows), "")

    def plot(self, file: str, title: str, svg: str) -> None:
        self.plots[file] = svg
        self.text += ["", f"![{title}](performance/{file})"]

    def markdown(self) -> str:
        others = f"Before its runs others used at most {max(self.busy, default=0):.0%} of a core."
        return "\n".join([*self.text, "", machine() + ".", others]).strip()


def markdown(head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """The lines of a table."""
    lines = [f"| {' | '.join(head)} |", f"| {' | '.join('---' for _ in head)} |"]
    return lines + [f"| {' | '.join(str(cell) for cell in row)} |" for row in rows]


def median(values: Iterable[float]) -> float:
    """The middle one; 0 when there are none."""
    found = list(values)
    return float(statistics.median(found)) if found else 0.0


def short(value: float) -> str:
    """Three figures, thousands with commas."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def replace_part(page: str, mark: str, text: str) -> str:
    """The page with what stands between the marks of this name replaced."""
    pattern = re.compile(rf"(<!-- bench:{mark} -->\n).*?(<!-- /bench:{mark} -->)", re.DOTALL)
    if not pattern.search(page):
        raise ValueError(f"{PAGE.name} has no marks named bench:{mark}")
    return pattern.sub(lambda found: f"{found[1]}{text}\n{found[2]}", page)


def write(report: Report, goals_table: Iterable[str]) -> None:
    """Put the report into the page, its plots beside it, and the goals table with all figures so far at the top."""
    FOLDER.mkdir(exist_ok=True)
    for file, svg in report.plots.items():
        (FOLDER / file).write_text(svg)
    page = replace_part(PAGE.read_text(), report.name, report.markdown())
    PAGE.write_text(replace_part(page, "goals", "\n".join(goals_table)))


def keep(figures: dict[str, float]) -> dict[str, float]:
    """Merge the figures into what earlier runs found; returns all of them."""
    FOLDER.mkdir(exist_ok=True)
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    known.update(figures)
    RESULTS.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")
    return dict(known)
