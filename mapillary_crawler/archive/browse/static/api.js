/** What the viewer asks of its server, which is the program on this machine. */

/** The server's own refusal, with its words. */
export class Refused extends Error {
  constructor(text, status) {
    super(text);
    this.status = status;
  }
}

/** The server does not answer: the program has ended, or the machine sleeps. */
export class Lost extends Error {}

/** Says "lost" once when the server is lost, and "back" when it answers again. */
export const connection = new EventTarget();
const AGAIN_AFTER = 3000;
let lost = false;

/** Return the answer to a question as an object; raises `Refused`, `Lost` or an AbortError. */
export async function ask(path, parameters = {}, signal = undefined) {
  const response = await reach(withQuery(path, parameters), { signal });
  return answerOf(response);
}

/** Return why a picture cannot be shown, in the server's words. */
export async function reasonFor(path) {
  try {
    await answerOf(await reach(path, {}));
  } catch (error) {
    if (error instanceof Refused || error instanceof Lost) return error.message;
  }
  return "The browser cannot show this file.";
}

/** Do what changes something: `remote` or `save`. */
export async function act(action) {
  const { token } = await ask("/api/session");
  const response = await reach("/api/action", {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Token": token },
    body: JSON.stringify(action),
  });
  return answerOf(response);
}

/** Return the address of a collection's answers, as `/api/c/NAME/what`. */
export function collectionPath(name, what = "") {
  return `/api/c/${encodeURIComponent(name)}${what && `/${what}`}`;
}

/** Return the address of a picture; `width` in pixels asks for a small one. */
export function picturePath(name, number, width = undefined) {
  return withQuery(`/image/c/${encodeURIComponent(name)}/${number}`, { width });
}

export function filePath(name, number) {
  return `${picturePath(name, number)}/file`;
}

export function zipPath(name, selection) {
  return withQuery(`/zip/c/${encodeURIComponent(name)}`, selection);
}

function withQuery(path, parameters) {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(parameters)) {
    if (value !== undefined && value !== null && value !== "") query.set(key, value);
  }
  const text = query.toString();
  return text ? `${path}?${text}` : path;
}

async function reach(path, options) {
  try {
    const response = await fetch(path, options);
    found();
    return response;
  } catch (error) {
    if (error.name === "AbortError") throw error;
    missed();
    throw new Lost("The viewer's program does not answer.");
  }
}

async function answerOf(response) {
  const kind = response.headers.get("Content-Type") ?? "";
  const answer = kind.includes("json") ? await response.json() : {};
  if (!response.ok) {
    throw new Refused(answer.error ?? `The server answered ${response.status}.`, response.status);
  }
  return answer;
}

function missed() {
  if (lost) return;
  lost = true;
  connection.dispatchEvent(new Event("lost"));
  setTimeout(look, AGAIN_AFTER);
}

function found() {
  if (!lost) return;
  lost = false;
  connection.dispatchEvent(new Event("back"));
}

async function look() {
  try {
    await fetch("/api/session");
    found();
  } catch {
    setTimeout(look, AGAIN_AFTER);
  }
}
