/** The list of images: the way through a collection without the map. */

import { ask, collectionPath, picturePath } from "./api.js";
import { announce, byId, element } from "./elements.js";
import { count, images, shortMoment } from "./format.js";
import { sameFilter } from "./place.js";
import { rove, settle } from "./roving.js";

/** Images on a page of the list, and pixels that their pictures are wide. */
const PAGE = 60;
const WIDTH = 160;

export class List {
  /** `bounds()` returns what is on the map, [west, south, east, north]. */
  constructor(place, bounds) {
    this.place = place;
    this.bounds = bounds;
    this.offset = 0;
    this.total = 0;
    this.thumbnails = byId("thumbnails");
    rove(this.thumbnails, () => columnsOf(this.thumbnails));
    byId("list-here").addEventListener("change", () => this.#turnTo(0));
    byId("page-back").addEventListener("click", () => this.#turnTo(this.offset - PAGE));
    byId("page-on").addEventListener("click", () => this.#turnTo(this.offset + PAGE));
  }

  /** Show what another place chooses. */
  follow(before, now) {
    const other = before.collection !== now.collection || !sameFilter(before.filter, now.filter);
    if (other) this.#turnTo(0);
    else this.mark(now);
  }

  /** Show what is on the map now, if the list is bound to it. */
  moved() {
    if (byId("list-here").checked) this.#turnTo(0);
  }

  /** Show the same again: pictures that could not be had may come now. */
  again() {
    this.#turnTo(this.offset);
  }

  /** Mark the open image. */
  mark({ image }) {
    for (const button of this.thumbnails.querySelectorAll("button")) {
      if (Number(button.dataset.number) === image) button.setAttribute("aria-current", "true");
      else button.removeAttribute("aria-current");
    }
  }

  async #turnTo(offset) {
    const { collection, filter } = this.place.now;
    if (!collection) return;
    this.asking?.abort();
    this.asking = new AbortController();
    const bbox = byId("list-here").checked ? this.bounds().join(",") : undefined;
    const query = { ...filter, bbox, offset: Math.max(0, offset), limit: PAGE };
    try {
      const path = collectionPath(collection, "list");
      const answer = await ask(path, query, this.asking.signal);
      this.#fill(collection, query.offset, answer);
    } catch (error) {
      if (error.name === "AbortError") return;
      this.thumbnails.replaceChildren(element("li", { className: "empty" }, error.message));
    }
  }

  #fill(collection, offset, { total, images: rows }) {
    const paged = offset !== this.offset;
    if (total !== this.total) announce(`${images(total)} in the list`);
    [this.offset, this.total] = [offset, total];
    byId("list-heading").textContent = images(total);
    const items = rows.map((row) => this.#item(collection, row));
    const none = element("li", { className: "empty" }, "No image is like this.");
    this.thumbnails.replaceChildren(...(items.length ? items : [none]));
    byId("pages").hidden = total <= PAGE;
    byId("page-said").textContent =
      `${count(offset + 1)} to ${count(offset + rows.length)} of ${count(total)}`;
    byId("page-back").disabled = offset === 0;
    byId("page-on").disabled = offset + PAGE >= total;
    settle(this.thumbnails);
    this.mark(this.place.now);
    if (paged) this.thumbnails.scrollTop = 0;
  }

  #item(collection, [number, , captured]) {
    const [day, time] = shortMoment(captured);
    const picture = element("img", { loading: "lazy", decoding: "async", alt: "" });
    picture.src = picturePath(collection, number, WIDTH);
    picture.addEventListener("error", () => picture.remove());
    const when = element("span", {}, element("span", {}, day), " ", element("span", {}, time));
    const button = element("button", { type: "button" }, picture, when);
    button.dataset.number = number;
    button.setAttribute("aria-label", `Image of ${day} ${time}`.trim());
    button.addEventListener("click", () => this.place.go({ image: number }));
    return element("li", {}, button);
  }
}

function columnsOf(container) {
  return getComputedStyle(container).gridTemplateColumns.split(" ").length;
}
