"""JPEG XL: what it saves and costs beside WebP, and the crawl beside the machine's limit.

The limit is xargs with as many processes as there are processors, with the same encoder and decoder
over the same files. Run by xargs, it encodes the files that it is given:

    python -m bench.jxl FOLDER FILE…
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from bench import report
from bench.comparison import compare
from bench.measured import run
from bench.places import PROJECT
from bench.tools import Tool, bare
from bench.work import Measurement, Work, measurement
from mapillary_crawler.image import exif, webp, xmp
from mapillary_crawler.sandbox.catalogue import Catalogue

EFFORT = 3
_REAL = PROJECT.parent / "shared" / "data" / "cdn-files"
#: As the crawl tells them, so that all do the same.
_CJXL = f"--lossless_jpeg=1 -e {EFFORT} --num_threads=0 --quiet"
_DJXL = "--num_threads=0 --quiet"
_CAPTURED_AT = 1_700_000_000_000


def savings(images: int) -> None:
    """Print bytes and processor time an image, of real files and of so many of the sandbox's."""
    import pylibjxl  # noqa: PLC0415  optional; the caller has looked for it

    codec = pylibjxl.JXL(threads=1, pool_size=1)
    columns = (
        "files", "images", "as served, KB", "WebP, saved %", "JXL, saved %", "WebP, CPU ms",
        "JXL, CPU ms", "its proof, CPU ms",
    )  # fmt: skip
    rows = []
    for name, bodies in _files(images):
        if not bodies:
            report.line(f"{name}: none here, left out.")
            continue
        described = [_described(body) for body in bodies]
        encoded, webp_time = _timed(
            lambda body: webp.encode_with_pillow(body, quality=75, method=4), described
        )
        made, jxl_time = _timed(lambda body: codec.jpeg_to_jxl(body, effort=EFFORT), described)
        again, proof = _timed(codec.jxl_to_jpeg, made)
        if again != described:
            raise RuntimeError(f"{name}: not all JPEGs come back")
        whole = sum(map(len, described))
        saved = [100 * (1 - sum(map(len, files)) / whole) for files in (encoded, made)]
        rows.append((name, len(bodies), whole / len(bodies) / 1000, *saved,
                     webp_time, jxl_time, proof))  # fmt: skip
    report.table(columns, rows)


def _files(images: int) -> Iterator[tuple[str, list[bytes]]]:
    for quality in ("original", "1024"):
        paths = sorted(_REAL.glob(f"*-{quality}.jpg"))
        yield f"the service's, {quality}", [path.read_bytes() for path in paths]
    catalogue = Catalogue([{"username": "ada", "images": images, "panoramas": 0.2}])
    user = catalogue.user("ada")
    for quality in ("original", "2048", "1024", "256"):
        bodies = [catalogue.body(image, quality) for image in user.images()]
        yield f"the sandbox's, {quality}", bodies


def _described(body: bytes) -> bytes:
    """Return a JPEG with our metadata, as the crawl gives it to the encoder."""
    body = exif.write(body, {"id": "1"}, captured_at=_CAPTURED_AT, username="ada").data
    return xmp.write(body, {"id": "1"}, image_id="1", username="ada", captured_at=_CAPTURED_AT).data


def _timed(work: Callable[[bytes], bytes], bodies: list[bytes]) -> tuple[list[bytes], float]:
    """Return what comes of the bodies, and milliseconds of processor for each."""
    work(bodies[0])  # which sets up what is set up once
    began = time.process_time()
    made = [work(body) for body in bodies]
    return made, (time.process_time() - began) * 1000 / len(bodies)


def limit(kind: str) -> Tool:
    """Return what encodes and decodes with as many processes as processors."""

    def work_it(sandbox: object, work: Work, folder: Path) -> Measurement:
        served, encoded = folder / "served", folder / "encoded"
        for place in (served, encoded):
            place.mkdir()
        bare(sandbox, work, served)  # type: ignore[arg-type]  # fetched first, which is not timed
        xargs = f"ls {served}/*.jpg | xargs -P{os.cpu_count()}"
        if kind == "cjxl":
            script = (
                f'name={encoded}/"$(basename "$1" .jpg)"; cjxl "$1" "$name.jxl" {_CJXL} && '
                f'djxl "$name.jxl" "$name.back.jpg" {_DJXL} 2>/dev/null && '
                'cmp "$1" "$name.back.jpg" && rm "$name.back.jpg"'
            )
            command = f"{xargs} -n1 sh -c '{script}' cjxl"
        else:
            share = -(-work.images // (2 * (os.cpu_count() or 1)))
            command = f"{xargs} -n{share} {sys.executable} -m bench.jxl {encoded}"
        done = run(f"xargs-{kind}", ["sh", "-c", command], os.environ)
        shutil.rmtree(served)
        return measurement(done, encoded, work)

    return work_it


def compare_encoding(work: Work, kind: str, tools: Mapping[str, Tool], rounds: int) -> None:
    """Print the table, and how near the crawl comes to the limit over the same files."""
    found = compare(work, {**tools, f"xargs -P{os.cpu_count()} {kind}": limit(kind)}, rounds)
    ours, theirs = next(iter(found.values())), list(found.values())[-1]
    report.line(
        f"\n{ours['rate'] / theirs['rate']:.2f} of the limit while images come, "
        f"{theirs['wall'] / ours['wall']:.2f} with start and finish; wanted: 0.9."
    )


def kinds() -> list[str]:
    """Return the encoders that are installed."""
    has_library = subprocess.run(
        [sys.executable, "-c", "import pylibjxl"], capture_output=True, check=False
    )
    found = ["pylibjxl"] if has_library.returncode == 0 else []
    return found + ["cjxl"] * bool(shutil.which("cjxl") and shutil.which("djxl"))


def main(folder: str, paths: list[str]) -> None:
    """Encode files into a folder, and decode each again."""
    import pylibjxl  # noqa: PLC0415

    codec = pylibjxl.JXL(threads=1, pool_size=1)
    for path in map(Path, paths):
        body = path.read_bytes()
        made = codec.jpeg_to_jxl(body, effort=EFFORT)
        if codec.jxl_to_jpeg(made) != body:
            raise RuntimeError(f"{path} does not come back")
        Path(folder, f"{path.stem}.jxl").write_bytes(made)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
