"""What a notebook shows of a leaderboard and of one prediction: pieces of HTML without script.

Everything that comes from data or from a model passes through `visible` and jinja2's autoescape. Colours are
those of the page around it, mixed with a tint, so that both light and dark notebooks can be read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

from jinja2 import Environment, StrictUndefined, Template

from icl.labels import label_probabilities
from icl.leaderboard.board import Board
from icl.leaderboard.footer import footer
from icl.leaderboard.show import prompt_parts
from icl.printable import visible
from icl.types import Example, Prediction, Prompt, Query, Task

CHARACTERS = 20_000
"""Of a prompt or an output that is shown."""
STYLE = """\
<style>
.icl { font: 13px/1.45 system-ui, sans-serif; overflow-x: auto; }
.icl table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: 6px 0; }
.icl th, .icl td { padding: 3px 9px; text-align: left; white-space: nowrap; background: none; }
.icl th { border-bottom: 1px solid #8888; } .icl td { border-bottom: 1px solid #8883; }
.icl .n { text-align: right; } .icl .r { font-style: italic; opacity: .75; }
.icl .b { background: #8882; } .icl .dim { opacity: .75; font-size: 12px; }
.icl pre { white-space: pre-wrap; overflow-wrap: anywhere; border: 1px solid #8885; padding: 8px; }
.icl .instruction { background: #c026d322; } .icl .query { background: #eab30833; }
.icl .d0 { background: #06b6d422; } .icl .d1 { background: #22c55e22; }
.icl .good { color: #15803d; font-weight: 600; } .icl .bad { color: #dc2626; font-weight: 600; }
</style>
"""
BOARD = """\
<div class="icl"><p><strong>{{ title }}</strong></p><table>
<thead><tr>
{% for c in columns %}<th{% if c.is_number %} class="n"{% endif %}>{{ c.header }}</th>{% endfor %}
</tr></thead>
<tbody>
{% for row in rows %}
<tr class="{% if row.is_reference %}r {% endif %}{% if row.is_baseline %}b{% endif %}">
{% for c in columns %}<td{% if c.is_number %} class="n"{% endif %}>{{ c.show(row) }}</td>{% endfor %}</tr>
{% endfor %}
</tbody></table><p class="dim">{% for line in footer %}{{ line }}<br>{% endfor %}</p></div>
"""
PREDICTION = """\
<div class="icl"><p><strong>{{ heading }}</strong>
{% if p.answer is none %}<span class="bad">no answer could be read</span>
{% else %}answer <span class="{{ 'good' if p.correct else 'bad' }}">{{ p.answer }}</span>{% endif %}
· gold {{ p.gold }} · {{ 'right' if p.correct else 'wrong' }}
{% if p.flags %}· {{ p.flags | join(', ') }}{% endif %}</p>
<pre>{% for kind, piece in parts %}<span class="{{ kind }}">{{ piece }}</span>{% endfor %}</pre>
{% if shown %}<table><thead><tr>
<th class="n">#</th><th>demonstration</th><th class="n">score</th><th>target</th><th>why</th>
</tr></thead><tbody>
{% for id, score, target, why in shown %}
<tr class="d{{ loop.index0 % 2 }}"><td class="n">{{ loop.index }}</td><td>{{ id }}</td>
<td class="n">{{ score }}</td><td>{{ target }}</td><td>{{ why }}</td></tr>
{% endfor %}</tbody></table>{% endif %}
{% if scores %}<table><thead><tr>
<th>label</th><th class="n">score</th><th class="n">probability</th>
</tr></thead><tbody>
{% for label, score, share in scores %}
<tr><td>{{ label }}</td><td class="n">{{ score }}</td><td class="n">{{ share }}</td></tr>
{% endfor %}</tbody></table>{% endif %}
{% if p.output %}<p class="dim">output</p><pre>{{ output }}</pre>{% endif %}
<p class="dim">{% for line in notes %}{{ line }}<br>{% endfor %}</p></div>
"""


@cache
def _template(text: str) -> Template:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, finalize=_shown)
    return environment.from_string(text)


def _shown(value: object) -> object:
    """Every text that stands in the piece."""
    return visible(value) if type(value) is str else value


def board_html(board: Board) -> str:
    """The table for people, its title above and the footer below."""
    return STYLE + _template(BOARD).render(
        title=board.title, columns=board.columns, rows=board.rows, footer=footer(board)
    )


def prediction_html(
    prediction: Prediction,
    prompt: Prompt,
    examples: Sequence[Example],
    *,
    heading: str,
    task: Task,
    query: Query,
    notes: Sequence[str] = (),
) -> str:
    """The prompt in colours, demonstrations with scores and reasons, label scores, the output."""
    known = {example.id: example for example in examples}
    parts = prompt_parts(
        prompt, known, separator=task.template.separator, instruction=task.instruction, query=query
    )
    shares = label_probabilities(prediction.label_scores)
    scores = [
        (label, f"{score:.3f}", f"{shares[label]:.3f}" if label in shares else "")
        for label, score in prediction.label_scores.items()
    ]
    usage = prediction.usage
    cost = f"{usage.tokens_flat} tokens, {usage.tokens_unique} forwarded, {usage.tokens_generated} generated"
    dropped = [f"dropped {d.id}: {d.reason}" for d in prediction.dropped]
    return STYLE + _template(PREDICTION).render(
        heading=heading,
        p=prediction,
        parts=_coloured(parts),
        shown=[_demonstration(prediction, known, at) for at in range(len(prediction.demonstrations))],
        scores=scores,
        output=_cut(prediction.output),
        notes=[*notes, *dropped, *([cost] if usage.requests else [])],
    )


def _coloured(parts: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Demonstrations in two colours by turns."""
    found, turn = [], 0
    for kind, piece in parts:
        is_shown = kind == "demonstration"
        found.append((f"d{turn % 2}" if is_shown else kind, _cut(piece)))
        turn += is_shown
    return found


def _demonstration(
    prediction: Prediction, known: Mapping[str, Example], at: int
) -> tuple[str, str, str, str]:
    name, score = prediction.demonstrations[at]
    why = prediction.why[at] if at < len(prediction.why) else {}
    reasons = ", ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in why.items())
    target = known[name].target if name in known else "?"
    return name, "" if score is None else f"{score:.4g}", target, reasons


def _cut(text: str) -> str:
    if len(text) <= CHARACTERS:
        return text
    return f"{text[:CHARACTERS]} ... ({len(text):,} characters in all)"
