/** Panoramas, by pannellum (in pannellum/, see its README), loaded when the first one is opened. */

import { element } from "./elements.js";

export class Panorama extends EventTarget {
  /** Shows in a container; `controls` holds the buttons that turn it. Says "look" as it turns. */
  constructor(container, controls) {
    super();
    this.container = container;
    this.controls = controls;
    this.viewer = null;
    this.possible = hasWebGL();
    controls.addEventListener("click", (event) => {
      const { turn, tilt, zoom } = event.target.closest("button")?.dataset ?? {};
      if (turn || tilt) this.turn(Number(turn ?? 0), Number(tilt ?? 0));
      else if (zoom) this.viewer?.setHfov(this.viewer.getHfov() + Number(zoom), this.#pace());
    });
  }

  /** Degrees that the view is turned from the panorama's middle; null where none is shown. */
  get yaw() {
    return this.viewer ? this.viewer.getYaw() : null;
  }

  /** Show the picture at an address; returns null, or why it cannot be shown. */
  async show(path) {
    this.close();
    this.container.hidden = false;
    const box = this.container.appendChild(element("div", { className: "panorama-box" }));
    try {
      await library();
    } catch {
      this.close();
      return "its viewer could not be loaded.";
    }
    if (!box.isConnected) return null;
    return new Promise((resolve) => {
      const viewer = window.pannellum.viewer(box, {
        type: "equirectangular",
        panorama: path,
        autoLoad: true,
        showControls: false,
        disableKeyboardCtrl: true,   // arrow keys lead along the sequence
        hfov: 100,
        minHfov: 30,
        friction: this.#pace() ? 0.15 : 1,   // it glides on, or stops with the hand
        strings: { loadingLabel: "" },
      });
      this.viewer = viewer;
      box.firstElementChild.tabIndex = -1;
      viewer.on("load", () => {
        this.controls.hidden = false;
        this.#watch(viewer);
        resolve(null);
      });
      viewer.on("error", (reason) => {
        if (this.viewer === viewer) this.close();
        resolve(element("p", { textContent: reason }).textContent);
      });
    });
  }

  turn(degrees, up) {
    const { viewer } = this;
    if (!viewer) return;
    const pitch = Math.max(-90, Math.min(90, viewer.getPitch() + up));
    viewer.lookAt(pitch, viewer.getYaw() + degrees, viewer.getHfov(), this.#pace());
  }

  close() {
    const { viewer } = this;
    this.viewer = null;
    try {
      viewer?.destroy();
    } catch {
      // It was still loading; what it has put into the page goes with its box.
    }
    this.container.replaceChildren();
    this.container.hidden = true;
    this.controls.hidden = true;
  }

  /** Milliseconds that a turn takes. */
  #pace() {
    return matchMedia("(prefers-reduced-motion: reduce)").matches ? false : 300;
  }

  #watch(viewer) {
    let seen = null;
    const look = () => {
      if (this.viewer !== viewer) return;
      const yaw = viewer.getYaw();
      if (yaw !== seen) this.dispatchEvent(new Event("look"));
      seen = yaw;
      requestAnimationFrame(look);
    };
    look();
  }
}

let loading = null;

function library() {
  loading ??= new Promise((resolve, reject) => {
    document.head.append(
      element("link", { rel: "stylesheet", href: "/static/pannellum/pannellum.css" }),
      element("script", { src: "/static/pannellum/pannellum.js", onload: resolve, onerror: reject }),
    );
  });
  return loading;
}

function hasWebGL() {
  try {
    return Boolean(document.createElement("canvas").getContext("webgl"));
  } catch {
    return false;
  }
}
