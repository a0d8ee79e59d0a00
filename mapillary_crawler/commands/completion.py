"""`scrapy completion`: what a shell needs to complete the command at Tab."""

from __future__ import annotations

import argparse

from mapillary_crawler.collection.outcome import ArgumentRefused
from mapillary_crawler.terminal.command import ProjectCommand
from mapillary_crawler.terminal.program import COMMAND, program_name

_SHELLS = ("bash", "zsh", "fish")


class Command(ProjectCommand):
    """Prints what argcomplete has for a shell, for the command of an installation."""

    usage = "bash|zsh|fish"
    summary = "Print what makes a shell complete what is typed"
    about = (
        f"Prints what makes a shell complete {COMMAND} at Tab: commands, options,\n"
        "arguments and settings, and the names of collections. It takes argcomplete, which an\n"
        "installation with the extra [completion] has."
    )
    epilog = f"""\
Exit codes: 0, 2 for a wrong argument, or without argcomplete.

Examples
========

  eval "$({program_name()} completion bash)"     in ~/.bashrc
  eval "$({program_name()} completion zsh)"      in ~/.zshrc, behind compinit
  {program_name()} completion fish | source      in ~/.config/fish/config.fish
"""

    def main(self, args: list[str], opts: argparse.Namespace) -> None:
        """Print the code."""
        if len(args) != 1 or args[0] not in _SHELLS:
            raise ArgumentRefused(f"say for which shell: {self.typed} {'|'.join(_SHELLS)}")
        try:
            from mapillary_crawler.terminal.completion import shell_code
        except ImportError:
            raise ArgumentRefused(
                "argcomplete is not installed; add it where this program is: pip install "
                "argcomplete, or pipx inject mapillary-crawler argcomplete"
            ) from None
        name = program_name()
        print(shell_code(name if name.startswith(COMMAND) else COMMAND, args[0]))
