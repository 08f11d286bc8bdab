"""The command `perdure`: arguments in, exit code out.

Here: what can be typed, and how a failure is told at a terminal.
Not here: what the commands do (`perdure.demo`, ...).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from perdure.cli import db, memory
from perdure.version import __version__

__all__ = ["main"]

INTERRUPTED = 130  # 128 + SIGINT, what a shell reports


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0 done, 1 failed with a message, 2 wrong arguments, 130 stopped by Ctrl-C.

    Args:
        arguments: what was typed after `perdure`; None: `sys.argv`.
    """
    # PerdureError lies in a light room; what a command needs is imported when it is known which one it is.
    from perdure.errors import PerdureError

    options = _parser().parse_args(arguments)
    try:
        return options.run(options)
    except KeyboardInterrupt:
        # The line that was being drawn ends here; a second Ctrl-C can't meet a half-written one.
        print("\nStopped. What was done is saved; the same command goes on from there.", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # `| head` has seen enough
        sys.stdout = None
        return 1
    except (PerdureError, ValueError, OSError) as error:
        print(f"perdure: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="perdure", description="Memory that outlives the thread.")
    parser.add_argument("--version", action="version", version=f"perdure {__version__}")
    commands = parser.add_subparsers(required=True, metavar="command")
    demo = commands.add_parser(
        "demo",
        help="listen to Hamlet: a scene is a thread, a character is a user",
        description="Listens to Hamlet, speech by speech: a scene is a thread, a character is a user, and before each "
        "speech it recalls what that character said in earlier scenes that fits it. Run it again: all is done, nothing is "
        "doubled. Run it twice at once: the two hear the scenes between them, and if one is killed the other goes on.",
    )
    demo.add_argument(
        "--db",
        default="hamlet.db",
        metavar="FILE|URL",
        help="a file, or e.g. postgresql://...; default: hamlet.db",
    )
    demo.add_argument("--scenes", type=_count, metavar="N", help="only the first N scenes")
    demo.add_argument(
        "--crash-at", type=_count, metavar="N", help="kill this process at its N-th commit (SIGKILL)"
    )
    demo.add_argument(
        "--ask", type=_question, metavar="QUESTION", help="then show what was said that fits this best"
    )
    demo.add_argument("--quiet", action="store_true", help="no progress bar, and one line at the end")
    demo.add_argument("--json", action="store_true", help="the summary, or the answers, as one JSON object")
    demo.set_defaults(run=_demo)
    memory.add_to(commands)
    db.add_to(commands)
    return parser


def _demo(options: argparse.Namespace) -> int:
    from perdure.demo import asking, report, run

    scenes: int | None = options.scenes
    with report.Progress(shown=not options.quiet and sys.stderr.isatty()) as progress:
        if options.ask is not None:
            question: str = options.ask
            answers = asking.ask(
                options.db,
                question,
                scenes=scenes,
                crash_at=options.crash_at,
                on_speech=progress.update,
            )
            tell = report.answers_as_json if options.json else report.answers_as_text
            said = tell(question, answers)
        else:
            summary = run.listen(
                options.db, scenes=scenes, crash_at=options.crash_at, on_speech=progress.update
            )
            said = report.as_json(summary) if options.json else report.as_text(summary, short=options.quiet)
    print(said)
    return 0


def _question(text: str) -> str:
    if not any(letter.isalnum() for letter in text):
        raise argparse.ArgumentTypeError(f"{text!r} is an empty question: there is no word in it")
    return text


def _count(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return number
