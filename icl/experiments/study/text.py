"""A study's report as Markdown. What came from data or a model is shown as text, never as markup."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from icl.instructions.card_text import escaped

VERDICTS = {True: "yes", False: "no", None: "not settled"}
"""Whether a claim holds, in words."""


def to_markdown(report: Mapping[str, Any]) -> str:
    """report: as in report.json."""
    parts = [f"# {escaped(report['name'])}", heading(report)]
    if not report["complete"]:
        parts.append("Not finished: this is what the steps that are done have found.")
    for claim in report["claims"]:
        parts.append(
            f"- **{escaped(claim['said'])}**\n  - measured: {escaped(claim['measured'])}\n"
            f"  - control: {escaped(claim['control'])}\n  - holds: {VERDICTS[claim['holds']]}"
        )
    for table in report["tables"]:
        parts.append(f"## {escaped(table['name'])}\n\n{_table(table['columns'], table['rows'])}")
    if report["figures"]:
        parts.append("## Figures")
    for figure in report["figures"]:
        parts.append(f"![{escaped(figure['title'])}](figures/{figure['name']}.png)")
    if report["notes"]:
        parts.append("## Notes\n\n" + "\n".join(f"- {escaped(note)}" for note in report["notes"]))
    rows = [(one["step"], one["units"], one["unit"], f"{one['seconds']:.1f}") for one in report["steps"]]
    parts.append(f"## Steps\n\n{_table(('step', 'units', 'of', 'seconds'), rows)}")
    return "\n\n".join(parts) + "\n"


def heading(report: Mapping[str, Any]) -> str:
    """What was studied on what, in one line."""
    given = ", ".join(f"{key}={escaped(str(value))}" for key, value in report["parameters"].items())
    model = f", model {escaped(report['model']['name'])}" if report["model"] else ""
    tasks = f", tasks {escaped(', '.join(report['tasks']))}" if report["tasks"] else ""
    return (
        f"Study {escaped(report['study'])}, preset {escaped(report['preset'])}{model}{tasks}, "
        f"seed {report['seed']}. Parameters: {given or 'none'}."
    )


def shown(value: object) -> str:
    """A cell of a table: four digits of a number, a dash for None."""
    if isinstance(value, float):
        return f"{value:.4g}"
    return "–" if value is None else str(value)


def _table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = ["| " + " | ".join(map(escaped, columns)) + " |", "|" + " --- |" * len(columns)]
    lines += ["| " + " | ".join(escaped(shown(cell)) for cell in row) + " |" for row in rows]
    return "\n".join(lines)
