"""Files of a hub repository, read as files are.

`datasets` says which files make up a split and what the repository declares (names of integer classes, the
delimiter); icl reads them. Its own reading guesses types over all rows: a date in JSON lines becomes a time,
"007" beside a number 7, "NA" in a CSV nothing.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from icl.errors import DataError
from icl.tasks.readers.contents import suffixes
from icl.tasks.readers.files import FORMATS, read_table
from icl.tasks.readers.local import MIRROR_VARIABLE
from icl.tasks.rows import Format, Table
from icl.tasks.schema import HubSource
from icl.tasks.values import first_line, names

IRRELEVANT = frozenset(
    [
        "name", "version", "data_dir", "data_files", "description", "features",  # no setting of a reader
        "field", "sep", "delimiter",  # followed
        "block_size", "chunksize", "use_threads", "batch_size", "columns", "low_memory", "memory_map",
        "verbose", "na_values", "keep_default_na", "na_filter", "float_precision", "on_mixed_types",
        "parse_agent_traces", "encoding_errors", "on_bad_files", "newlines_in_values",
    ]
)  # fmt: skip
"""Settings of a repository's configuration that change no row that icl reads."""


@dataclass(frozen=True, slots=True)
class Split:
    """Where the rows of one split are."""

    files: Sequence[Path]
    form: Format
    class_names: dict[str, Sequence[str]]
    place: str
    """The repository at its commit, or the folder."""


def read_hub(source: HubSource, split: str, task: str, form: Format) -> tuple[Table, str]:
    """One split of a hub data set with the names of its integer classes, and the place it was read from.

    Raises DataError, telling how to do without the hub, when it cannot be had; naming the file and line
    when a file of it cannot be read.
    """
    part = source.name or source.folder
    name = f"{source.path}{f' ({part})' if part else ''}"
    try:
        found = fetch_hub(source, split)
    except DataError as error:
        raise DataError(f"task {task!r}: split {split!r} of {name}: {error}") from error
    except Exception as error:  # datasets and the hub client raise errors of a dozen unrelated classes
        why = f"{type(error).__name__}: {first_line(str(error))}"
        if os.path.isdir(source.path):
            raise DataError(f"task {task!r}: split {split!r} of the folder {name}: {why}") from error
        root = os.environ.get(MIRROR_VARIABLE)
        state = f"set to {root!r}, which has no folder {task!r}" if root else "not set"
        raise DataError(
            f"task {task!r}: split {split!r} of {name} could not be loaded from the hub "
            f"({why}). Without the hub, set {MIRROR_VARIABLE} "
            f"to a folder that holds {task}/train.jsonl and {task}/test.jsonl (now {state}), or "
            "write a task file whose source is 'files'."
        ) from error
    given = {key: value for key in ("key", "quotes") if (value := getattr(form, key)) is not None}
    table = read_table(found.files, replace(found.form, **given))
    return replace(table, class_names={**table.class_names, **found.class_names}), found.place


def fetch_hub(source: HubSource, split: str) -> Split:
    """The files of one split, downloaded unless they are in the user's cache.

    Without a connection the copy in the hub's cache is taken: what an earlier run downloaded.
    """
    if os.path.isdir(source.path):
        return _located(_builder(source.path, source), split, f"folder {source.path}")
    import huggingface_hub

    try:
        builder = _builder(source.path, source)
        if (
            builder.config.data_files is None
        ):  # what datasets kept of an earlier session: tables, not the files
            raise ConnectionError("no connection to the hub")
    except Exception:
        kept = _kept(source)
        if not kept:
            raise
        return _located(_builder(kept, source), split, f"hub {source.path} at {Path(kept).name}")
    found = _located(builder, split, f"hub {source.path}")
    with contextlib.suppress(
        Exception
    ):  # so that the cache knows without a connection which commit was meant
        huggingface_hub.hf_hub_download(
            source.path, "README.md", repo_type="dataset", revision=source.revision
        )
    return found


def _kept(source: HubSource) -> str:
    """The folder of what was downloaded earlier; empty where nothing was."""
    import huggingface_hub

    try:
        folder: str = huggingface_hub.snapshot_download(
            source.path, repo_type="dataset", revision=source.revision, local_files_only=True
        )
    except Exception:
        return ""
    return folder


def _builder(path: str, source: HubSource) -> Any:
    """What `datasets` knows of a repository or, in a folder, of its files; it reads no rows here."""
    from datasets import load_dataset_builder

    revision = source.revision if path == source.path and not os.path.isdir(path) else None
    return load_dataset_builder(path, source.name, data_dir=source.folder, revision=revision)


def _located(builder: Any, split: str, place: str) -> Split:
    files = {str(key): list(value) for key, value in (builder.config.data_files or {}).items()}
    if split not in files:
        raise DataError(f"there is no such split; it has: {names(files)}")
    paths, commits = [], set()
    for name in files[split]:
        path, commit = _on_disk(name)
        paths.append(path)
        commits |= {commit} if commit else set()
    place += f" at {', '.join(sorted(commits))}" if commits else ""
    return Split(paths, _form(builder), _class_names(builder.info.features), place)


def _on_disk(name: str) -> tuple[Path, str]:
    """A file of a split, downloaded if it lies on the hub, and the commit that it is from."""
    if "://" not in name:
        return Path(name), ""
    if not name.startswith("hf://"):
        raise DataError(f"its file {name} lies neither on the hub nor on this machine")
    import huggingface_hub

    where = huggingface_hub.HfFileSystem().resolve_path(name)
    if suffixes(where.path_in_repo)[0] not in FORMATS:
        raise DataError(f"its file {where.path_in_repo} is of a format that icl does not read")
    got = huggingface_hub.hf_hub_download(
        where.repo_id, where.path_in_repo, repo_type="dataset", revision=where.revision
    )
    return Path(got), where.revision


def _form(builder: Any) -> Format:
    """What the repository's configuration says about its files. DataError for what icl would not do."""
    config, default = builder.config, type(builder.config)()
    delimiter = getattr(config, "sep", ",")
    for setting in fields(config):
        if setting.name in IRRELEVANT:
            continue
        if getattr(config, setting.name) == getattr(default, setting.name):
            continue
        raise DataError(
            f"its configuration sets {setting.name!r} for the reader of datasets, which icl does not follow; "
            "download the files and name them under 'files'"
        )
    return Format(key=getattr(config, "field", None), delimiter=None if delimiter == "," else delimiter)


def _class_names(features: Any) -> dict[str, Sequence[str]]:
    return {column: kind.names for column, kind in (features or {}).items() if getattr(kind, "names", None)}
