/** One tab stop for a row of buttons: arrow keys, Home and End move within it. */

/** Attach to the buttons in a container; `columns()` says how many stand side by side. */
export function rove(container, columns = () => 1) {
  container.addEventListener("keydown", (event) => {
    const buttons = [...container.querySelectorAll("button:not(:disabled)")];
    const here = buttons.indexOf(document.activeElement);
    const steps = {
      ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns(), ArrowDown: columns(),
      Home: -buttons.length, End: buttons.length,
    };
    if (here < 0 || !(event.key in steps) || event.ctrlKey || event.altKey || event.metaKey) return;
    const there = Math.max(0, Math.min(buttons.length - 1, here + steps[event.key]));
    event.preventDefault();
    event.stopPropagation();
    buttons[there].focus();
  });
  container.addEventListener("focusin", (event) => {
    if (event.target.matches("button")) settle(container, event.target);
  });
}

/** Make one button the tab stop: the given one, or the first. */
export function settle(container, stop = null) {
  const buttons = [...container.querySelectorAll("button")];
  const chosen = stop ?? buttons.find((button) => !button.disabled);
  for (const button of buttons) button.tabIndex = button === chosen ? 0 : -1;
}
