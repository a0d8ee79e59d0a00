/** The filters: the form at the side, and a chip on the map for each that is on. */

import { byId, cut, element, foreign } from "./elements.js";
import { count, date, span } from "./format.js";

/** Characters of a chip. */
const CHIP = 28;
/** Choices that a list offers; a form with more is of no use. */
const MOST = 5000;

export class Filters {
  constructor(place) {
    this.place = place;
    const form = byId("filters");
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("change", () => this.#changed(new FormData(form)));
  }

  /** Offer a collection's days, [["2019-03-10", images, first number], …], and cameras. */
  offer(days, cameras) {
    const dayOptions = days.slice(0, MOST).map(([day, number]) => [day, dated(day), number]);
    const cameraOptions = cameras.slice(0, MOST).map(([name, number]) => [name, cut(name, 60), number]);
    fill(byId("filter-day"), "all days", dayOptions);
    fill(byId("filter-camera"), "all cameras", cameraOptions);
    byId("filter-camera").disabled = !cameras.length;
    this.show(this.place.now);
  }

  /** Show the filter of the place. */
  show({ filter }) {
    for (const name of ["day", "camera", "pano", "sequence"]) {
      byId(`filter-${name}`).value = filter[name] ?? "";
    }
    const chips = chipsOf(filter);
    byId("chips").replaceChildren(...chips.map((chip) => this.#chip(chip)));
    byId("chips").hidden = !chips.length;
  }

  #changed(data) {
    const { filter } = this.place.now;
    const named = ["day", "camera", "pano", "sequence"].map((name) => [name, data.get(name).trim()]);
    const chosen = Object.fromEntries(named.filter(([, value]) => value));
    // A day replaces what the timeline has chosen.
    const { month, from, to } = filter;
    const times = Object.entries({ month, from, to }).filter(([, value]) => value && !chosen.day);
    this.place.filter({ ...chosen, ...Object.fromEntries(times) });
  }

  #chip({ names, text, said }) {
    const button = element("button", { type: "button", className: "chip" }, foreign(text, CHIP), " ×");
    button.setAttribute("aria-label", `End the filter ${said}`);
    button.addEventListener("click", () => {
      const kept = Object.entries(this.place.now.filter).filter(([name]) => !names.includes(name));
      this.place.filter(Object.fromEntries(kept));
      (byId("chips").querySelector("button") ?? byId("canvas")).focus({ preventScroll: true });
    });
    return button;
  }
}

/** Return in words what a filter chooses; "" where it is none. */
export function inWords(filter) {
  return chipsOf(filter).map(({ text }) => cut(text, CHIP)).join(", ");
}

function chipsOf({ day, month, from, to, sequence, camera, pano }) {
  const chips = [];
  if (day) chips.push({ names: ["day"], text: dated(day), said: `day ${dated(day)}` });
  if (month) chips.push({ names: ["month"], text: date(month), said: `month ${date(month)}` });
  if (from || to) {
    const text = from && to ? span(from, to) : from ? `from ${date(from)}` : `until ${date(to)}`;
    chips.push({ names: ["from", "to"], text, said: text });
  }
  if (camera) chips.push({ names: ["camera"], text: camera, said: `camera ${cut(camera, 60)}` });
  if (pano) {
    const text = pano === "1" ? "panoramas" : "no panoramas";
    chips.push({ names: ["pano"], text, said: text });
  }
  if (sequence) {
    const text = `sequence ${sequence}`;
    chips.push({ names: ["sequence"], text, said: cut(text, 60) });
  }
  return chips;
}

/** A day's folder is a date, or the name of those without one. */
function dated(day) {
  return cut(date(day), 40);
}

function fill(select, all, options) {
  const made = options.map(([value, text, number]) => (
    element("option", { value }, `${text} (${count(number)})`)
  ));
  select.replaceChildren(element("option", { value: "" }, all), ...made);
}
