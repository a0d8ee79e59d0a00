"""What is to be done in a comparison, and what a tool needed for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench.measured import Run


@dataclass(frozen=True)
class Work:
    """So many images of a quality, from a CDN and an API that take so many milliseconds.

    Half of the sandbox's JPEGs are progressive, as those of the real service seem to be: four times
    as costly to decode. With `baseline` none is.
    """

    images: int
    quality: str
    latency: int
    webp: bool = False
    baseline: bool = False
    jxl: bool = False

    @property
    def faults(self) -> dict[str, dict[str, float]]:
        """The sandbox's faults for it: a page costs ten times what an image does."""
        return {"cdn": {"latency_ms": self.latency}, "api": {"latency_ms": 10 * self.latency}}

    def __str__(self) -> str:
        kind = "baseline JPEG" if self.baseline else "JPEG"
        kind = "WebP" if self.webp else "JPEG XL" if self.jxl else kind
        return f"{self.images} images, {self.quality} px, {kind}, latency {self.latency} ms"


@dataclass(frozen=True)
class Measurement:
    """A tool's run on some work: the run itself and the times at which images were saved."""

    run: Run
    images: int
    first: float
    last: float

    @property
    def start(self) -> float:
        """Seconds until the first image was saved."""
        return self.first - self.run.began

    @property
    def finish(self) -> float:
        """Seconds from the last saved image to the end."""
        return self.run.ended - self.last

    @property
    def rate(self) -> float:
        """Images a second from the first to the last saved one."""
        return (self.images - 1) / max(self.last - self.first, 1e-9)

    @property
    def cpu(self) -> float:
        """Seconds of processor for 1,000 images, start and finish included."""
        return self.run.cpu / self.images * 1000


def measurement(run: Run, folder: Path, work: Work) -> Measurement:
    """Read from the files' own times when images were saved; raises where some are missing."""
    saved = sorted(path.stat().st_ctime for path in _pictures(folder))
    if len(saved) != work.images:
        raise RuntimeError(f"{len(saved)} of {work.images} images in {folder}; see {run.log}")
    return Measurement(run, len(saved), saved[0], saved[-1])


def _pictures(folder: Path) -> Iterator[Path]:
    return (
        path
        for path in folder.rglob("*")
        if path.suffix in {".jpg", ".webp", ".jxl"} and not path.name.startswith("__")
    )


def medians(measurements: list[Measurement]) -> dict[str, float]:
    """Return the medians of what is reported."""
    return {
        "rate": median(each.rate for each in measurements),
        "wall": median(each.run.wall for each in measurements),
        "start": median(each.start for each in measurements),
        "finish": median(each.finish for each in measurements),
        "cpu": median(each.cpu for each in measurements),
        "memory": median(each.run.memory for each in measurements),
    }
