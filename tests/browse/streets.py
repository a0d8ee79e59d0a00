"""Pictures of a street that is nowhere, for documentation: rays into a few planes and balls.

The sandbox takes them as its photographs, so that what docs/ shows of the viewer are streets, and
nobody's. `python -m tests.browse.viewer_pictures` makes them anew each time.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Array = NDArray[np.float64]
#: Metres: the eye above the road, the middle of the street to a kerb and to the houses.
_EYE, _KERB, _WALL = 2.1, 3.4, 7.0
_HAZE = np.array([0.80, 0.86, 0.91])
_PLASTER = np.array(
    [[0.91, 0.79, 0.52], [0.82, 0.52, 0.38], [0.92, 0.88, 0.80], [0.70, 0.76, 0.72],
     [0.86, 0.66, 0.58], [0.74, 0.62, 0.48], [0.95, 0.93, 0.88]]
)  # fmt: skip
_ROOF = np.array([0.50, 0.25, 0.19])
#: Trees: sideways, ahead, height of the crown's middle, its radius.
_TREES = [(-5.0, 11.0, 4.6, 2.0), (5.2, 19.0, 4.4, 1.9), (-5.1, 27.0, 4.8, 2.2),
          (5.1, 38.0, 4.5, 2.1), (-5.0, 52.0, 4.7, 2.2), (5.0, -9.0, 4.5, 2.0),
          (-5.1, -20.0, 4.6, 2.1)]  # fmt: skip
_NOISE = np.random.default_rng(7).random((256, 256))


def write(folder: Path, photographs: int = 8) -> None:
    """Write some photographs along the street, and a panorama; takes a minute."""
    for number in range(photographs):
        turn = float(np.radians(6 * _noise(number * 17.0, 3.0) - 3))
        _save(_perspective(1280, 960, turn), 1.6 * number, folder / f"street-{number}.jpg")
    _save(_sphere(2560, 1280), 0.0, folder / "sphere.jpg")


def _save(rays: Array, along: float, path: Path) -> None:
    pixels = np.clip(_painted(rays, along), 0, 1) ** (1 / 1.15)
    Image.fromarray((pixels * 255).astype(np.uint8)).save(path, quality=88)


def _perspective(width: int, height: int, turn: float) -> Array:
    x, y = np.meshgrid(np.linspace(-1, 1, width), np.linspace(1, -1, height) * height / width)
    x, y, z = x * 0.9, y * 0.9 + 0.03, np.ones_like(x)
    x, z = x * np.cos(turn) + z * np.sin(turn), z * np.cos(turn) - x * np.sin(turn)
    return _unit(np.stack([x, y, z], axis=-1))


def _sphere(width: int, height: int) -> Array:
    """Return the rays of an equirectangular panorama, whose middle looks ahead."""
    across, up = np.meshgrid(
        np.linspace(-np.pi, np.pi, width, endpoint=False),
        np.linspace(np.pi / 2, -np.pi / 2, height),
    )
    flat = np.cos(up)
    return np.stack([np.sin(across) * flat, np.sin(up), np.cos(across) * flat], axis=-1)


def _unit(rays: Array) -> Array:
    return rays / np.linalg.norm(rays, axis=-1, keepdims=True)


def _noise(x: Array | float, y: Array | float) -> Array:
    """Return smooth noise from 0 to 1."""
    x, y = np.asarray(x), np.asarray(y)
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    across, down = x - left, y - top
    across, down = across**2 * (3 - 2 * across), down**2 * (3 - 2 * down)
    corner = [[_NOISE[(top + j) % 256, (left + i) % 256] for i in (0, 1)] for j in (0, 1)]
    above = corner[0][0] * (1 - across) + corner[0][1] * across
    below = corner[1][0] * (1 - across) + corner[1][1] * across
    return np.asarray(above * (1 - down) + below * down)


def _rough(x: Array, y: Array) -> Array:
    return 0.55 * _noise(x, y) + 0.3 * _noise(2.1 * x, 2.3 * y) + 0.15 * _noise(5.3 * x, 5.1 * y)


def _painted(rays: Array, along: float) -> Array:
    """Return the colours that rays see from a place `along` the street, in metres."""
    x, y, z = rays[..., 0], rays[..., 1], rays[..., 2]
    colours, far = _sky(x, y, z), np.full(x.shape, 1e9)
    with np.errstate(divide="ignore", invalid="ignore"):
        _lay(colours, far, np.where(y < 0, -_EYE / y, np.inf), _ground, rays, along)
        for side in (-1.0, 1.0):
            distance = np.where(x * side > 0, side * _WALL / x, np.inf)
            _lay(colours, far, distance, _house, rays, along)
        for tree in _TREES:
            _grow(colours, far, rays, along, tree)
    return (
        colours
        + (_noise(np.arange(x.size).reshape(x.shape) * 0.73, y * 999) * 0.03 - 0.015)[..., None]
    )


def _lay(colours: Array, far: Array, distance: Array, surface, rays: Array, along: float) -> None:  # type: ignore[no-untyped-def]
    """Draw a surface where it is nearer than what is drawn, fading into the haze."""
    seen = (distance < far) & np.isfinite(distance)
    place = rays[seen] * distance[seen, None]
    place[:, 1] += _EYE
    place[:, 2] += along
    paint, opaque = surface(place)
    haze = (1 - np.exp(-distance[seen] / 170))[:, None]
    mixed = paint * (1 - haze) + _HAZE * haze
    where = np.flatnonzero(seen)[opaque]
    colours.reshape(-1, 3)[where] = mixed[opaque]
    far.reshape(-1)[where] = distance[seen][opaque]


def _sky(x: Array, y: Array, z: Array) -> Array:
    up = np.clip(y, 0, 1)[..., None]
    blue = _HAZE * (1 - up**0.5) + np.array([0.27, 0.50, 0.80]) * up**0.5
    height = np.maximum(y, 0.03)
    clouds = _rough(x / height * 1.3 + 40, z / height * 1.3 + 40)
    thick = (np.clip((clouds - 0.52) * 4.5, 0, 1) * np.clip(y * 5, 0, 1))[..., None]
    return np.asarray(blue * (1 - thick * 0.8) + np.array([0.98, 0.98, 0.97]) * thick * 0.8)


def _ground(place: Array) -> tuple[Array, NDArray[np.bool_]]:
    x, z = place[:, 0], place[:, 2]
    aside = np.abs(x)
    grain = _rough(x * 9, z * 9) * 0.10 + _rough(x * 0.7, z * 0.4) * 0.10
    paint = np.repeat((0.34 + grain)[:, None], 3, axis=1)
    pavement = 0.58 + grain - 0.10 * ((np.mod(x, 0.9) < 0.05) | (np.mod(z, 0.9) < 0.05))
    paint[aside > _KERB] = (pavement[:, None] * np.array([1.0, 0.97, 0.92]))[aside > _KERB]
    paint[np.abs(aside - _KERB) < 0.12] = 0.70
    paint[(aside < 0.07) & (np.mod(z, 6) < 3)] = 0.90
    shade = (x > -1.4 + 0.8 * _noise(z * 0.35, 3.0)) & (x < _WALL)
    paint[shade] *= np.array([0.60, 0.64, 0.72])
    return paint, np.ones(len(x), bool)


def _house(place: Array) -> tuple[Array, NDArray[np.bool_]]:
    left, y, z = place[:, 0] < 0, place[:, 1], place[:, 2]
    width = np.where(left, 9.0, 10.5)
    number = np.floor(z / width).astype(int) + np.where(left, 0, 31)
    across = np.mod(z, width)
    floors = 2 + (number * 7 % 3 > 0)
    eaves = 1.0 + 3.1 * floors
    paint = _PLASTER[number * 5 % len(_PLASTER)] * (0.93 + 0.12 * _rough(z * 1.7, y * 1.7))[:, None]
    paint[y < 0.9] *= 0.72
    storey, pane = np.mod(y - 1.0, 3.1), np.mod(across + 0.3, width / 4)
    frame = (storey > 0.75) & (storey < 2.55) & (pane > 0.62) & (pane < 1.88) & (y > 1.0)
    glass = frame & (storey > 0.87) & (storey < 2.43) & (pane > 0.74) & (pane < 1.76)
    glass &= (np.abs(pane - 1.25) > 0.05) & (np.abs(storey - 1.9) > 0.05)
    paint[frame] = 0.93
    shine = 0.20 + 0.35 * _rough(z * 0.8 + number, y * 0.8)
    paint[glass] = (shine[:, None] * np.array([0.75, 0.88, 1.0]))[glass]
    door = (y < 2.7) & (np.abs(across - width * 0.55) < 0.62)
    paint[door] = np.array([0.22, 0.30, 0.27]) + 0.05 * (number[door] % 3)[:, None]
    roof = y > eaves
    tiles = 0.85 + 0.25 * (np.mod(y * 3, 1) > 0.25)
    paint[roof] = (_ROOF * tiles[:, None] * (0.9 + 0.2 * _rough(z * 3, y * 3))[:, None])[roof]
    paint[np.abs(y - eaves) < 0.14] = 0.86
    paint[(across < 0.10) & ~roof] *= 0.6
    paint *= np.where(left, 1.06, 0.62)[:, None] * np.where(left[:, None], 1, [0.94, 1.0, 1.1])
    ridge = eaves + 2.3 - 0.5 * (number % 2)
    return paint, (y < ridge) & (y >= 0)


def _grow(
    colours: Array, far: Array, rays: Array, along: float, tree: tuple[float, float, float, float]
) -> None:
    """Draw a tree: a ragged ball of leaves on a trunk that always faces the eye."""
    aside, ahead, height, radius = tree
    middle = np.array([aside, height - _EYE, ahead - along])
    distance = float(np.linalg.norm(middle[[0, 2]]))
    sideways = np.array([middle[2], 0, -middle[0]]) / distance
    facing = rays @ (np.array([middle[0], 0, middle[2]]) / distance)
    reach = np.where(facing > 0.02, distance / facing, np.inf)
    across = (rays @ sideways) * reach
    up = rays[..., 1] * reach - middle[1]
    ragged = radius * (0.72 + 0.5 * _rough(across * 1.9 + ahead, up * 1.9))
    crown = across**2 + (up * 1.05) ** 2 < ragged**2
    crown &= _noise(across * 7 + ahead, up * 7) > 0.13
    trunk = (np.abs(across) < 0.15) & (up < 0) & (up > -height)
    seen = (crown | trunk) & (reach < far)
    light = 0.45 + 0.35 * _rough(across * 5, up * 5) + 0.20 * np.clip((up - across) / radius, -1, 1)
    leaves = light[..., None] * np.array([0.40, 0.62, 0.24]) * 1.25
    paint = np.where(crown[..., None], leaves, np.array([0.30, 0.23, 0.17]))
    haze = 1 - np.exp(-distance / 170)
    colours[seen] = (paint * (1 - haze) + _HAZE * haze)[seen]
    far[seen] = reach[seen]
