/** The bar that says how far it is. */

import { byId } from "./elements.js";
import { distance } from "./format.js";
import { metresPerPixel } from "./mercator.js";

/** Pixels that the bar is long, at most. */
const LONGEST = 110;

export function showScale(map) {
  const metres = metresPerPixel(map.latitude, map.zoom);
  const power = 10 ** Math.floor(Math.log10(LONGEST * metres));
  const length = [5, 2, 1].map((digit) => digit * power).find((each) => each <= LONGEST * metres);
  byId("scale-line").style.width = `${length / metres}px`;
  byId("scale-said").textContent = length < 1 ? "" : distance(length);
}
