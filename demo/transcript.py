"""Output of the demo: headings, explanations, commands and their output."""

import sys
import textwrap
import time
from typing import Final

_WIDTH: Final = 100


class Transcript:
    """Prints to standard output; bold and dim only on a terminal."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._colour = sys.stdout.isatty()

    def heading(self, title: str) -> None:
        """Print a heading with the time since the beginning (minutes:seconds)."""
        minutes, seconds = divmod(int(time.monotonic() - self._started), 60)
        rule = "─" * max(0, _WIDTH - len(title) - 12)
        print(f"\n{self._styled('1', title)} {self._styled('2', f'{rule} {minutes}:{seconds:02d}')}\n", flush=True)

    def text(self, text: str) -> None:
        """Print a paragraph."""
        print(textwrap.fill(" ".join(text.split()), _WIDTH), flush=True)

    def command(self, command: str) -> None:
        """Print a command as it would be typed in a shell."""
        print(self._styled("1;36", f"$ {command}"), flush=True)

    def output(self, output: str) -> None:
        """Print the output of a command, indented."""
        print(textwrap.indent(output.rstrip("\n"), "  "), flush=True)

    def _styled(self, code: str, text: str) -> str:
        return f"\033[{code}m{text}\033[0m" if self._colour else text
