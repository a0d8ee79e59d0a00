/** Numbers, times and places as they are shown; times are UTC, as in the files. */

const counts = new Intl.NumberFormat("en");
const MONTHS = ["January", "February", "March", "April", "May", "June", "July", "August",
  "September", "October", "November", "December"];
const WINDS = ["north", "north-east", "east", "south-east", "south", "south-west", "west",
  "north-west"];

export function count(number) {
  return counts.format(number);
}

export function images(number) {
  return number === 1 ? "1 image" : `${count(number)} images`;
}

/** Return "3 May 2024" for "2024-05-03", "May 2024" for "2024-05"; other text as it is. */
export function date(text) {
  const found = /^(\d{4})-(\d\d)(?:-(\d\d))?$/.exec(text ?? "");
  const month = found && MONTHS[Number(found[2]) - 1];
  if (!month) return String(text ?? "").slice(0, 40);
  return `${found[3] ? `${Number(found[3])} ` : ""}${month} ${found[1]}`;
}

/** Return date and time of milliseconds since 1970, or what says that there are none. */
export function moment(milliseconds) {
  const iso = isoOf(milliseconds);
  return iso ? `${date(iso.slice(0, 10))}, ${iso.slice(11, 19)} UTC` : "undated";
}

/** Return the date and the time alone, as two short texts. */
export function shortMoment(milliseconds) {
  const iso = isoOf(milliseconds);
  return iso ? [iso.slice(0, 10), iso.slice(11, 16)] : ["undated", ""];
}

/** Return a range of days as one text, years once where both are of the same. */
export function span(from, to) {
  if (from === to) return date(from);
  return `${date(from)} – ${date(to)}`;
}

export function direction(degrees) {
  const turned = ((degrees % 360) + 360) % 360;
  return `${Math.round(turned) % 360}° ${WINDS[Math.round(turned / 45) % 8]}`;
}

export function position(latitude, longitude) {
  return `${latitude.toFixed(5)}, ${longitude.toFixed(5)}`;
}

export function bytes(number) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  const power = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(number, 1)) / 3));
  const value = number / 1000 ** power;
  return `${value.toFixed(power && value < 10 ? 1 : 0)} ${units[power]}`;
}

export function distance(metres) {
  return metres < 1000 ? `${metres} m` : `${count(metres / 1000)} km`;
}

function isoOf(milliseconds) {
  if (milliseconds === null || milliseconds === undefined) return null;
  const time = new Date(milliseconds);
  return Number.isNaN(time.getTime()) ? null : time.toISOString().replace(/^\+00/, "");
}
