/** The map: a canvas, the part of the world on it, and the layers that draw. */

import { gestures } from "./gestures.js";
import { latitudeOf, longitudeOf, TILE, xOf, yOf } from "./mercator.js";

const FARTHEST = 1;
const NEAREST = 20;
/** Where a single place is shown, and no closer. */
const STREET = 17;
const PALETTE = ["land", "sea", "coast", "grid", "track", "casing", "chosen", "dot", "ink"];

export class MapView extends EventTarget {
  /** Draws layers in their order; says "view" when it has come to rest, and "click", "hover". */
  constructor(canvas, layers) {
    super();
    this.canvas = canvas;
    this.layers = layers;
    this.x = 0.5;
    this.y = 0.5;
    this.zoom = 2;
    this.width = 1;
    this.height = 1;
    this.keyboard = false;
    this.#readColours();
    gestures(this);
    new ResizeObserver(() => this.measure()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      this.#readColours();
      this.draw();
    });
  }

  /** Pixels that the world is wide. */
  get scale() {
    return TILE * 2 ** this.zoom;
  }

  get longitude() {
    return longitudeOf(this.x);
  }

  get latitude() {
    return latitudeOf(this.y);
  }

  /** Return what is shown as [west, south, east, north], `margin` times its size beyond its edges. */
  bounds(margin = 0) {
    const across = (this.width / this.scale) * (0.5 + margin);
    const down = (this.height / this.scale) * (0.5 + margin);
    const [west, east] = [this.x - across, this.x + across];
    const whole = west < 0 || east > 1;
    return [
      whole ? -180 : longitudeOf(west), latitudeOf(Math.min(1, this.y + down)),
      whole ? 180 : longitudeOf(east), latitudeOf(Math.max(0, this.y - down)),
    ];
  }

  /** Return the pixel of a point of the world, on the copy of the world that is nearest. */
  pixelOf(x, y) {
    const apart = x - this.x - Math.round(x - this.x);
    return [apart * this.scale + this.width / 2, (y - this.y) * this.scale + this.height / 2];
  }

  /** Say whether a place is shown, and not at the very edge. */
  shows(longitude, latitude) {
    const [left, top] = this.pixelOf(xOf(longitude), yOf(latitude));
    const edge = 24;
    return left > edge && top > edge && left < this.width - edge && top < this.height - edge;
  }

  show({ longitude, latitude, zoom }) {
    this.#move(xOf(longitude), yOf(latitude), zoom ?? this.zoom);
  }

  /** Show all of [west, south, east, north]. */
  fit([west, south, east, north]) {
    const across = Math.max(xOf(east) - xOf(west), 1e-9);
    const down = Math.max(yOf(south) - yOf(north), 1e-9);
    const room = Math.min((0.86 * this.width) / across, (0.86 * this.height) / down);
    const zoom = Math.min(STREET, Math.log2(room / TILE));
    this.#move((xOf(west) + xOf(east)) / 2, (yOf(south) + yOf(north)) / 2, zoom);
  }

  /** Move by pixels. */
  pan(right, down) {
    this.#move(this.x + right / this.scale, this.y + down / this.scale, this.zoom);
  }

  /** Zoom by steps, so that what is at a pixel stays there. */
  zoomAt(steps, left = this.width / 2, top = this.height / 2) {
    const zoom = bounded(this.zoom + steps, FARTHEST, NEAREST);
    const shrink = 1 / this.scale - 1 / (TILE * 2 ** zoom);
    const x = this.x + (left - this.width / 2) * shrink;
    this.#move(x, this.y + (top - this.height / 2) * shrink, zoom);
  }

  /** Draw with the next frame. */
  draw() {
    if (this.drawing) return;
    this.drawing = requestAnimationFrame(() => {
      this.drawing = 0;
      this.#paint();
    });
  }

  #move(x, y, zoom) {
    const limited = bounded(zoom, FARTHEST, NEAREST);
    if (![x, y, limited].every(Number.isFinite)) return;
    this.x = x - Math.floor(x);
    this.y = bounded(y, 0, 1);
    this.zoom = limited;
    this.draw();
    clearTimeout(this.resting);
    this.resting = setTimeout(() => this.dispatchEvent(new Event("view")), 120);
  }

  /** Take the size that the window leaves. */
  measure() {
    const { clientWidth, clientHeight } = this.canvas;
    const same = clientWidth === this.width && clientHeight === this.height;
    if (!clientWidth || !clientHeight || same) return;
    this.width = clientWidth;
    this.height = clientHeight;
    this.sharpness = devicePixelRatio || 1;
    this.canvas.width = Math.round(clientWidth * this.sharpness);
    this.canvas.height = Math.round(clientHeight * this.sharpness);
    this.#paint();
    this.#move(this.x, this.y, this.zoom);
  }

  #paint() {
    const context = this.canvas.getContext("2d");
    context.setTransform(this.sharpness, 0, 0, this.sharpness, 0, 0);
    context.fillStyle = this.colours.sea;
    context.fillRect(0, 0, this.width, this.height);
    for (const layer of this.layers) {
      context.save();
      layer.draw(context, this);
      context.restore();
    }
    if (this.keyboard) this.#aim(context);
  }

  /** Mark the centre, which Enter opens. */
  #aim(context) {
    context.strokeStyle = this.colours.ink;
    context.lineWidth = 1.5;
    context.beginPath();
    for (const [x, y] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
      context.moveTo(this.width / 2 + 5 * x, this.height / 2 + 5 * y);
      context.lineTo(this.width / 2 + 14 * x, this.height / 2 + 14 * y);
    }
    context.stroke();
  }

  #readColours() {
    const style = getComputedStyle(document.documentElement);
    const named = PALETTE.map((name) => [name, style.getPropertyValue(`--map-${name}`).trim()]);
    this.colours = Object.fromEntries(named);
  }
}

function bounded(value, least, most) {
  return Math.max(least, Math.min(most, value));
}
