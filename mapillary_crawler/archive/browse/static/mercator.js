/** Web Mercator in units of the world: x runs from 0 at 180° W to 1 at 180° E, y from north to south. */

/** The latitude at which the square world ends. */
export const LIMIT = 85.0511;
/** Pixels that the world is wide at zoom 0. */
export const TILE = 256;

export function xOf(longitude) {
  return longitude / 360 + 0.5;
}

export function yOf(latitude) {
  const bounded = Math.max(-LIMIT, Math.min(LIMIT, latitude));
  return 0.5 - Math.log(Math.tan(Math.PI / 4 + (bounded * Math.PI) / 360)) / (2 * Math.PI);
}

export function longitudeOf(x) {
  return (x - 0.5) * 360;
}

export function latitudeOf(y) {
  return (Math.atan(Math.exp((0.5 - y) * 2 * Math.PI)) * 360) / Math.PI - 90;
}

/** Metres that a pixel is wide at a latitude and zoom. */
export function metresPerPixel(latitude, zoom) {
  return (40075016.7 * Math.cos((latitude * Math.PI) / 180)) / (TILE * 2 ** zoom);
}
