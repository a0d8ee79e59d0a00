/** Whether parts that were removed here may be fetched from archive.org: asked once a session. */

import { act } from "./api.js";
import { announce, byId, cut } from "./elements.js";
import { count } from "./format.js";

const answers = new Map();
let item = null;

/** Says "agreed" once somebody has. */
export const agreement = new EventTarget();

/** Show what a collection has removed here: how many parts, and which item of archive.org has it. */
export function showRemoved({ name, removed_parts: parts, remote_item: identifier }) {
  item = identifier;
  byId("removed").hidden = !parts || agreed(name);
  byId("removed-said").textContent =
    `${parts === 1 ? "A part" : `${count(parts)} parts`} of this collection ` +
    `${parts === 1 ? "is" : "are"} on archive.org, and not on this machine: no pictures of it here.`;
  byId("removed-fetch").onclick = () => {
    if (!agreed(name)) answers.delete(name);   // who has said no may think again
    askOnce(name);
  };
}

export function agreed(collection) {
  return answers.get(collection) === true;
}

/** Ask, if it has not been answered yet; returns whether it may. */
export async function askOnce(collection) {
  if (!answers.has(collection)) answers.set(collection, asked(collection));
  const answer = await answers.get(collection);
  answers.set(collection, answer);
  return answer;
}

function asked(collection) {
  const dialog = byId("agreement");
  const where = item ? `The item ${cut(item)} of archive.org` : "archive.org";
  byId("agreement-said").textContent =
    `Parts of this collection are not here. ${where} should have them. If you agree, ` +
    "the images you look at or download are fetched from there, each checked against its checksum. " +
    "Nothing else leaves this machine.";
  return new Promise((resolve) => {
    dialog.addEventListener("close", async () => {
      resolve(dialog.returnValue === "yes" && (await told(collection)));
    }, { once: true });
    dialog.returnValue = "no";
    dialog.showModal();
  });
}

async function told(collection) {
  try {
    await act({ action: "remote", collection, agree: true });
    answers.set(collection, true);
    byId("removed").hidden = true;
    agreement.dispatchEvent(new Event("agreed"));
    return true;
  } catch (error) {
    announce(error.message);
    return false;
  }
}
