// Puts the page together: the tabs, by keyboard too, and what is shown without a model.

import { h, command, quoted } from "./dom.js";
import { Library } from "./library.js";
import * as codes from "./tabs/codes.js";
import * as complete from "./tabs/complete.js";
import * as make from "./tabs/make.js";
import * as runs from "./tabs/runs.js";
import * as surprise from "./tabs/surprise.js";

// A tab is a module with `id`, `title`, `hint`, and `make(panel, library)`, which returns an object
// with `show()` and `hide()`.
const TABS = [make, complete, surprise, codes, runs];

const library = new Library();
const tablist = document.getElementById("tabs");
const main = document.getElementById("main");
const problem = h("p", { class: "problem", role: "alert", hidden: true });
const empty = h("section", { class: "empty", hidden: true });
main.replaceChildren(problem, empty);

const tabs = TABS.map((module) => {
  const tab = h(
    "button",
    {
      type: "button",
      role: "tab",
      id: `tab-${module.id}`,
      "aria-controls": `panel-${module.id}`,
      title: module.hint,
      onclick: () => choose(module.id),
    },
    module.title,
  );
  const panel = h("section", {
    role: "tabpanel",
    id: `panel-${module.id}`,
    tabindex: -1,
    "aria-labelledby": tab.id,
    hidden: true,
  });
  tablist.append(tab);
  main.append(panel);
  return { id: module.id, tab, panel, view: module.make(panel, library) };
});
let chosen = null;

/** The tab that a page begins with: without a prior nothing can be made. */
function first() {
  return library.entries.some((entry) => entry.kind === "prior") ? make.id : codes.id;
}

function choose(id) {
  const next = tabs.find((one) => one.id === id) ?? tabs[0];
  if (next !== chosen) chosen?.view.hide();
  for (const one of tabs) {
    one.tab.setAttribute("aria-selected", one === next);
    one.tab.tabIndex = one === next ? 0 : -1;
    one.panel.hidden = one !== next || library.entries.length === 0;
  }
  if (next !== chosen) next.view.show();
  chosen = next;
  history.replaceState(null, "", `#${next.id}`);
}

tablist.addEventListener("keydown", (event) => {
  const steps = { ArrowRight: 1, ArrowLeft: -1 };
  const at = tabs.indexOf(chosen);
  let next = at + (steps[event.key] ?? 0);
  if (event.key === "Home") next = 0;
  if (event.key === "End") next = tabs.length - 1;
  if (next === at) return;
  event.preventDefault();
  choose(tabs[(next + tabs.length) % tabs.length].id);
  chosen.tab.focus();
});

library.addEventListener("change", () => {
  problem.hidden = !library.problem;
  problem.textContent = library.problem ?? "";
  empty.hidden = library.entries.length > 0 || Boolean(library.problem);
  empty.replaceChildren(
    h("h2", {}, "No run or model yet"),
    h(
      "p",
      {},
      `Nothing was found in ${library.places.join(", ")}. What appears there is shown here by itself.`,
    ),
    h("p", {}, "Learn a codebook from your own pictures:"),
    command(`smalti train vqgan --data PHOTOS --out ${quoted(`${library.places[0]}/vqgan`)}`),
    h("p", {}, "or take over a tokenizer of another program:"),
    command(`smalti import CHECKPOINT --out ${quoted(`${library.places[0]}/imported`)}`),
  );
  choose(chosen?.id ?? (location.hash.slice(1) || first()));
});

library.start();
