/** The viewer of `scrapy browse`: puts its parts together. */

import { agreement, showRemoved } from "./agreement.js";
import { ask, collectionPath, connection } from "./api.js";
import { Atlas } from "./atlas.js";
import { Downloads } from "./downloads.js";
import { announce, byId, cut, element, foreign } from "./elements.js";
import { Filters } from "./filters.js";
import { images, span } from "./format.js";
import { ImageView } from "./image.js";
import { List } from "./list.js";
import { Place } from "./place.js";
import { showProblems } from "./problems.js";
import { Timeline } from "./timeline.js";

const place = new Place();
const atlas = new Atlas(place);
const bounds = () => atlas.map.bounds();
const view = new ImageView(place);
const list = new List(place, bounds);
const filters = new Filters(place);
const timeline = new Timeline(place);
const downloads = new Downloads(place, () => view.image, bounds);
let folder = null;
/** Windows in which the side lies over what an image needs. */
const OVER = matchMedia("(max-width: 1279px)");

async function start() {
  try {
    const { collections, to } = await ask("/api/collections");
    folder = to;
    offer(collections);
    if (!collections.length) return summary("There is no collection here.");
    const known = collections.some(({ name }) => name === place.now.collection);
    const elsewhere = place.now.collection !== null && { view: null, image: null, filter: {} };
    if (known) await open(place.now);
    else place.go({ ...elsewhere, collection: collections[0].name }, { replace: true });
  } catch (error) {
    summary(error.message);
  }
  return undefined;
}

function offer(collections) {
  const select = byId("collections");
  select.hidden = collections.length < 2;
  byId("heading").hidden = collections.length > 1;
  const options = collections.map(({ name, images: number }) => (
    element("option", { value: name }, cut(name, 80) + (number === null ? "" : ` (${images(number)})`))
  ));
  select.replaceChildren(...options);
  select.addEventListener("change", () => {
    place.go({ collection: select.value, view: null, image: null, filter: {} });
  });
}

/** Show a collection: what is known of it first, then what takes longer. */
async function open(now) {
  const name = now.collection;
  byId("collections").value = name;
  byId("heading").replaceChildren(foreign(name, 120));
  document.title = `${cut(name, 80)} – Mapillary collection`;
  try {
    const about = await ask(collectionPath(name));
    const { days } = await ask(collectionPath(name, "days"));
    if (place.now.collection !== name) return;
    summary(summaryOf(about));
    showProblems(about.problems);
    showRemoved(about);
    downloads.take(about, folder);
    filters.offer(days, about.cameras);
    timeline.take(about.months);
    atlas.take(about);
    list.follow({ filter: {} }, place.now);
    view.show(place.now);
  } catch (error) {
    summary(error.message);
  }
}

function summaryOf(about) {
  const parts = [images(about.saved)];
  const [first, last] = [about.months[0]?.[0], about.months.at(-1)?.[0]];
  if (first) parts.push(span(first, last));
  if (about.panoramas) parts.push(`${images(about.panoramas).replace("image", "panorama")}`);
  return parts.join(" · ");
}

function summary(text) {
  byId("summary").textContent = text;
}

place.addEventListener("change", ({ detail: { before, now } }) => {
  if (before.collection !== now.collection) {
    open(now);
    return;
  }
  filters.show(now);
  timeline.mark(now);
  atlas.follow(before, now);
  list.follow(before, now);
  if (before.image === now.image) return;
  view.show(now);
  if (byId("side").contains(document.activeElement) && OVER.matches) {
    toggleSide(false);
    byId("image").focus();
  }
});

view.addEventListener("open", ({ detail: image }) => atlas.open(image));
view.addEventListener("look", ({ detail: compass }) => atlas.look(compass));
view.addEventListener("find", () => atlas.find());
atlas.addEventListener("moved", () => list.moved());
agreement.addEventListener("agreed", () => list.again());

connection.addEventListener("lost", () => {
  byId("lost").hidden = false;
});
connection.addEventListener("back", () => {
  byId("lost").hidden = true;
  announce("The program answers again.");
  if (atlas.about) atlas.load();
  else start();
});

function toggleSide(shown) {
  document.body.classList.toggle("side-shown", shown);
  byId("side-toggle").setAttribute("aria-expanded", String(shown));
}

byId("side-toggle").addEventListener("click", () => {
  toggleSide(!document.body.classList.contains("side-shown"));
});
byId("skip").addEventListener("click", (event) => {
  event.preventDefault();
  toggleSide(true);
  byId("list-heading").focus();
});
byId("keys-open").addEventListener("click", () => byId("keys").showModal());

start();
