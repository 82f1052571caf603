"""The ``mien`` command: its subcommands put together, and its errors in one line."""

from __future__ import annotations

import errno
import inspect
import signal
import sys
import warnings
from types import ModuleType
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from mien import __version__
from mien.commands import (
    atlas,
    batch,
    compare,
    compare_groups,
    data,
    evaluate,
    explain,
    export,
    judge,
    models,
    predict,
    recipes,
    serve,
    train,
    video,
    webcam,
)
from mien.commands.registered import NamingCommand
from mien.commands.terminal import err, fail, warn
from mien.types import MienError

#: Commands and groups by the panel of the help in which they stand, in its order.
PANELS: dict[str, tuple[Any, ...]] = {
    "Use": (
        predict.predict,
        explain.explain,
        video.video,
        webcam.webcam,
        batch.batch,
    ),
    "Compare": (compare_groups.compare_groups,),
    "Explain a model": (judge.judge, atlas.atlas),
    "Data": (data,),
    "Train": (train.train, recipes.recipes, evaluate.evaluate, compare.compare, export.export),
    "Serve": (serve.serve, models),
}
EXAMPLES = """Examples:

mien explain photo.jpg

mien predict photos/ -o faces.csv

mien video clip.mp4 -o annotated.mp4 --summary summary/

mien train gimefive/fer2013-15 --smoke -o trial"""


STOPPED = 130  # exit code of work that Control-C ended


class InOrder(TyperGroup):
    """Commands and groups in the order of the panels; Typer would list groups last."""

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]  # Typer's context is Click's
        """The names, as the help lists them."""
        del ctx
        order = [_name(entry) for entries in PANELS.values() for entry in entries]
        return sorted(self.commands, key=order.index)


def _name(entry: object) -> str:
    """The word by which a function, or a module with a group of commands, is called."""
    return str(getattr(entry, "__name__", "")).rpartition(".")[2].replace("_", "-")


app = typer.Typer(
    cls=InOrder,
    name="mien",
    help="Recognise facial expressions in photos and show the evidence for each answer.",
    epilog=EXAMPLES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _panel, _entries in PANELS.items():
    for _entry in _entries:
        if isinstance(_entry, ModuleType):
            app.add_typer(_entry.app, name=_name(_entry), rich_help_panel=_panel)
        else:
            app.command(rich_help_panel=_panel)(_entry)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(__version__)
        raise typer.Exit


@app.callback()
def common(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version.", is_eager=True, callback=_show_version),
    ] = False,
) -> None:
    """Options that every command shares."""


def _flow(group: typer.Typer) -> None:
    """Let the terminal break the lines of help: typer keeps those of the source."""
    for command in group.registered_commands:
        command.cls = NamingCommand
        text = inspect.cleandoc(command.help or getattr(command.callback, "__doc__", "") or "")
        command.help = "\n\n".join(" ".join(part.split()) for part in text.split("\n\n"))
    for inner in group.registered_groups:
        if inner.typer_instance is not None:
            _flow(inner.typer_instance)


_flow(app)


FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


def _heed_no_more() -> None:
    """A further Control-C must not end the process otherwise than what was said of it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _explain_usage(error: Any) -> None:
    """What Click has against the command line, in one line; without a command, the help."""
    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()
        return
    said = " ".join(error.format_message().split()).rstrip(".").replace("Value error, ", "")
    context = getattr(error, "ctx", None)
    where = context.command_path if context is not None else "mien"
    fail(f"{said[:1].lower()}{said[1:]}; see {where} --help")


def main() -> None:
    """Run the command; errors that Mien can explain are one line and no traceback."""
    warnings.showwarning = lambda message, *_, **__: warn(str(message))
    if "--debug" in sys.argv[1:]:
        sys.argv = [arg for arg in sys.argv if arg != "--debug"]  # wherever it stands
        app()
        return
    try:
        code = app(standalone_mode=False, prog_name="mien")
        sys.stdout.flush()  # a full disk is reported here, and not while Python ends
        sys.exit(code if isinstance(code, int) else 0)
    except MienError as error:
        fail(str(error))
        sys.exit(2)
    except KeyboardInterrupt:
        _heed_no_more()
        err.print("stopped")
        sys.exit(STOPPED)
    except SystemExit as end:
        if end.code == STOPPED:
            _heed_no_more()
        raise
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output has left: nothing more to say
        sys.exit(0)
    except Exception as error:
        if hasattr(error, "format_message"):
            _explain_usage(error)
            sys.exit(2)
        if isinstance(error, OSError) and error.errno in FULL:
            where = f"{error.filename}: " if error.filename else ""
            fail(f"{where}cannot be written ({error.strerror}); make room, and run it again")
            sys.exit(2)
        fail(
            f"Mien failed unexpectedly ({type(error).__name__}: {error}); "
            "run again with --debug and report what it shows"
        )
        sys.exit(3)


if __name__ == "__main__":
    main()
