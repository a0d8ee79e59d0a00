/** Single images on the map: dots, with the way they look when near; the open one above all. */

import { xOf, yOf } from "./mercator.js";

/** From here on single images are asked for; then drawn on the track, and with their directions. */
export const NEAR = 16;
const DRAWN = 17;
const DIRECTIONS = 17.7;
/** Radians that a photograph sees, about, and pixels that its sight is drawn long. */
const SIGHT = (60 * Math.PI) / 180;
const LENGTH = 64;

export class Dots {
  constructor() {
    this.images = [];
    /** The image that is open, {longitude, latitude, compass}, or null. */
    this.open = null;
    this.hovered = null;
  }

  /** Take the server's images, [[number, longitude, latitude, compass, panorama], …]. */
  take(images) {
    this.images = images.map(([number, longitude, latitude, compass, panorama]) => ({
      number, x: xOf(longitude), y: yOf(latitude), compass, panorama: Boolean(panorama),
    }));
    this.hovered = null;
  }

  draw(context, map) {
    if (map.zoom >= DRAWN) this.#drawAll(context, map);
    if (this.hovered) ring(context, map, this.hovered);
    if (this.open) drawOpen(context, map, this.open);
  }

  /** Return the image nearest to a pixel, within `reach` pixels, or null. */
  nearest(map, [left, top], reach) {
    let best = null;
    let least = reach;
    if (map.zoom < NEAR) return null;
    for (const image of this.images) {
      const [x, y] = map.pixelOf(image.x, image.y);
      const apart = Math.hypot(x - left, y - top);
      if (apart < least) [best, least] = [image, apart];
    }
    return best;
  }

  #drawAll(context, map) {
    const radius = Math.min(3.4, 1.7 + (map.zoom - DRAWN));
    const seen = this.images
      .map((image) => ({ ...image, pixel: map.pixelOf(image.x, image.y) }))
      .filter(({ pixel: [left, top] }) => (
        left > -20 && top > -20 && left < map.width + 20 && top < map.height + 20
      ));
    context.fillStyle = map.colours.dot;
    context.strokeStyle = map.colours.casing;
    context.lineWidth = 1.5;
    for (const { pixel, compass } of seen) {
      if (map.zoom >= DIRECTIONS && compass !== null) dart(context, pixel, compass);
    }
    // Beads on the track; those of panoramas are larger, with an eye.
    context.fillStyle = map.colours.casing;
    for (const { pixel, panorama } of seen) disc(context, pixel, radius * (panorama ? 1.35 : 1));
    context.fillStyle = map.colours.dot;
    for (const { pixel, panorama } of seen) if (panorama) disc(context, pixel, radius * 0.6);
  }
}

function disc(context, [left, top], radius) {
  context.beginPath();
  context.arc(left, top, radius, 0, 2 * Math.PI);
  context.fill();
}

/** A tip beside the track, the way that the camera looks. */
function dart(context, [left, top], compass) {
  const angle = ((compass - 90) * Math.PI) / 180;
  context.beginPath();
  for (const [turn, far] of [[-0.6, 5], [0, 12], [0.6, 5]]) {
    context.lineTo(left + Math.cos(angle + turn) * far, top + Math.sin(angle + turn) * far);
  }
  context.closePath();
  context.stroke();
  context.fill();
}

function ring(context, map, image) {
  const [left, top] = map.pixelOf(image.x, image.y);
  context.lineWidth = 2.5;
  context.strokeStyle = map.colours.chosen;
  context.beginPath();
  context.arc(left, top, 9, 0, 2 * Math.PI);
  context.stroke();
}

function drawOpen(context, map, { longitude, latitude, compass }) {
  const [left, top] = map.pixelOf(xOf(longitude), yOf(latitude));
  if (compass !== null) {
    const angle = ((compass - 90) * Math.PI) / 180;
    const sight = context.createRadialGradient(left, top, 6, left, top, LENGTH);
    sight.addColorStop(0, map.colours.chosen);
    sight.addColorStop(1, "transparent");
    context.fillStyle = sight;
    context.beginPath();
    context.moveTo(left, top);
    context.arc(left, top, LENGTH, angle - SIGHT / 2, angle + SIGHT / 2);
    context.fill();
  }
  context.lineWidth = 3;
  context.strokeStyle = map.colours.casing;
  context.fillStyle = map.colours.chosen;
  context.beginPath();
  context.arc(left, top, 7.5, 0, 2 * Math.PI);
  context.fill();
  context.stroke();
}
