/** How the map is moved: mouse, wheel, fingers and keys. */

/** Pixels that a pointer may tremble in a click. */
const TREMBLE = 5;
/** Pixels that an arrow key moves. */
const STEP = 90;

/** Attach to a `MapView`, whose canvas then takes all of these. */
export function gestures(map) {
  pointers(map);
  wheel(map);
  keys(map);
}

function pointers(map) {
  const { canvas } = map;
  const down = new Map();
  let travelled = 0;
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    if (!down.size) travelled = 0;
    down.set(event.pointerId, at(event));
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    const before = down.get(event.pointerId);
    if (!before) {
      if (event.pointerType === "mouse") tell(map, "hover", at(event));
      return;
    }
    const now = at(event);
    const others = [...down].filter(([id]) => id !== event.pointerId).map(([, point]) => point);
    travelled += Math.hypot(now[0] - before[0], now[1] - before[1]);
    if (others.length) pinch(map, others[0], before, now);
    else if (travelled > TREMBLE) map.pan(before[0] - now[0], before[1] - now[1]);
    down.set(event.pointerId, now);
  });
  canvas.addEventListener("pointerup", (event) => {
    const alone = down.size === 1 && down.has(event.pointerId);
    down.delete(event.pointerId);
    if (alone && travelled <= TREMBLE) tell(map, "click", at(event));
  });
  canvas.addEventListener("pointercancel", (event) => down.delete(event.pointerId));
  canvas.addEventListener("pointerleave", () => tell(map, "hover", null));
}

/** Zoom and move so that both fingers stay where they are on the land. */
function pinch(map, still, before, now) {
  const apart = (point) => Math.max(1, Math.hypot(point[0] - still[0], point[1] - still[1]));
  const middle = [(still[0] + now[0]) / 2, (still[1] + now[1]) / 2];
  map.pan((before[0] - now[0]) / 2, (before[1] - now[1]) / 2);
  map.zoomAt(Math.log2(apart(now) / apart(before)), ...middle);
}

function wheel(map) {
  map.canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 30 : 1;
    const speed = event.ctrlKey ? 0.01 : 0.0025;   // a pinch on a touchpad comes as Ctrl and wheel
    const steps = Math.max(-1, Math.min(1, -event.deltaY * lines * speed));
    map.zoomAt(steps, ...at(event));
  }, { passive: false });
}

function keys(map) {
  const { canvas } = map;
  const moves = {
    ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP],
  };
  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    if (moves[event.key]) map.pan(...moves[event.key]);
    else if (event.key === "+" || event.key === "=") map.zoomAt(1);
    else if (event.key === "-") map.zoomAt(-1);
    else if (event.key === "Enter") tell(map, "click", [map.width / 2, map.height / 2], true);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  canvas.addEventListener("focus", () => aim(map, canvas.matches(":focus-visible")));
  canvas.addEventListener("blur", () => aim(map, false));
}

function aim(map, shown) {
  map.keyboard = shown;
  map.draw();
}

function at(event) {
  return [event.offsetX, event.offsetY];
}

function tell(map, name, point, near = false) {
  map.dispatchEvent(new CustomEvent(name, { detail: { point, near } }));
}
