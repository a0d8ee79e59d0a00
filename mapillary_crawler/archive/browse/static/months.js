/** Months and years as days and as bars of the timeline; nothing here knows the page. */

import { date } from "./format.js";

/** Pixels that a label takes. */
const LABEL = 58;
/** A time span with wrong clocks in it could be any number of bars. */
const MOST = 400;

/** Return the first and last day that a filter of time lets through, or two nulls. */
export function rangeOf({ day, month, from, to }) {
  if (day) return [day, day];
  if (month) return [`${month}-01`, lastDayOf(month)];
  return from || to ? [from ?? "0000-01-01", to ?? "9999-12-31"] : [null, null];
}

/** Return days as the shortest filter. */
export function shortest({ from, to }) {
  const month = from.slice(0, 7);
  return to === lastDayOf(month) ? { month } : { from, to };
}

function lastDayOf(month) {
  const [year, number] = month.split("-").map(Number);
  return `${month}-${new Date(Date.UTC(2000 + (year % 400), number, 0)).getUTCDate()}`;
}

/** Return months or years from the first to the last, those without images among them.
 *
 * `room` is how many bars there is room for.
 */
export function slots(months, room) {
  const byMonth = new Map(months);
  const number = (name) => Number(name.slice(0, 4)) * 12 + Number(name.slice(5)) - 1;
  const [first, last] = [number(months[0][0]), number(months.at(-1)[0])];
  if (last - first < Math.max(12, Math.min(room, MOST))) {
    return Array.from({ length: last - first + 1 }, (_, index) => {
      const month = nameOf(first + index);
      return { label: month, from: `${month}-01`, to: lastDayOf(month), images: byMonth.get(month) ?? 0 };
    });
  }
  return years(months);
}

function years(months) {
  const sums = new Map();
  for (const [month, number] of months) {
    const year = month.slice(0, 4);
    sums.set(year, (sums.get(year) ?? 0) + number);
  }
  const [first, last] = [Number([...sums.keys()][0]), Number([...sums.keys()].at(-1))];
  const all = last - first < MOST
    ? Array.from({ length: last - first + 1 }, (_, index) => String(first + index).padStart(4, "0"))
    : [...sums.keys()];
  return all.map((year) => (
    { label: year, from: `${year}-01-01`, to: `${year}-12-31`, images: sums.get(year) ?? 0 }
  ));
}

function nameOf(number) {
  const year = String(Math.floor(number / 12)).padStart(4, "0");
  return `${year}-${String((number % 12) + 1).padStart(2, "0")}`;
}

/** Return what stands below each bar: years where they begin, months where there are few.
 *
 * What would not fit before the end is left out.
 */
export function labelsOf(filled, width) {
  const room = Math.floor((LABEL * 0.6 * filled.length) / width);
  return labels(filled, width).map((text, index) => (index + room < filled.length ? text : ""));
}

function labels(filled, width) {
  const every = Math.ceil((LABEL * filled.length) / width);
  if (filled[0].label.length === 4) {
    return filled.map(({ label }, index) => (index % every ? "" : label));
  }
  if (every === 1) return filled.map(({ label }) => shortMonth(label));
  const years = Math.ceil(every / 12);
  return filled.map(({ label }) => {
    const begins = label.endsWith("-01") && Number(label.slice(0, 4)) % years === 0;
    return begins ? label.slice(0, 4) : "";
  });
}

function shortMonth(label) {
  return `${date(label).slice(0, 3)} ${label.slice(0, 4)}`;
}
