/** What is known of an image: the few facts that people look for, and the whole row. */

import { byId, cut, element, foreign } from "./elements.js";
import { bytes, date, direction, position } from "./format.js";

/** Lines of the whole row that are shown; a row of the service has about forty. */
const LINES = 300;

export function showFacts(image) {
  const facts = [
    ["Camera", image.camera ? foreign(image.camera) : null],
    ["Looks", image.compass === null ? null : direction(image.compass)],
    ["Place", image.lon === null ? "none" : placeOf(image)],
    ["Day", image.day ? date(image.day) : null],
    ["Sequence", image.sequence ? foreign(image.sequence) : "none"],
    ["Picture", sizeOf(image)],
    ["File", image.file ? foreign(image.file) : null],
    ["On Mapillary", /^\d+$/.test(image.id) ? mapillary(image.id) : foreign(image.id)],
  ];
  byId("facts").replaceChildren(...facts.filter(([, value]) => value).flatMap(pair));
  const lines = [...flattened(image.metadata ?? {})].slice(0, LINES);
  const shown = lines.map(([name, value]) => [foreign(name, 80), foreign(value)]);
  byId("metadata").replaceChildren(...shown.flatMap(pair));
}

function pair([name, value]) {
  return [element("dt", {}, name), element("dd", {}, value)];
}

function placeOf({ lat, lon }) {
  const here = `${lat.toFixed(6)}/${lon.toFixed(6)}`;
  const query = `mlat=${lat.toFixed(6)}&mlon=${lon.toFixed(6)}`;
  return link(`https://www.openstreetmap.org/?${query}#map=18/${here}`, position(lat, lon));
}

function mapillary(id) {
  return link(`https://www.mapillary.com/app/?pKey=${encodeURIComponent(id)}`, cut(id, 40));
}

/** A link that leaves this machine: only when it is followed, and without saying from where. */
function link(href, text) {
  return element("a", { href, target: "_blank", rel: "noopener noreferrer" }, text);
}

function sizeOf({ width, height, bytes: size, type, pano }) {
  const kind = (type ?? "").replace("image/", "").toUpperCase();
  const measured = width && height ? `${width} × ${height}` : "";
  const stored = size ? bytes(size) : "";
  return [pano ? "panorama" : "", measured, kind, stored].filter(Boolean).join(", ");
}

/** Yield names and values of a row; members of members as `a.b`, lists on one line. */
function* flattened(row, prefix = "") {
  for (const [name, value] of Object.entries(row)) {
    const nested = value && typeof value === "object" && !Array.isArray(value);
    if (nested && prefix.length < 200) yield* flattened(value, `${prefix}${name}.`);
    else yield [prefix + name, typeof value === "string" ? value : JSON.stringify(value)];
  }
}
