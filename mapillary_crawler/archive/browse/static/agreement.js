/** Whether parts that were removed here may be fetched from archive.org: asked once a session. */

import { act } from "./api.js";
import { announce, byId, cut } from "./elements.js";

const answers = new Map();
let item = null;

/** Say which item of archive.org has what a collection has removed. */
export function removedPartsAreIn(identifier) {
  item = identifier;
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
    return true;
  } catch (error) {
    announce(error.message);
    return false;
  }
}
