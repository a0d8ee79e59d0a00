/** The timeline: a bar for each month, or for each year where there are too many of them. */

import { byId, element } from "./elements.js";
import { date, images } from "./format.js";
import { labelsOf, rangeOf, shortest, slots } from "./months.js";
import { rove, settle } from "./roving.js";

/** Pixels that a bar takes, at least. */
const NARROWEST = 7;

export class Timeline {
  constructor(place) {
    this.place = place;
    this.months = [];
    this.bars = byId("bars");
    this.start = null;
    this.width = 0;
    rove(this.bars);
    this.#pointers();
    this.bars.addEventListener("keydown", (event) => this.#key(event));
    new ResizeObserver(() => this.#resized()).observe(this.bars);
  }

  /** Take a collection's months, [["2019-03", images], …]. */
  take(months) {
    this.months = months.filter(([name]) => /^\d{4}-\d\d$/.test(name));
    byId("timeline").hidden = !this.months.length;
    this.#fill();
  }

  /** Mark what the filter of the place chooses. */
  mark({ filter }) {
    const [from, to] = rangeOf(filter);
    for (const button of this.bars.querySelectorAll("button")) {
      const within = from !== null && button.dataset.to >= from && button.dataset.from <= to;
      button.setAttribute("aria-pressed", String(within));
    }
    this.bars.classList.toggle("chosen", from !== null);
  }

  #resized() {
    const { clientWidth } = this.bars;
    if (Math.abs(clientWidth - this.width) < 2) return;
    this.width = clientWidth;
    this.#fill();
  }

  #fill() {
    if (!this.months.length || !this.width) return;
    const held = this.bars.contains(document.activeElement);
    const filled = slots(this.months, Math.floor(this.width / NARROWEST));
    const most = Math.max(...filled.map((slot) => slot.images));
    const labels = labelsOf(filled, this.width);
    this.bars.replaceChildren(...filled.map((slot, index) => bar(slot, most, labels[index])));
    settle(this.bars);
    if (held) this.bars.querySelector("button[tabindex='0']")?.focus();
    this.mark(this.place.now);
  }

  #pointers() {
    const { bars } = this;
    bars.addEventListener("pointerdown", (event) => {
      const button = barAt(event);
      if (event.button !== 0 || !button) return;
      [this.start, this.end] = [button, button];
    });
    bars.addEventListener("pointermove", (event) => {
      const button = this.start && barAt(event);
      if (!button || button === this.end) return;
      this.end = button;
      const [from, to] = ordered(this.start, button);
      this.mark({ filter: { from: from.dataset.from, to: to.dataset.to } });
    });
    addEventListener("pointerup", () => {
      const { start, end } = this;
      this.start = null;
      if (start) this.#choose(start, end);
    });
    bars.addEventListener("click", (event) => {
      // A press of Enter or Space, or a screen reader's: pointers have been heard above.
      const button = event.target.closest("button");
      if (button && event.detail === 0) this.#choose(button, button);
    });
  }

  #key(event) {
    const button = event.target.closest("button");
    if (event.key !== "Enter" || !event.shiftKey || !button) return;
    event.preventDefault();
    const chosen = this.bars.querySelector("[aria-pressed='true']");
    this.#choose(chosen ?? button, button);
  }

  /** Filter by what lies between two bars; the same one again ends that. */
  #choose(one, other) {
    const [first, last] = ordered(one, other);
    const chosen = { from: first.dataset.from, to: last.dataset.to };
    const { filter } = this.place.now;
    const [from, to] = rangeOf(filter);
    const again = chosen.from === from && chosen.to === to;
    const { day, month, from: _from, to: _to, ...others } = filter;
    this.place.filter(again ? others : { ...others, ...shortest(chosen) });
  }
}

function bar(slot, most, text) {
  const said = `${date(slot.label)}, ${images(slot.images)}`;
  const fill = element("span", { className: "fill" });
  // Square roots: a month with a hundredth of the images is still seen.
  fill.style.height = `${slot.images ? Math.max(6, 100 * Math.sqrt(slot.images / most)) : 0}%`;
  const button = element("button", { type: "button", title: said, disabled: !slot.images }, fill);
  button.setAttribute("aria-label", said);
  button.dataset.from = slot.from;
  button.dataset.to = slot.to;
  const label = element("span", { className: "label", "aria-hidden": "true" }, text);
  return element("div", { className: "slot" }, button, label);
}

function barAt(event) {
  const found = document.elementFromPoint(event.clientX, event.clientY);
  return found?.closest(".slot")?.querySelector("button:not(:disabled)") ?? null;
}

function ordered(one, other) {
  return one.dataset.from <= other.dataset.from ? [one, other] : [other, one];
}
