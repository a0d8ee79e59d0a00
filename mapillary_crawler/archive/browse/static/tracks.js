/** The tracks on the map: a line for each sequence, the chosen one above the others. */

import { xOf, yOf } from "./mercator.js";

export class Tracks {
  constructor() {
    this.lines = [];
    this.chosen = null;
  }

  /** Take the server's tracks, [{sequence, points: [[longitude, latitude], …]}, …]. */
  take(tracks) {
    this.lines = tracks.map(({ sequence, points }) => {
      const flat = new Float64Array(points.length * 2);
      points.forEach(([longitude, latitude], index) => {
        flat[2 * index] = xOf(longitude);
        flat[2 * index + 1] = yOf(latitude);
      });
      return { sequence, flat };
    });
  }

  draw(context, map) {
    const width = Math.max(2, Math.min(6, (map.zoom - 6) / 2));
    const chosen = this.lines.filter((line) => this.chosen !== null && line.sequence === this.chosen);
    context.lineJoin = "round";
    context.lineCap = "round";
    stroke(context, map, this.lines, width + 2.5, map.colours.casing);
    stroke(context, map, this.lines, width, map.colours.track);
    stroke(context, map, chosen, width + 4, map.colours.casing);
    stroke(context, map, chosen, width + 0.5, map.colours.chosen);
  }

  /** Return the place on a track that is nearest to a pixel, within `reach` pixels, or null. */
  nearest(map, [left, top], reach) {
    let best = null;
    let least = reach;
    for (const { flat } of this.lines) {
      for (let index = 0; index < flat.length; index += 2) {
        const end = Math.min(index + 2, flat.length - 2);
        const near = onSegment(map, flat, index, end, left, top);
        if (near.apart < least) [best, least] = [near.pixel, near.apart];
      }
    }
    return best;
  }
}

function stroke(context, map, lines, width, colour) {
  context.beginPath();
  for (const { flat } of lines) {
    // One copy of the world for the whole line, so that no line runs across the map.
    const turns = Math.round(flat[0] - map.x);
    for (let index = 0; index < flat.length; index += 2) {
      const left = (flat[index] - turns - map.x) * map.scale + map.width / 2;
      const top = (flat[index + 1] - map.y) * map.scale + map.height / 2;
      if (index) context.lineTo(left, top);
      else context.moveTo(left, top);
      if (flat.length === 2) context.lineTo(left + 0.01, top);   // a round cap: a dot
    }
  }
  context.lineWidth = width;
  context.strokeStyle = colour;
  context.stroke();
}

function onSegment(map, flat, start, end, left, top) {
  const [ax, ay] = map.pixelOf(flat[start], flat[start + 1]);
  const [bx, by] = map.pixelOf(flat[end], flat[end + 1]);
  const length = (bx - ax) ** 2 + (by - ay) ** 2;
  const along = length ? ((left - ax) * (bx - ax) + (top - ay) * (by - ay)) / length : 0;
  const part = Math.max(0, Math.min(1, along));
  const pixel = [ax + part * (bx - ax), ay + part * (by - ay)];
  return { pixel, apart: Math.hypot(pixel[0] - left, pixel[1] - top) };
}
