"""How the story is told: what is typed, what is seen, how long it took."""

import sys
import textwrap
import time
from typing import Final

_WIDTH: Final = 110


class Narrator:
    """Prints chapters, sentences and the output of commands; bold and dim only on a terminal."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._colour = sys.stdout.isatty()

    def chapter(self, title: str) -> None:
        """A heading with the time since the beginning."""
        minutes, seconds = divmod(int(time.monotonic() - self._started), 60)
        rule = "─" * max(0, _WIDTH - len(title) - 12)
        print(f"\n{self._styled('1', title)} {self._styled('2', f'{rule} {minutes}:{seconds:02d}')}\n", flush=True)

    def say(self, text: str) -> None:
        """A paragraph."""
        print(textwrap.fill(" ".join(text.split()), _WIDTH), flush=True)

    def typed(self, command: str) -> None:
        """A command as a person would type it."""
        print(self._styled("1;36", f"$ {command}"), flush=True)

    def seen(self, output: str) -> None:
        """What the command printed."""
        print(textwrap.indent(output.rstrip("\n"), "  "), flush=True)

    def _styled(self, code: str, text: str) -> str:
        return f"\033[{code}m{text}\033[0m" if self._colour else text
