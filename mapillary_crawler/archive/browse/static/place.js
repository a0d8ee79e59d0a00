/** Where the viewer is: collection, part of the map, image and filter, kept in the URL's hash.
 *
 * Back, forward, reload and a second tab work by it: every part of the viewer listens to "change"
 * and shows what the place says.
 */

/** The questions that choose images, by the names that the server gives them. */
export const FILTERS = ["day", "month", "from", "to", "sequence", "camera", "pano"];

/** Characters of a sequence's name that an address takes; a stranger's may have millions. */
export const LONGEST = 1000;

export class Place extends EventTarget {
  constructor() {
    super();
    this.now = read(location.hash);
    addEventListener("hashchange", () => this.#become(read(location.hash)));
  }

  /** Go elsewhere: `changes` replace members of `now`. A step of the history, unless `replace`. */
  go(changes, { replace = false } = {}) {
    const next = { ...this.now, ...changes };
    const hash = written(next);
    if (hash !== written(this.now)) {
      history[replace ? "replaceState" : "pushState"](null, "", hash);
    }
    this.#become(next);
  }

  /** Replace the filter, which leaves the image open. */
  filter(filter) {
    this.go({ filter });
  }

  #become(next) {
    const before = this.now;
    this.now = next;
    this.dispatchEvent(new CustomEvent("change", { detail: { before, now: next } }));
  }
}

/** Say whether two filters choose the same. */
export function sameFilter(one, other) {
  return FILTERS.every((name) => one[name] === other[name]);
}

function read(hash) {
  const query = new URLSearchParams(hash.replace(/^#/, ""));
  const filter = {};
  for (const name of FILTERS) if (query.get(name)) filter[name] = query.get(name);
  return {
    collection: query.get("c"),
    view: viewOf(query.get("at")),
    image: /^\d{1,15}$/.test(query.get("image") ?? "") ? Number(query.get("image")) : null,
    filter,
  };
}

function viewOf(text) {
  const [zoom, latitude, longitude] = (text ?? "").split("/").map(Number);
  return [zoom, latitude, longitude].every(Number.isFinite) ? { zoom, latitude, longitude } : null;
}

function written({ collection, view, image, filter }) {
  const query = new URLSearchParams();
  if (collection) query.set("c", collection);
  if (view) {
    const place = [view.latitude.toFixed(6), view.longitude.toFixed(6)].join("/");
    query.set("at", `${view.zoom.toFixed(2)}/${place}`);
  }
  if (image !== null) query.set("image", image);
  for (const name of FILTERS) if (filter[name]) query.set(name, filter[name]);
  return `#${query.toString().replaceAll("%2F", "/")}`;
}
