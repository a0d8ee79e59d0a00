/** The map of a collection: asks for what is in sight, and opens what is clicked. */

import { ask, collectionPath } from "./api.js";
import { byId } from "./elements.js";
import { Dots, NEAR } from "./dots.js";
import { Graticule } from "./graticule.js";
import { showHover } from "./hover.js";
import { Land } from "./land.js";
import { MapView } from "./map.js";
import { latitudeOf, longitudeOf } from "./mercator.js";
import { sameFilter } from "./place.js";
import { showScale } from "./scale.js";
import { Tracks } from "./tracks.js";

/** Pixels that a click may miss an image or a track by; the key Enter aims less well. */
const REACH = 14;
const KEY_REACH = 200;
/** What is asked for beyond the edges, in parts of what is shown. */
const MARGIN = 0.3;

export class Atlas extends EventTarget {
  /** Says "moved" when the map shows another part of the world. */
  constructor(place) {
    super();
    this.place = place;
    this.about = null;
    this.land = new Land();
    this.tracks = new Tracks();
    this.dots = new Dots();
    const layers = [this.land, new Graticule(), this.tracks, this.dots];
    this.map = new MapView(byId("canvas"), layers);
    this.#listen();
    this.land.load().then(() => this.map.draw());
  }

  /** Take what is known of a collection, and show the place's part of it, or all. */
  take(about) {
    this.about = about;
    this.tracks.take([]);
    this.dots.take([]);
    this.#note("");
    if (!about.placed) this.#note("No image of this collection has a place. The list has them all.");
    if (this.place.now.view) this.map.show(this.place.now.view);
    else this.everything();
    this.load();
  }

  everything() {
    const box = this.about?.bbox;
    if (box) this.map.fit(box);
    else this.map.show({ longitude: 0, latitude: 20, zoom: 1.5 });
  }

  /** Follow the place: back and forward move the map, a filter changes what is on it. */
  follow(before, now) {
    const view = now.view;
    if (view && !this.#isAt(view)) this.map.show(view);
    if (!sameFilter(before.filter, now.filter)) this.#filtered();
  }

  /** Mark the open image and its sequence; the map moves where it is out of sight. */
  open(image) {
    this.tracks.chosen = image?.sequence ?? null;
    const placed = image && image.lon !== null;
    this.dots.open = placed ? { longitude: image.lon, latitude: image.lat, compass: image.compass } : null;
    this.map.measure();   // an image takes its part of the window
    if (placed && !this.map.shows(image.lon, image.lat)) this.find();
    this.map.draw();
  }

  /** Turn the sight of the open image. */
  look(compass) {
    if (!this.dots.open || this.dots.open.compass === compass) return;
    this.dots.open.compass = compass;
    this.map.draw();
  }

  /** Bring the open image to the middle, near enough to see it among the others. */
  find() {
    if (this.dots.open) this.map.show({ ...this.dots.open, zoom: Math.max(this.map.zoom, NEAR + 1) });
  }

  /** Ask for tracks and images in sight. */
  async load() {
    const { collection, filter } = this.place.now;
    if (!collection || !this.about?.placed) return;
    this.asking?.abort();
    this.asking = new AbortController();
    const bbox = this.map.bounds(MARGIN).map((degrees) => degrees.toFixed(6)).join(",");
    const query = { ...filter, bbox, zoom: Math.round(this.map.zoom) };
    const get = (what) => ask(collectionPath(collection, what), query, this.asking.signal);
    try {
      const near = this.map.zoom >= NEAR;
      const [lines, dots] = await Promise.all([get("tracks"), near ? get("images") : null]);
      this.tracks.take(lines.tracks);
      this.dots.take(dots?.images ?? []);
      this.#note(lines.truncated || dots?.truncated ? "There is more here: zoom in to see it all." : "");
    } catch (error) {
      if (error.name !== "AbortError") this.#note(error.message);
    }
    this.map.draw();
  }

  /** Show what a filter chooses; where none of it is in sight, go there. */
  async #filtered() {
    await this.load();
    const { collection, filter } = this.place.now;
    if (this.tracks.lines.length || !this.about?.placed) return;
    try {
      const path = collectionPath(collection, "tracks");
      const { tracks } = await ask(path, { ...filter, zoom: 4 });
      const places = tracks.flatMap(({ points }) => points);
      if (places.length && this.place.now.filter === filter) this.map.fit(around(places));
    } catch (error) {
      this.#note(error.message);
    }
  }

  #listen() {
    const { map } = this;
    map.addEventListener("view", () => {
      if (!this.about) return;
      const view = { zoom: map.zoom, latitude: map.latitude, longitude: map.longitude };
      this.place.go({ view }, { replace: true });
      showScale(map);
      this.load();
      this.dispatchEvent(new Event("moved"));
    });
    map.addEventListener("click", ({ detail }) => this.#click(detail.point, detail.near));
    map.addEventListener("hover", ({ detail }) => this.#hover(detail.point));
    byId("zoom-in").addEventListener("click", () => map.zoomAt(1));
    byId("zoom-out").addEventListener("click", () => map.zoomAt(-1));
    byId("zoom-all").addEventListener("click", () => this.everything());
  }

  #hover(point) {
    const image = point && this.dots.nearest(this.map, point, REACH);
    if (point) byId("canvas").classList.toggle("over", Boolean(image) || this.#onTrack(point));
    if (image === this.dots.hovered) return;
    this.dots.hovered = image;
    const pixel = image && this.map.pixelOf(image.x, image.y);
    showHover(this.place.now.collection, image, pixel, this.map);
    this.map.draw();
  }

  #onTrack(point) {
    return this.map.zoom < NEAR && Boolean(this.tracks.nearest(this.map, point, REACH / 2));
  }

  /** Open the image at a pixel; where only tracks are shown, the one nearest on them. */
  async #click(point, near) {
    const reach = near ? KEY_REACH : REACH;
    const image = this.dots.nearest(this.map, point, reach);
    if (image) return this.place.go({ image: image.number });
    const found = this.tracks.nearest(this.map, point, reach);
    if (!found) return undefined;
    try {
      const number = await this.#nearestTo(found);
      if (number !== null) this.place.go({ image: number });
    } catch (error) {
      this.#note(error.message);
    }
    return undefined;
  }

  /** Ask for the images around a pixel, and return the number of the nearest; null without any. */
  async #nearestTo([left, top]) {
    const { map } = this;
    const { collection, filter } = this.place.now;
    const x = map.x + (left - map.width / 2) / map.scale;
    const y = map.y + (top - map.height / 2) / map.scale;
    const apart = REACH / map.scale;
    const corners = [
      longitudeOf(x - apart), latitudeOf(y + apart), longitudeOf(x + apart), latitudeOf(y - apart),
    ];
    const bbox = corners.map((degrees) => degrees.toFixed(7)).join(",");
    const query = { ...filter, bbox, zoom: Math.round(map.zoom) };
    const { images } = await ask(collectionPath(collection, "images"), query);
    const dots = new Dots();
    dots.take(images);
    const far = (dot) => Math.hypot(dot.x - x, dot.y - y);
    const [first] = dots.images.sort((one, other) => far(one) - far(other));
    return first?.number ?? null;
  }

  #isAt({ zoom, latitude, longitude }) {
    const { map } = this;
    const near = (one, other, apart) => Math.abs(one - other) < apart;
    return near(zoom, map.zoom, 0.01) && near(latitude, map.latitude, 2e-6)
      && near(longitude, map.longitude, 2e-6);
  }

  #note(text) {
    byId("map-note").textContent = text;
    byId("map-note").hidden = !text;
  }
}

/** Return [west, south, east, north] of places, [[longitude, latitude], …]. */
function around(places) {
  const box = [Infinity, Infinity, -Infinity, -Infinity];
  for (const [longitude, latitude] of places) {
    box[0] = Math.min(box[0], longitude);
    box[1] = Math.min(box[1], latitude);
    box[2] = Math.max(box[2], longitude);
    box[3] = Math.max(box[3], latitude);
  }
  return box;
}
