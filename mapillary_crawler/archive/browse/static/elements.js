/** Making elements. What comes from a collection is hostile text: it gets in as text nodes alone. */

/** Characters of a name that are shown; the rest is cut. */
export const SHOWN = 200;

/** Return a new element; `properties` are its own, `data-` and `aria-` names are attributes. */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes("-") || name === "role" || name === "for") made.setAttribute(name, value);
    else made[name] = value;
  }
  made.append(...children);
  return made;
}

/** Return text of at most `limit` characters, ended by an ellipsis where it was longer. */
export function cut(text, limit = SHOWN) {
  const characters = String(text);
  return characters.length > limit ? `${characters.slice(0, limit - 1)}…` : characters;
}

/** Return foreign text as an element whose writing direction leaves its surroundings alone. */
export function foreign(text, limit = SHOWN) {
  return element("bdi", {}, cut(text, limit));
}

export function byId(id) {
  return document.getElementById(id);
}

/** Tell what has happened to those who do not see it. */
export function announce(text) {
  byId("said").textContent = text;
}
