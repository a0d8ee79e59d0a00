/** Lines of longitude and latitude, so that an empty land moves visibly. */

import { latitudeOf, longitudeOf, xOf, yOf } from "./mercator.js";

/** Pixels that lines are apart, at least. */
const APART = 110;

export class Graticule {
  draw(context, map) {
    const step = stepOf((APART * 360) / map.scale);
    const [across, down] = [map.width / 2 / map.scale, map.height / 2 / map.scale];
    context.strokeStyle = map.colours.grid;
    context.lineWidth = 1;
    context.beginPath();
    for (const longitude of multiples(longitudeOf(map.x - across), longitudeOf(map.x + across), step)) {
      const left = Math.round((xOf(longitude) - map.x) * map.scale + map.width / 2) + 0.5;
      context.moveTo(left, 0);
      context.lineTo(left, map.height);
    }
    const [south, north] = [latitudeOf(map.y + down), latitudeOf(map.y - down)];
    for (const latitude of multiples(south, north, step)) {
      const top = Math.round((yOf(latitude) - map.y) * map.scale + map.height / 2) + 0.5;
      context.moveTo(0, top);
      context.lineTo(map.width, top);
    }
    context.stroke();
  }
}

/** Return the least of 1, 2, 5, 10, 20 … degrees that is no less than `degrees`. */
function stepOf(degrees) {
  const power = 10 ** Math.floor(Math.log10(degrees));
  return [1, 2, 5, 10].map((digit) => digit * power).find((step) => step >= degrees);
}

function* multiples(least, most, step) {
  for (let number = Math.ceil(least / step); number * step <= most; number += 1) yield number * step;
}
