"""The command `mapillary-crawler`, also as `python -m mapillary_crawler`.

It has the commands and options that `scrapy` has in the checkout, in any folder: no `scrapy.cfg`
is looked for, so that another project's does not take over.
"""

from __future__ import annotations

import os


def main() -> None:
    """Run what the command line says; ends the process."""
    os.environ["SCRAPY_SETTINGS_MODULE"] = f"{__package__}.settings"
    if "_ARGCOMPLETE" in os.environ:  # the shell asks what could come next
        from mapillary_crawler.terminal.completion import complete

        complete()
    from mapillary_crawler.terminal.command_line import run

    run()


if __name__ == "__main__":
    main()
