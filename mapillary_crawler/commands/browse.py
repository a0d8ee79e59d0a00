"""`scrapy browse`: look at collections in a browser on this machine."""

from __future__ import annotations

import argparse
import asyncio
import errno
import os
import socket
import sys
import webbrowser
from contextlib import ExitStack, suppress
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

from mapillary_crawler.archive.internet_archive.options import DEFAULTS, read_options
from mapillary_crawler.collection import descent
from mapillary_crawler.collection.layout import LEDGER_PATH, METADATA
from mapillary_crawler.collection.names import user_and_quality
from mapillary_crawler.collection.outcome import ArgumentRefused, Outcome, Refused
from mapillary_crawler.collection.places import Places
from mapillary_crawler.terminal.command import ProjectCommand, add_quality, quality_of
from mapillary_crawler.terminal.program import program_name

if TYPE_CHECKING:
    from mapillary_crawler.archive.browse.handlers import Viewer
    from mapillary_crawler.archive.internet_archive.ranges import Ranges

#: The port where none is given, how many are tried where it is taken, and the end of all.
_PORT, _PORTS, _END = 8000, 100, 1 << 16
#: Seconds that archive.org may be away while somebody waits for a picture.
_PATIENCE = 20.0


class Command(ProjectCommand):
    """Serves on 127.0.0.1 until Ctrl-C; collections are read, never written into."""

    default_settings = DEFAULTS
    usage = "[COLLECTION] [--port N] [--no-browser] [--to FOLDER] [-a quality=QUALITY]"
    summary = "Look at collections in the browser: map, time, images"
    about = (
        "Shows a collection, or all of the store, in the browser: tracks and images on a map, by\n"
        "day, sequence and camera, panoramas, and what to download. Images are read straight out\n"
        "of the tars. COLLECTION is a folder, or the name of one in the store or in staging, or a\n"
        "user's name, with -a quality= where several fit; of a folder of collections, such as a\n"
        "disk, all are shown. Nothing leaves this machine, nobody else can look. Ctrl-C ends it."
    )
    epilog = f"""\
Exit codes: 0 ended by Ctrl-C, 1 unexpected error, 2 wrong argument, 6 disk full, 8 no collection.

Examples
========

  {program_name()} browse
  {program_name()} browse alice --to ~/pictures
  {program_name()} browse /media/usb
  {program_name()} browse /media/usb/mapillary-alice-original --port 9000 --no-browser
"""

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """Add the options of the command."""
        super().add_options(parser)
        add_quality(parser)
        parser.add_argument(
            "--port", type=int, metavar="N",
            help=f"port to listen on (default {_PORT}); where it is taken, the next free one",
        )  # fmt: skip
        parser.add_argument(
            "--no-browser", action="store_true", help="only print the address, open nothing"
        )
        parser.add_argument(
            "--to", metavar="FOLDER", help="a folder that the viewer may save images into"
        )

    def main(self, args: list[str], opts: argparse.Namespace) -> None:
        """Serve until Ctrl-C."""
        from mapillary_crawler.archive.browse.handlers import Viewer
        from mapillary_crawler.archive.browse.indexing import cache_folder, clear_old
        from mapillary_crawler.archive.browse.pictures import Pictures
        from mapillary_crawler.archive.browse.saving import Saving
        from mapillary_crawler.archive.browse.shelf import Shelf
        from mapillary_crawler.archive.browse.static import Static
        from mapillary_crawler.image.jxl_codec import Decoder

        if len(args) > 1:
            raise ArgumentRefused(f"one collection, or none for all: {self.typed} {self.usage}")
        folders = self._folders(args, opts)
        saving = None
        if opts.to is not None:
            saving = Saving(self._target(opts.to, folders), self._ranges)
        cache = cache_folder()
        clear_old(cache)
        with suppress(KeyboardInterrupt), ExitStack() as stack:
            listening = stack.enter_context(self._listen(opts.port))
            shelf = Shelf(folders, cache, self.say)
            stack.callback(shelf.close)
            if args and len(folders) == 1:
                for each in shelf:
                    each.index(fresh=True)
            decoder = stack.enter_context(Decoder())
            viewer = Viewer(shelf, Pictures(decoder, self._ranges), Static(), saving)
            asyncio.run(_serve(viewer, listening, opens=not opts.no_browser))

    def _folders(self, args: list[str], opts: argparse.Namespace) -> list[Path]:
        places = self.places()
        quality = quality_of(opts)
        if args:
            folder = places.find(args[0], quality)
            return [folder] if _is_collection(folder) else _below(folder, quality) or [folder]
        folders = _below(places.store, quality)
        if not folders:
            raise Refused(
                Outcome.NO_IMAGES,
                f"there is no finished collection in {places.store}; name the folder of one, or "
                f"one that has some: {self.typed} FOLDER",
            )
        return folders

    def _target(self, to: str, folders: list[Path]) -> Path:
        """Return the folder to save into; raises `ArgumentRefused`."""
        target = Path(to).expanduser().absolute()
        if not to or (target.exists() and not target.is_dir()):
            raise ArgumentRefused(f"--to {to!r} is no folder")
        for folder in folders:  # each is saved into a folder of its name
            self.places().require_outside(target / folder.name, folder)
        return target

    def _listen(self, port: int | None) -> socket.socket:
        """Return a socket that listens here alone; where the port is taken, the next free one.

        Raises `ArgumentRefused`.
        """
        first = _PORT if port is None else port
        if not 0 <= first < _END:
            raise ArgumentRefused(f"--port {first} cannot be: 0 to {_END - 1}")
        for each in range(first, min(first + _PORTS, _END)) if first else [0]:
            try:
                listening = socket.create_server(("127.0.0.1", each))
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    continue
                raise ArgumentRefused(f"cannot listen on port {each}: {error.strerror}") from None
            if each != first:
                self.say(f"port {first} is in use: this is port {each}")
            return listening
        raise ArgumentRefused(f"ports {first} to {each} are in use; --port 0 takes a free one")

    def _ranges(self) -> Ranges:
        from mapillary_crawler.archive.internet_archive.ranges import Ranges

        options = read_options(self.given_settings)
        return Ranges(
            options.url,
            wait=options.retry_wait,
            patience=min(options.patience, _PATIENCE),
            timeout=min(options.timeout, _PATIENCE),
            say=self.say,
        )


def _is_collection(folder: Path) -> bool:
    return any(descent.is_file(folder, name) for name in (str(LEDGER_PATH), METADATA))


def _below(folder: Path, quality: str | None) -> list[Path]:
    """Return the collections in a folder: the store, or a disk from elsewhere."""
    found = dict.fromkeys(Places(folder, folder).all())
    return [each for each in found if quality in (None, _quality(each))]


def _quality(folder: Path) -> str | None:
    parts = user_and_quality(folder.name)
    return parts[1] if parts else None


def _has_screen() -> bool:
    """Say whether a browser can have a window: one for terminals would take this one over."""
    named = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
    return sys.platform == "darwin" or any(map(os.environ.get, named))


async def _serve(viewer: Viewer, listening: socket.socket, *, opens: bool) -> None:
    from mapillary_crawler.archive.browse.server import serving

    async with serving(viewer, listening) as address:
        print("The viewer is at this address, for you alone; Ctrl-C ends it:")
        print(address, flush=True)
        if opens and _has_screen():
            Thread(target=webbrowser.open, args=[address], daemon=True).start()
        await asyncio.Event().wait()
