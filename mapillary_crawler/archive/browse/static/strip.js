/** The neighbours of the open image along its sequence, as a row of small pictures. */

import { ask, collectionPath, picturePath } from "./api.js";
import { byId, element } from "./elements.js";
import { shortMoment } from "./format.js";
import { LONGEST } from "./place.js";
import { rove, settle } from "./roving.js";

/** Pictures to each side of the open one. */
const SIDE = 4;
const WIDTH = 160;
let wanted = 0;

/** Show the neighbours of an image; nothing where it is alone. */
export async function showStrip(place, collection, image) {
  const turn = (wanted += 1);
  const [index, length] = image.position ?? [];
  const strip = byId("strip");
  strip.hidden = !(length > 1) || image.sequence.length > LONGEST;
  if (strip.hidden) return strip.replaceChildren();
  const offset = Math.max(0, Math.min(index - 1 - SIDE, length - 2 * SIDE - 1));
  const query = { sequence: image.sequence, offset, limit: 2 * SIDE + 1 };
  try {
    const { images } = await ask(collectionPath(collection, "list"), query);
    if (turn === wanted) fill(strip, place, collection, image, images);
  } catch {
    if (turn === wanted) strip.replaceChildren();   // the image itself says what is wrong
  }
  return undefined;
}

function fill(strip, place, collection, image, images) {
  const held = strip.contains(document.activeElement);
  const buttons = images.map(([number, , captured]) => {
    const [day, time] = shortMoment(captured);
    const picture = element("img", { alt: "", decoding: "async" });
    picture.src = picturePath(collection, number, WIDTH);
    picture.addEventListener("error", () => picture.remove());   // the image says what is wrong
    const label = `Image of ${day} ${time}`.trim();
    const button = element("button", { type: "button", "aria-label": label }, picture);
    if (number === image.number) button.setAttribute("aria-current", "true");
    button.addEventListener("click", () => place.go({ image: number }, { replace: true }));
    return button;
  });
  strip.replaceChildren(...buttons.map((button) => element("li", {}, button)));
  const current = strip.querySelector("[aria-current]");
  settle(strip, current);
  if (held) current?.focus();
}

rove(byId("strip"));
