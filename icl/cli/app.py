"""The entry point: commands put together, and errors as people want to see them."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Sequence

import typer

from icl.cli import (
    checking,
    data,
    doctor,
    exporting,
    feedback,
    judging,
    listing,
    measuring,
    pages,
    planning,
    previewing,
    provenance,
    reading,
    redteaming,
    results,
    running,
    scaling,
    schemas,
    status,
    studying,
    tuning,
)
from icl.cli.usage import UsageError, usage_line
from icl.errors import IclError

EPILOG = (
    "Example: icl run experiments/quickstart.yaml, then icl show runs/quickstart --query ID. "
    "Data of the built-in tasks come from the hub, or from the folder that ICL_DATA names."
)

app = typer.Typer(
    name="icl",
    help="In-context learning experiments: demonstrations, orders, methods, and whether it matters.",
    epilog=EPILOG,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
running.add_to(app)
checking.add_to(app)
previewing.add_to(app)
reading.add_to(app)
planning.add_to(app)
scaling.add_to(app)
tuning.add_to(app)
results.add_to(app)
status.add_to(app)
provenance.add_to(app)
exporting.add_to(app)
judging.add_to(app)
feedback.add_to(app)
redteaming.add_to(app)
pages.add_to(app)
measuring.add_to(app)
doctor.add_to(app)
listing.add_to(app)
data.add_to(app)
studying.add_to(app)
schemas.add_to(app)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs a command. Exit code 2 with one block on stderr for errors that are the user's to mend,
    130 after Ctrl-C."""
    _log_warnings()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    try:
        try:
            code = app(
                args=None if arguments is None else list(arguments), prog_name="icl", standalone_mode=False
            )
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()  # here and not when Python ends, where nobody could say it in one line
        if code == 130:  # typer's own handling of Ctrl-C, which says nothing
            print("icl: interrupted", file=sys.stderr)
        raise SystemExit(code or 0)
    except UsageError as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            error.show()
        else:
            print(f"icl: error: {usage_line(error)}", file=sys.stderr)
        raise SystemExit(2) from None
    except IclError as error:
        print(f"icl: error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        print("icl: interrupted", file=sys.stderr)
        raise SystemExit(130) from None
    except OSError as error:
        _refused(error)


def _refused(error: OSError) -> None:
    """Ends with one line for what the machine refuses: a file, or the output, which is closed or full."""
    if isinstance(error, BrokenPipeError) or error.filename is None:
        # Nothing more can be written there: what Python still holds would be refused at its end once more.
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
        said = f"the output cannot be written ({error.strerror or error})"
    else:
        said = f"{error.filename}: {error.strerror or error}"
    with contextlib.suppress(OSError, ValueError):
        print(f"icl: error: {said}", file=sys.stderr, flush=True)
    raise SystemExit(2) from None


def _log_warnings() -> None:
    """The handler has the level too: bm25s sets its logger to DEBUG, which passes by the root's."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setLevel(logging.WARNING)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[handler])
