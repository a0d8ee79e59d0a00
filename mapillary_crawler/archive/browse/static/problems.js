/** What is missing from a collection, by name. */

import { byId, element, foreign } from "./elements.js";

/** Characters of a line and lines that are shown. */
const LINE = 500;
const LINES = 200;

export function showProblems(problems) {
  const button = byId("problems-open");
  button.hidden = !problems.length;
  const said = problems.length === 1 ? "1 problem" : `${problems.length} problems`;
  byId("problems-count").textContent = said;
  button.setAttribute("aria-label", said);
  const lines = problems.slice(0, LINES).map((line) => element("li", {}, foreign(line, LINE)));
  if (problems.length > LINES) lines.push(element("li", {}, `… ${problems.length - LINES} more`));
  byId("problems-list").replaceChildren(...lines);
}

byId("problems-open").addEventListener("click", () => byId("problems").showModal());
