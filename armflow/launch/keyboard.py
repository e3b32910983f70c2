"""Playing by hand in a terminal: keys, what they mean for the arm, and a picture made of letters."""

import os
import select
import sys
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import numpy as np

from armflow.robot.errors import StackError

__all__ = ["HELP", "Keys", "NoTerminalError", "Steering", "TerminalKeys", "open_terminal", "picture_text"]

HELP = """keys: w/s or up/down  forth and back      a/d or left/right  left and right
      r/f  up and down (play table)       space  open or close the hand (play table)
      enter  keep this episode and begin the next    x  throw it away    q  end"""
SEQUENCES = {b"\x1b[A": "w", b"\x1b[B": "s", b"\x1b[C": "d", b"\x1b[D": "a"}  # arrows; world x is forth, y is left
WAYS = {"w": (1, 0, 0), "s": (-1, 0, 0), "a": (0, 1, 0), "d": (0, -1, 0), "r": (0, 0, 1), "f": (0, 0, -1)}
HOLD = 4  # actions for which a key counts; a held key repeats faster than that
SHARE = 0.6  # of full speed
SHIFT = 0.015  # m an action, of the pusher


class NoTerminalError(StackError):
    """There is nobody at a keyboard."""


class Keys(Protocol):
    """Where keys come from."""

    def pressed(self) -> list[str]:
        """Return the keys since the last call: single letters, " " or "enter"."""
        ...


class TerminalKeys:
    """Keys of the terminal that the program was started in; opened by `open_terminal`."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def pressed(self) -> list[str]:
        """Read without waiting."""
        data = b""
        while select.select([self._descriptor], [], [], 0)[0] and (part := os.read(self._descriptor, 1024)):
            data += part
        return list(_letters(data))


def _letters(data: bytes) -> Iterator[str]:
    while data:
        sequence = next((known for known in SEQUENCES if data.startswith(known)), None)
        if sequence is not None:
            yield SEQUENCES[sequence]
            data = data[len(sequence) :]
        else:
            yield {b"\n": "enter", b"\r": "enter"}.get(data[:1], data[:1].decode(errors="replace").lower())
            data = data[1:]


@contextmanager
def open_terminal() -> Iterator[TerminalKeys]:
    """Take keys as they are pressed, and give the terminal back as it was.

    Raises:
        NoTerminalError: The program's input is no terminal.
    """
    if not sys.stdin.isatty():
        raise NoTerminalError("--source keyboard needs a terminal to read keys from; use --source scripted without one")
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    try:
        tty.setcbreak(descriptor)
        yield TerminalKeys(descriptor)
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


class Steering:
    """Turns keys into actions.

    Attributes:
        command: "enter", "x" or "q" when one was pressed since the last action, else "".
    """

    def __init__(self, task: str) -> None:
        """Steer the arm of "BlockPush" or "PlayTable"."""
        self._task = task
        self.reset()

    def reset(self) -> None:
        """Let all keys go and open the hand."""
        self.command = ""
        self._way, self._left, self._grip = np.zeros(3), 0, 1.0

    def action(self, keys: list[str]) -> np.ndarray:
        """Return the next action after these keys were pressed: [2] shift in m, or [4] for the play table."""
        self.command = ""
        for key in keys:
            if key in WAYS:
                self._way, self._left = np.array(WAYS[key], float), HOLD
            elif key == " ":
                self._grip = -self._grip
            elif key in ("enter", "x", "q"):
                self.command = key
        way = self._way if self._left > 0 else np.zeros(3)
        self._left -= 1
        if self._task == "BlockPush":
            return (SHIFT * way[:2]).astype(np.float32)
        return np.append(SHARE * way, self._grip).astype(np.float32)


def picture_text(rgb: np.ndarray) -> str:
    """Draw a picture [H, W, 3] with half blocks in 24-bit colour, two rows of pixels a line."""
    rows = []
    for top, bottom in zip(rgb[0::2], rgb[1::2], strict=False):
        cells = (
            f"\x1b[38;2;{a[0]};{a[1]};{a[2]}m\x1b[48;2;{b[0]};{b[1]};{b[2]}m▀" for a, b in zip(top, bottom, strict=True)
        )
        rows.append("".join(cells) + "\x1b[0m")
    return "\n".join(rows)
