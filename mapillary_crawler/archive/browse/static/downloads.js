/** The download of the open image, or of a selection: as a zip, or into the program's folder. */

import { agreed, askOnce } from "./agreement.js";
import { act, ask, collectionPath, filePath, zipPath } from "./api.js";
import { byId, cut, element } from "./elements.js";
import { inWords } from "./filters.js";
import { date, images } from "./format.js";
import { LONGEST } from "./place.js";

export class Downloads {
  /** `image()` returns the open image or null, `bounds()` what is on the map. */
  constructor(place, image, bounds) {
    this.place = place;
    this.image = image;
    this.bounds = bounds;
    this.about = null;
    this.folder = null;
    this.choices = [];
    byId("download-open").addEventListener("click", () => this.open());
    byId("download-zip").addEventListener("click", () => this.#zip());
    byId("download-save").addEventListener("click", () => this.#save());
  }

  /** Take what is known of the collection, and the folder to save into, or null. */
  take(about, folder) {
    this.about = about;
    this.folder = folder;
    byId("download-open").disabled = false;
    byId("download-save").hidden = !folder;
    byId("download-save").textContent = folder ? `Save into ${cut(folder, 60)}` : "";
  }

  open() {
    this.#say("");
    this.choices = this.#offered();
    const made = this.choices.map((choice, index) => this.#choice(choice, index));
    byId("download-choices").replaceChildren(...made);
    byId("download").showModal();
  }

  #offered() {
    const { filter } = this.place.now;
    const image = this.image();
    const day = filter.day ?? image?.day;
    const bbox = this.bounds().map((degrees) => degrees.toFixed(6)).join(",");
    const words = inWords(filter);
    return [
      image && { text: "This image", number: image.number, images: 1 },
      Object.keys(filter).length && { text: `What is filtered: ${words}`, selection: filter },
      { text: words ? "Of these, what is on the map" : "What is on the map",
        selection: { ...filter, bbox } },
      day && { text: `The day ${cut(date(day), 40)}`, selection: { day } },
      image?.sequence && image.sequence.length <= LONGEST && { text: "The sequence of this image",
        selection: { sequence: image.sequence } },
      { text: "The whole collection", selection: {} },
    ].filter(Boolean);
  }

  #choice(choice, index) {
    const radio = element("input", { type: "radio", name: "what", value: String(index) });
    radio.checked = index === 0;
    const number = element("span", { className: "quiet" });
    this.#count(choice, number);
    return element("label", { className: "check" }, radio, element("bdi", {}, choice.text), number);
  }

  async #count(choice, shown) {
    if (choice.selection) {
      try {
        const path = collectionPath(this.place.now.collection, "list");
        choice.images = (await ask(path, { ...choice.selection, limit: 1 })).total;
      } catch {
        return;
      }
    }
    shown.textContent = images(choice.images);
  }

  #chosen() {
    return this.choices[Number(new FormData(byId("download").querySelector("form")).get("what"))];
  }

  async #zip() {
    const { collection } = this.place.now;
    const choice = this.#chosen();
    if (!(await this.#allowed(choice))) return;
    const one = choice.number !== undefined;
    const href = one ? filePath(collection, choice.number) : zipPath(collection, choice.selection);
    const link = element("a", { href, download: "" });
    document.body.append(link);
    link.click();
    link.remove();
    this.#say("The browser has begun to save it.");
  }

  async #save() {
    const { collection } = this.place.now;
    const choice = this.#chosen();
    if (!(await this.#allowed(choice))) return;
    const one = choice.number !== undefined;
    const selection = one ? { numbers: [choice.number] } : choice.selection;
    this.#busy(true);
    this.#say("Saving …");
    try {
      const { saved } = await act({ action: "save", collection, selection });
      this.#say(`Saved ${images(saved)} into ${this.folder}.`);
    } catch (error) {
      this.#say(error.message);
    }
    this.#busy(false);
  }

  /** Ask about archive.org where parts were removed; without them there is no question. */
  async #allowed(choice) {
    const { collection } = this.place.now;
    if (choice.images === 0) this.#say("There is no such image.");
    if (choice.images === 0) return false;
    if (this.about.removed_parts && !agreed(collection)) await askOnce(collection);
    return true;
  }

  #busy(busy) {
    for (const id of ["download-zip", "download-save"]) byId(id).disabled = busy;
  }

  #say(text) {
    byId("download-said").textContent = text;
  }
}
