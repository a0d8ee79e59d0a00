/** A small picture beside the image that the mouse is on. */

import { picturePath } from "./api.js";
import { byId } from "./elements.js";

/** Milliseconds that the mouse rests before a picture is asked for. */
const REST = 90;
const WIDTH = 200;
let resting = null;

/** Show the picture of an image that is at a pixel of the map, or none. */
export function showHover(collection, image, pixel, map) {
  const box = byId("hover");
  clearTimeout(resting);
  box.hidden = true;
  if (!image) return;
  resting = setTimeout(() => {
    const picture = byId("hover-picture");
    picture.onload = () => {
      box.hidden = false;
      const below = pixel[1] < box.offsetHeight + 24;
      const left = Math.min(Math.max(8, pixel[0] - box.offsetWidth / 2), map.width - box.offsetWidth - 8);
      box.style.left = `${left}px`;
      box.style.top = `${below ? pixel[1] + 16 : pixel[1] - box.offsetHeight - 16}px`;
    };
    picture.src = picturePath(collection, image.number, WIDTH);
  }, REST);
}
