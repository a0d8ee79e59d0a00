/** The keys of an open image, wherever in the window the focus is. */

/** Degrees that an arrow key turns a panorama to the right and up. */
const TURNS = {
  ArrowLeft: [-15, 0], ArrowRight: [15, 0], ArrowUp: [0, 10], ArrowDown: [0, -10],
};

/** Attach to an `ImageView`. The map, the months and the list keep their own arrow keys. */
export function imageKeys(view) {
  document.addEventListener("keydown", (event) => {
    const held = event.ctrlKey || event.altKey || event.metaKey;
    const typed = event.target.closest("input, select, textarea, dialog");
    if (view.place.now.image === null || typed || held) return;
    if (does(view, event)) event.preventDefault();
  });
}

function does(view, { key, shiftKey, target }) {
  if (shiftKey && TURNS[key]) view.panorama.turn(...TURNS[key]);
  else if (target.closest("#flat.full, #flat.wide") && TURNS[key]) return false;   // it scrolls
  else if (key === "ArrowLeft") view.step("previous");
  else if (key === "ArrowRight") view.step("next");
  else if (key === "Escape") view.close();
  else return false;
  return true;
}
