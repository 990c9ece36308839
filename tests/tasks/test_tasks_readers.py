"""Data files as they are read: every format, how values are kept, and what is refused in one line."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import os
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from icl.errors import ConfigError, DataError, IclError
from icl.tasks import load_task
from icl.tasks.readers import read_file

TASK = """\
name: seen
kind: {kind}
inputs: [text]
{labels}
template: {{query: "{{{{ text }}}}"}}
source:
  files: {{test: {files}}}
{more}
"""


def task(
    folder: Path, files: str, *more: str, kind: str = "classification", labels: str = "[up, down]"
) -> Path:
    path = folder / "seen.yaml"
    shown = f"labels: {labels}" if kind in ("classification", "boolean") else ""
    path.write_text(
        TASK.format(kind=kind, labels=shown, files=files, more="\n".join(f"  {line}" for line in more)),
        encoding="utf-8",
    )
    return path


def refused(path: Path) -> str:
    with pytest.raises((DataError, ConfigError)) as caught:
        load_task(path)
    message = str(caught.value)
    assert message.isprintable(), message
    assert len(message) < 900
    return message


ROWS = [{"text": f"sentence {i}", "label": ("up", "down")[i % 2]} for i in range(4)]
LINES = "\n".join(json.dumps(row) for row in ROWS)
TABLE = "text,label\n" + "\n".join(f"{row['text']},{row['label']}" for row in ROWS)


@pytest.fixture(autouse=True)
def no_mirror(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ICL_DATA", raising=False)


def _zstd(content: bytes) -> bytes:
    sink = pyarrow.BufferOutputStream()
    with pyarrow.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(content)
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", LINES.encode()),
        ("a.ndjson", b"\xef\xbb\xbf" + LINES.replace("\n", "\r\n").encode()),
        ("a.jsonl", LINES.replace("\n", "\r").encode()),
        ("a.json", json.dumps(ROWS, indent=2).encode()),
        ("a.json", json.dumps({"made": "by hand", "tags": ["x"], "examples": ROWS}).encode()),
        ("a.json", LINES.encode()),
        ("a.csv", TABLE.encode()),
        ("a.csv", b"\xef\xbb\xbf" + TABLE.replace("\n", "\r\n").encode()),
        ("a.tsv", TABLE.replace(",", "\t").encode()),
        ("a.jsonl.gz", gzip.compress(LINES.encode(), mtime=0)),
        ("a.csv.BZ2", bz2.compress(TABLE.encode())),
        ("a.json.xz", lzma.compress(json.dumps(ROWS).encode())),
        ("a.tsv.zst", _zstd(TABLE.replace(",", "\t").encode())),
    ],
)  # fmt: skip
def test_the_same_rows_in_every_format(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    data = load_task(task(tmp_path, name))
    assert [(e.text, e.target) for e in data.test] == [(row["text"], row["label"]) for row in ROWS]


def test_numbers_stay_as_they_are_written(tmp_path):
    (tmp_path / "n.jsonl").write_text('{"text": 4.500, "label": "up"}\n{"text": 1E5, "label": "up"}\n')
    (tmp_path / "n.json").write_text('[{"text": 4.500, "label": "up"}, {"text": 1E5, "label": "up"}]')
    (tmp_path / "n.csv").write_text("text,label\n4.500,up\n1E5,up\n")
    for name in ("n.jsonl", "n.json", "n.csv"):
        assert [e.text for e in load_task(task(tmp_path, name)).test] == ["4.500", "1E5"]
    (tmp_path / "z.csv").write_text("text,answer\n0042,NA\nnull,None\n")
    read = load_task(task(tmp_path, "z.csv", kind="string")).test
    assert [(e.text, e.target) for e in read] == [("0042", "NA"), ("null", "None")]


def test_classes_written_as_numbers_by_a_table(tmp_path):
    (tmp_path / "c.jsonl").write_text('{"text": "a", "label": 0}\n{"text": "b", "label": "1"}\n')
    mapped = "fields: {target: {column: label, transforms: [{values: {0: down, 1: up}}]}}"
    assert [e.target for e in load_task(task(tmp_path, "c.jsonl", mapped)).test] == ["down", "up"]
    listed = "fields: {target: {column: label, transforms: [{class_names: [down, up]}]}}"
    assert [e.target for e in load_task(task(tmp_path, "c.jsonl", listed)).test] == ["down", "up"]


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ("{values: {up: true}}", ["true is no text", "write it in quotes"]),
        ("{values: [down]}", ["takes a mapping"]),
        ("{class_names: down}", ["takes a list of names"]),
        ("{before: 3}", ["takes a text", "not 3"]),
        ("{after: ''}", ["takes a text"]),
    ],
)
def test_arguments_of_transforms_are_checked_in_plain_words(tmp_path, step, words):
    (tmp_path / "c.jsonl").write_text(LINES)
    message = refused(
        task(tmp_path, "c.jsonl", f"fields: {{target: {{column: label, transforms: [{step}]}}}}")
    )
    for word in ("seen.yaml:8", "source.fields.target", *words):
        assert word in message


def test_nested_fields_and_literal_dots(tmp_path):
    rows = [
        {"d": {"text": "inner", "tags": ["x", {"name": "up"}]}, "d.text": "literal"},
        {"d": {"text": "only inner", "tags": [0, {"name": "down"}]}},
    ]
    (tmp_path / "d.jsonl").write_text("\n".join(map(json.dumps, rows)))
    fields = "fields: {inputs: {text: d.text}, target: d.tags.1.name}"
    read = load_task(task(tmp_path, "d.jsonl", fields)).test
    assert [(e.text, e.target) for e in read] == [("literal", "up"), ("only inner", "down")]
    message = refused(task(tmp_path, "d.jsonl", "fields:", "  inputs: {text: d}", "  target: d.tags.1.name"))
    assert "seen.yaml:9: source.fields.inputs.text: " in message
    assert "is an object with the keys text, tags: name one, as in 'field.text'" in message
    assert "no field 'd.tags.7'" in refused(task(tmp_path, "d.jsonl", "fields: {inputs: {text: d.tags.7}}"))


def test_lists_and_patterns_of_files(tmp_path):
    (tmp_path / "parts").mkdir()
    for number in (10, 2, 1):
        row = {"text": f"part {number}", "label": "up"}
        (tmp_path / "parts" / f"p-{number:02}.jsonl").write_text(json.dumps(row))
    (tmp_path / "odd[1].csv").write_text("text,label\nodd,down\n")
    data = load_task(task(tmp_path, '["parts/p-*.jsonl", "odd[1].csv"]'))
    assert [(e.id, e.text) for e in data.test] == [
        ("test-0", "part 1"), ("test-1", "part 2"), ("test-2", "part 10"), ("test-3", "odd"),
    ]  # fmt: skip
    assert "no data file matches 'q-*'" in refused(task(tmp_path, "'q-*'"))
    assert "is named twice" in refused(task(tmp_path, "[parts/p-01.jsonl, 'parts/*']"))
    assert "must be a file, a pattern, or a list" in refused(task(tmp_path, "[]"))


def test_which_array_of_an_object(tmp_path):
    (tmp_path / "o.json").write_text(json.dumps({"old": ROWS[:1], "new": ROWS}))
    message = refused(task(tmp_path, "o.json"))
    assert "several arrays of objects (old, new); say which with 'key' under source" in message
    assert len(load_task(task(tmp_path, "o.json", "key: new")).test) == 4
    assert "no key 'nwe'. Did you mean 'new'" in refused(task(tmp_path, "o.json", "key: nwe"))
    (tmp_path / "o.jsonl").write_text(LINES)
    assert "'key' is for .json files" in refused(task(tmp_path, "o.jsonl", "key: new"))
    (tmp_path / "o.json").write_text('{"a": 1}')
    assert "no array of objects" in refused(task(tmp_path, "o.json"))


def test_the_two_kinds_of_tsv(tmp_path):
    (tmp_path / "q.tsv").write_text('text\tlabel\n"two\nlines"\tup\nnone\tdown\n')
    assert "q.tsv:2: a cell begins with a double quote" in refused(task(tmp_path, "q.tsv"))
    assert [e.text for e in load_task(task(tmp_path, "q.tsv", "quotes: csv")).test] == ["two\nlines", "none"]
    (tmp_path / "q.tsv").write_text('text\tlabel\n"Oh\tup\nno" she said\tdown\n')
    assert [e.text for e in load_task(task(tmp_path, "q.tsv", "quotes: plain")).test] == [
        '"Oh',
        'no" she said',
    ]
    (tmp_path / "q.tsv").write_text('text\tlabel\na 5" nail\tup\n')
    assert load_task(task(tmp_path, "q.tsv")).test[0].text == 'a 5" nail'


def test_long_cells(tmp_path):
    (tmp_path / "l.csv").write_text(f"text,label\n{'long ' * 60_000},up\n")
    assert len(load_task(task(tmp_path, "l.csv")).test[0].text) == 299_999


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        (
            "b.jsonl",
            b'{"text": "a", "label": "up"}\n\n{"text": "x\\ud800", "label": "up"}',
            [":3:", "surrogate"],
        ),
        ("b.json", b'[{"text": "a", "label": "up"},\n{"text": "x\\u0000", "label": "up"}]', [":2:", "NUL"]),
        ("b.csv", b"text,label\nx\0y,up\n", [":2:", "NUL"]),
        ("b.jsonl", b'{"text": "a", "text": "b", "label": "up"}', [":1:", "'text' is given twice"]),
        ("b.csv", b"text,label,text\na,up,b\n", [":1:", "names 'text' twice"]),
        ("b.csv", b'text,label\n"a\nb",up\nc,up,more\n', [":4:", "more fields than the header (3, not 2)"]),
        ("b.tsv", b"text\tlabel\na\tup\nb\tup\tc\td\n", [":3:", "more fields than the header (4, not 2)"]),
        ("b.csv", b'text,label\n"a" b,up\n', [":2:", "not valid CSV"]),
        ("b.jsonl", b'{"text": "a", "label": NaN}', [":1:", "NaN is no JSON value"]),
        ("b.json", b'[{"text": "a"},\n {"text": }]', [":2:", "not valid JSON"]),
        ("b.json", b"[" * 5000, ["nested too deeply"]),
        ("b.jsonl", b'{"text": ' + b"[" * 100_000, [":1:", "nested too deeply"]),
        ("b.jsonl", b'{"text": ["a", "b"], "label": "up"}', ["is a list of 2", "transforms: [join]"]),
        ("b.jsonl", b'{"text": "a", "label": {"v": "up"}}', ["'label'", "is an object with the keys v"]),
        ("b.jsonl", b"\xff\xfet\0e\0", ["UTF-16", "UTF-8"]),
        ("b.csv", b"text,label\ncaf\xe9,up\n", [":2:", "not UTF-8", "0xe9"]),
        ("b.jsonl", b"", ["is empty"]),
        ("b.csv", b"text,label\n", ["is empty"]),
        ("b.json", b"[]", ["is empty"]),
        ("b.jsonl.gz", gzip.compress(b"{}" * 99, mtime=0)[:-9], ["is damaged or not packed as .gz"]),
        ("b.jsonl.zst", b"no", ["is damaged or not packed as .zst"]),
        ("b.parquet", b"PAR1 and no more", ["is not a Parquet file"]),
        ("b.txt", b"a", ["unknown format '.txt'", ".jsonl"]),
        ("b.jsonl", b'{"text": "a", "label": "\\u001b[31m\\u202e"}', ["is not a label"]),
    ],
)
def test_what_is_refused_says_where(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    message = refused(task(tmp_path, name))
    for word in ("seen.yaml:7: source.files.test: ", name, *words):
        assert word in message


def test_no_file_and_no_permission(tmp_path):
    (tmp_path / "folder.jsonl").mkdir()
    assert "is a folder" in refused(task(tmp_path, "folder.jsonl"))
    assert "does not exist" in refused(task(tmp_path, "none.jsonl"))
    assert "(3,0" in refused(task(tmp_path, "n" * 3000 + ".jsonl"))
    os.mkfifo(tmp_path / "pipe.jsonl")
    assert "no regular file" in refused(task(tmp_path, "pipe.jsonl"))


def test_parquet_keeps_types_apart(tmp_path):
    import datetime

    good = pyarrow.table({"text": [1.5, 2.0], "label": ["up", "down"]})
    pyarrow.parquet.write_table(good, tmp_path / "p.parquet")
    assert [e.text for e in load_task(task(tmp_path, "p.parquet")).test] == ["1.5", "2.0"]
    dated = pyarrow.table({"text": [datetime.date(2024, 1, 5)], "label": ["up"]})
    pyarrow.parquet.write_table(dated, tmp_path / "p.parquet")
    assert "is of the type date" in refused(task(tmp_path, "p.parquet"))
    twice = pyarrow.Table.from_arrays([pyarrow.array(["a"])] * 2, names=["text", "text"])
    pyarrow.parquet.write_table(twice, tmp_path / "p.parquet")
    assert "has two columns 'text'" in refused(task(tmp_path, "p.parquet"))


def test_folder_names_add_no_columns(tmp_path):
    (tmp_path / "label=down").mkdir()
    pyarrow.parquet.write_table(pyarrow.table({"text": ["a"]}), tmp_path / "label=down" / "p.parquet")
    assert dict(read_file(tmp_path / "label=down" / "p.parquet").rows[0].values) == {"text": "a"}


def test_bad_rows_are_left_out_and_named(tmp_path):
    bad = [
        '{"text": "a", "label": "sideways"}',
        '{"text": ',
        '{"label": "up"}',
        '{"text": "b", "label": "up"}',
    ]
    (tmp_path / "s.jsonl").write_text("\n".join([LINES, *bad]))
    data = load_task(task(tmp_path, "s.jsonl", "skip_bad_rows: true"))
    assert [e.id for e in data.test] == ["test-0", "test-1", "test-2", "test-3", "test-7"]
    assert [line.split(": ")[0].rsplit(":")[-1] for line in data.skipped["test"]] == ["5", "6", "7"]
    assert data.split(pool=1, test=3).skipped == 3
    (tmp_path / "s.jsonl").write_text("\n".join(bad[:3]))
    assert "none of 3 rows fits; the first: " in refused(task(tmp_path, "s.jsonl", "skip_bad_rows: true"))


def test_labels_with_a_space_in_front(tmp_path):
    (tmp_path / "l.jsonl").write_text('{"text": "a", "label": " up"}\n{"text": "b", "label": "up"}')
    read = load_task(task(tmp_path, "l.jsonl", labels='[" up", " down"]')).test
    assert [e.target for e in read] == [" up", " up"]
    assert "is given twice" in refused(task(tmp_path, "l.jsonl", labels='[" up", "up"]'))


def test_booleans_as_labels(tmp_path):
    (tmp_path / "t.jsonl").write_text('{"text": "a", "label": true}\n{"text": "b", "label": "false"}')
    read = load_task(task(tmp_path, "t.jsonl", labels='["true", "false"]')).test
    assert [e.target for e in read] == ["true", "false"]


@pytest.mark.parametrize(
    ("sign", "kept"), [("|", None), (">", None), ("|-", "ask {{ text }}"), ("|+", "ask {{ text }}\n")]
)
def test_a_block_says_whether_it_ends_in_a_line_end(tmp_path, sign, kept):
    (tmp_path / "a.jsonl").write_text(LINES)
    path = task(tmp_path, "a.jsonl")
    path.write_text(
        path.read_text().replace('{query: "{{ text }}"}', f"\n  query: {sign}\n    ask {{{{ text }}}}")
    )
    if kept is None:
        message = refused(path)
        assert ":6: template.query: the block ends in a line end" in message
        assert f"'{sign}-'" in message
    else:
        assert load_task(path).task.template.query == kept


@pytest.mark.parametrize(
    "name", ["a" * 300 + ".jsonl", "a" * 5000, f"sub/{'b' * 400}/c.csv", "d" * 300 + "*.jsonl"]
)
def test_a_name_that_is_too_long_for_the_system_is_a_file_that_is_not_there(name, tmp_path):
    (tmp_path / "t.yaml").write_text(
        "name: t\nkind: string\ninputs: [text]\ntemplate: {query: '{{ text }}'}\n"
        f"source: {{files: {{test: '{name}'}}}}\n",
        encoding="utf-8",
    )
    with pytest.raises(IclError) as refused:
        load_task(tmp_path / "t.yaml")
    assert "\n" not in str(refused.value)
    assert "t.yaml:5" in str(refused.value)
