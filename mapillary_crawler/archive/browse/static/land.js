/** The outlines of land (Natural Earth, public domain), as archive/page/packing.py packs them. */

import { xOf, yOf } from "./mercator.js";

/** Places a degree. */
const GRID = 100;

export class Land {
  constructor() {
    this.path = new Path2D();
  }

  /** Fetch and unpack the outlines; without them the map is drawn on plain sea. */
  async load() {
    const response = await fetch("/static/land.bin");
    if (!response.ok) return;
    const stream = response.body.pipeThrough(new DecompressionStream("deflate"));
    const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
    this.path = pathOf(numbers(bytes));
  }

  draw(context, map) {
    // One copy more to each side: what crosses the 180th meridian goes on beyond the world's edge.
    const first = Math.floor(map.x - map.width / 2 / map.scale) - 1;
    const last = Math.floor(map.x + map.width / 2 / map.scale) + 1;
    context.fillStyle = map.colours.land;
    context.strokeStyle = map.colours.coast;
    for (let copy = first; copy <= last; copy += 1) {
      const left = (copy - map.x) * map.scale + map.width / 2;
      const top = -map.y * map.scale + map.height / 2;
      context.save();
      context.translate(left, top);
      context.scale(map.scale, map.scale);
      context.lineWidth = 1 / map.scale;
      context.fill(this.path, "evenodd");
      context.stroke(this.path);
      context.restore();
    }
  }
}

/** Return the rings as one path in units of the world. */
function pathOf(packed) {
  const path = new Path2D();
  let [x, y] = [0, 0];
  for (let ring = packed.next(); !ring.done; ring = packed.next()) {
    for (let index = 0; index < ring.value; index += 1) {
      x += signed(packed.next().value);
      y += signed(packed.next().value);
      const place = [xOf(x / GRID), yOf(y / GRID)];
      if (index) path.lineTo(...place);
      else path.moveTo(...place);
    }
    path.closePath();
  }
  return path;
}

/** Yield whole numbers: seven bits a byte, the low ones first, the eighth bit goes on. */
function* numbers(bytes) {
  let [number, factor] = [0, 1];
  for (const byte of bytes) {
    number += (byte & 127) * factor;
    factor *= 128;
    if (byte > 127) continue;
    yield number;
    [number, factor] = [0, 1];
  }
}

function signed(number) {
  return number % 2 ? -(number + 1) / 2 : number / 2;
}
