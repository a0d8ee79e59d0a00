/** The open image: large, with its facts and neighbours, turned into a panorama where it is one. */

import { agreed, askOnce } from "./agreement.js";
import { ask, collectionPath, filePath, picturePath, reasonFor } from "./api.js";
import { announce, byId, cut } from "./elements.js";
import { images, moment } from "./format.js";
import { imageKeys } from "./image_keys.js";
import { showFacts } from "./metadata.js";
import { Panorama } from "./panorama.js";
import { LONGEST } from "./place.js";
import { showStrip } from "./strip.js";

/** Steps that keys may be ahead of the answers. */
const AHEAD = 8;

export class ImageView extends EventTarget {
  /** Shows the image of the place; says "open" with the image or null, and "look" with a compass. */
  constructor(place) {
    super();
    this.place = place;
    this.image = null;
    this.waiting = false;
    this.steps = [];
    this.panorama = new Panorama(byId("panorama"), byId("panorama-controls"));
    this.panorama.addEventListener("look", () => this.#look());
    this.#buttons();
    imageKeys(this);
  }

  /** Open what the place says, or close. */
  async show({ collection, image: number }) {
    if (number === null || !collection) return this.#close();
    this.asking?.abort();
    this.asking = new AbortController();
    const opened = byId("image").hidden;
    byId("image").hidden = false;
    document.body.classList.add("viewing");
    if (opened) byId("image").focus({ preventScroll: true });
    try {
      this.waiting = true;
      const path = collectionPath(collection, `image/${number}`);
      const image = await ask(path, {}, this.asking.signal);
      this.waiting = false;
      this.#take(collection, image);
    } catch (error) {
      if (error.name !== "AbortError") this.#fail(error.message);
    }
    return undefined;
  }

  /** Go along the sequence: "previous" or "next". */
  step(where) {
    // A key that is held is ahead of the answers.
    if (this.waiting && this.steps.length < AHEAD) this.steps.push(where);
    const number = this.waiting ? null : this.image?.[where];
    if (number !== null && number !== undefined) this.place.go({ image: number }, { replace: true });
  }

  close() {
    this.place.go({ image: null });
  }

  #take(collection, image) {
    this.image = image;
    this.collection = collection;
    const next = this.steps.shift();
    if (next && image[next] !== null) return this.step(next);
    this.steps = [];
    const [index, length] = image.position ?? [];
    byId("image-when").textContent = moment(image.captured_at);
    byId("image-position").textContent = length > 1 ? `${index} of ${length}` : "";
    byId("image-previous").disabled = image.previous === null;
    byId("image-next").disabled = image.next === null;
    byId("image-file").href = filePath(collection, image.number);
    byId("image-file").hidden = image.where === "missing";
    byId("image-find").disabled = image.lon === null;
    byId("image-sequence").disabled = !image.sequence || image.sequence.length > LONGEST;
    showFacts(image);
    showStrip(this.place, collection, image);
    this.#picture();
    const of = length > 1 ? `, ${index} of ${images(length)}` : "";
    announce(`${image.pano ? "Panorama" : "Image"}, ${moment(image.captured_at)}${of}`);
    this.dispatchEvent(new CustomEvent("open", { detail: image }));
    return this.#look();
  }

  async #picture() {
    const { image, collection } = this;
    this.#plain();
    if (image.where === "missing") {
      this.#say(`${cut(image.file)} is not in the collection's folder.`);
      return;
    }
    if (image.where === "removed" && !agreed(collection)) {
      this.#say("This image is on archive.org, and no more on this machine.");
      if (!(await askOnce(collection)) || this.image !== image) return;
    }
    const path = picturePath(collection, image.number);
    this.#say("Loading …");
    if (image.pano && this.panorama.possible) this.#turn(path, image);
    else this.#flat(path, image);
  }

  #flat(path, image, said = "") {
    const { collection } = this;
    const picture = byId("picture");
    const wide = image.pano ? "This browser has no WebGL: the panorama is shown flat." : "";
    byId("flat").classList.toggle("wide", Boolean(image.pano));
    picture.onload = () => {
      this.#say(said || wide);
      if (image.next !== null && image.where === "here") fetchAhead(collection, image.next);
    };
    picture.onerror = async () => {
      picture.hidden = true;
      const reason = await reasonFor(path);
      if (this.image === image) this.#say(reason);
    };
    picture.alt = `${image.pano ? "Panorama" : "Photograph"} of ${moment(image.captured_at)}`;
    picture.hidden = false;
    picture.src = path;
  }

  async #turn(path, image) {
    byId("flat").hidden = true;
    const failure = await this.panorama.show(path);
    if (this.image !== image) return;
    if (failure === null) return this.#say("");
    byId("flat").hidden = false;
    return this.#flat(path, image, `Shown flat: ${cut(failure)}`);
  }

  /** Take away what was shown before. */
  #plain() {
    const picture = byId("picture");
    picture.onload = picture.onerror = null;
    picture.removeAttribute("src");
    picture.hidden = true;
    byId("flat").hidden = false;
    byId("flat").classList.remove("wide", "full");
    byId("image-size").setAttribute("aria-pressed", "false");
    byId("image-size").disabled = Boolean(this.image.pano && this.panorama.possible);
    this.panorama.close();
  }

  #fail(reason) {
    this.image = null;
    this.waiting = false;
    this.steps = [];
    this.panorama.close();
    byId("picture").hidden = true;
    for (const id of ["facts", "metadata", "strip"]) byId(id).replaceChildren();
    for (const id of ["image-when", "image-position"]) byId(id).textContent = "";
    for (const id of ["image-previous", "image-next", "image-find", "image-sequence"]) {
      byId(id).disabled = true;
    }
    byId("image-file").hidden = true;
    this.#say(reason);
    this.dispatchEvent(new CustomEvent("open", { detail: null }));
  }

  #close() {
    this.asking?.abort();
    if (byId("image").hidden) return;
    const held = byId("image").contains(document.activeElement);
    this.image = null;
    this.waiting = false;
    this.steps = [];
    this.panorama.close();
    byId("picture").removeAttribute("src");
    byId("image").hidden = true;
    document.body.classList.remove("viewing");
    if (held) byId("canvas").focus({ preventScroll: true });
    this.dispatchEvent(new CustomEvent("open", { detail: null }));
  }

  #say(text) {
    byId("image-note").textContent = text;
    byId("image-note").hidden = !text;
  }

  /** Tell the way that is looked: a panorama's own turn added to the camera's. */
  #look() {
    const compass = this.image?.compass ?? null;
    const turned = this.panorama.yaw;
    const looked = turned === null ? compass : (compass ?? 0) + turned;
    this.dispatchEvent(new CustomEvent("look", { detail: looked }));
  }

  #buttons() {
    byId("image-previous").addEventListener("click", () => this.step("previous"));
    byId("image-next").addEventListener("click", () => this.step("next"));
    byId("image-close").addEventListener("click", () => this.close());
    byId("image-sequence").addEventListener("click", () => {
      this.place.filter({ sequence: this.image.sequence });
    });
    byId("image-find").addEventListener("click", () => this.dispatchEvent(new Event("find")));
    byId("image-size").addEventListener("click", () => this.#fullSize());
    byId("picture").addEventListener("dblclick", () => this.#fullSize());
    byId("image-file").addEventListener("click", (event) => this.#file(event));
  }

  #fullSize() {
    const full = byId("flat").classList.toggle("full");
    byId("image-size").setAttribute("aria-pressed", String(full));
    byId("flat").focus();
  }

  /** Ask before a file comes from archive.org, as for its picture. */
  async #file(event) {
    const { image, collection } = this;
    if (image?.where !== "removed" || agreed(collection)) return;
    event.preventDefault();
    if (await askOnce(collection)) byId("image-file").click();
  }
}

/** Have the browser fetch what most probably comes next. */
function fetchAhead(collection, number) {
  new Image().src = picturePath(collection, number);
}
