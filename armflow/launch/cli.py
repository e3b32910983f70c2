"""The command line: `armflow COMMAND`; each command is one file of this package."""

import contextlib
import dataclasses
import importlib
import io
import os
import re
import sys
from collections.abc import Sequence
from typing import Any, Protocol

from armflow import __version__
from armflow.robot.errors import StackError

__all__ = ["COMMANDS", "main", "one_line", "parse"]

# Command -> module and class. Modules define options only; what is heavy is imported when a command runs.
COMMANDS = {
    "doctor": ("armflow.launch.doctor", "Doctor"),
    "demo": ("armflow.launch.demo", "Demo"),
    "sim": ("armflow.launch.sim", "Sim"),
    "eval": ("armflow.launch.evaluate", "Evaluate"),
    "play": ("armflow.launch.play", "Play"),
    "train": ("armflow.launch.train", "Train"),
    "predict": ("armflow.launch.predict", "Predict"),
    "twin": ("armflow.launch.twin", "Twin"),
    "track": ("armflow.launch.track", "Track"),
    "data": ("armflow.launch.data", "Data"),
    "perceive": ("armflow.launch.perceive", "Perceive"),
    "bench": ("armflow.launch.bench", "Bench"),
    "new-arm": ("armflow.launch.new_arm", "NewArm"),
}
INTERRUPTED = 130  # 128 + SIGINT, what a shell expects after Ctrl-C
REFUSED = 2
UNREAD = 141  # 128 + SIGPIPE


class Command(Protocol):
    """The options of one command, and what it does."""

    def run(self) -> int:
        """Do it and return the exit code."""
        ...


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; a refusal is one line on stderr and exit code 2."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    if arguments in (["--version"], ["-V"]):
        print(f"armflow {__version__}")
        return 0
    try:
        return parse(arguments).run()
    except StackError as error:
        print(f"armflow: {error}", file=sys.stderr)
        return REFUSED
    except KeyboardInterrupt:
        print("armflow: stopped", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # whoever read the output has gone, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return UNREAD


def parse(arguments: Sequence[str]) -> Command:
    """Turn words into the options of one command.

    Raises:
        SystemExit: After help was printed (0), or after one line that says what is wrong (2).
    """
    from tyro.conf import FlagCreatePairsOff
    from tyro.extras import subcommand_cli_from_dict

    classes = {name: _load(name) for name in COMMANDS}
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            return subcommand_cli_from_dict(
                classes,
                prog="armflow",
                description="RGB-D in, checked arm motion out.",
                args=arguments,
                config=(FlagCreatePairsOff,),
            )
    except SystemExit as end:
        if end.code:
            print(f"armflow: {one_line(complaint.getvalue(), arguments)}", file=sys.stderr)
        raise


def _load(name: str) -> type[Command]:
    module, attribute = COMMANDS[name]
    return getattr(importlib.import_module(module), attribute)


def one_line(complaint: str, arguments: Sequence[str]) -> str:
    """Shorten the parser's boxed message to one line that ends with the choices."""
    rows = [line.strip("│ \t") for line in complaint.splitlines()]
    parts = [
        part for part in re.split(r"^(?:[─╭╰]|-+(?![-a-z])).*$", "\n".join(rows), flags=re.MULTILINE) if part.strip()
    ]
    # The title is in the frame, or in a part of its own where the terminal has no characters for frames.
    body = parts[0 if "╭" in complaint else 1 : 2]
    message = " ".join(body[0].split()) if body else "wrong arguments"
    if message.startswith("Unrecognized options"):
        choices = _choices(arguments)
        message += f"; choose from {', '.join(choices)}" if choices else f"; {arguments[0]} takes none"
    return message[0].lower() + message[1:]


def _choices(arguments: Sequence[str]) -> list[str]:
    if not arguments or arguments[0] not in COMMANDS:
        return list(COMMANDS)
    command: Any = _load(arguments[0])
    parts: dict[str, Any] = getattr(command, "PARTS", {})  # commands of the command
    if parts and (len(arguments) < 2 or arguments[1] not in parts):
        return list(parts)
    fields = dataclasses.fields(parts[arguments[1]] if parts else command)
    return [f"--{field.name.replace('_', '-')}" for field in fields]


if __name__ == "__main__":
    sys.exit(main())
