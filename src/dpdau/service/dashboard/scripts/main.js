/** The dashboard: who is asking, which view is shown, and what happens when something fails. */

import { announce, byId } from "./dom.js";
import * as api from "./api.js";
import { clearNotice, showProblem } from "./notices.js";
import { startOperations, stopOperations } from "./operations.js";
import { loadOverview, redrawOverview, startRange } from "./overview.js";
import { startPlanner } from "./planner.js";
import { startTheme } from "./theme.js";

/** Which scope a view needs, and what shows it. */
const VIEWS = {
  overview: { scope: "read", show: loadOverview },
  planner: { scope: "read", show: startPlanner },
  operations: { scope: "admin", show: startOperations },
};

let scopes = [];

startTheme(redrawOverview);
startRange(() => open("overview"));
byId("key-form").addEventListener("submit", signIn);
byId("sign-out").addEventListener("click", signOut);
addEventListener("hashchange", () => open(wanted()));
start();

/** Find out what may be shown, and show it. */
async function start() {
  try {
    const identity = await api.get("/whoami");
    scopes = identity.scopes;
    byId("sign-out").hidden = !identity.keys_required || api.key.get() === null;
  } catch (problem) {
    return failed(problem, start);
  }
  if (!allowed().length) return askForKey();
  return open(wanted());
}

const allowed = () => Object.keys(VIEWS).filter((name) => scopes.includes(VIEWS[name].scope));

function wanted() {
  const named = location.hash.slice(1);
  return allowed().includes(named) ? named : allowed()[0];
}

async function open(name) {
  if (name === undefined) return;
  clearNotice();
  stopOperations();
  byId("sign-in").hidden = true;
  byId("views").hidden = false;
  for (const link of byId("views").querySelectorAll("a")) {
    const view = link.hash.slice(1);
    link.hidden = !allowed().includes(view);
    if (view === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  for (const view of Object.keys(VIEWS)) byId(view).hidden = view !== name;
  const onProblem = (problem) => failed(problem, () => open(name));
  try {
    await VIEWS[name].show(onProblem);
  } catch (problem) {
    onProblem(problem);
  }
}

function failed(problem, retry) {
  // What is no answer of the service is a fault of this page, to be seen as such.
  if (!(problem instanceof api.Problem)) throw problem;
  if (problem.isKeyRefused) {
    api.key.forget();
    askForKey("That key is not known any more. Enter another one.");
  } else {
    showProblem(problem, retry);
  }
}

function askForKey(reason = "") {
  clearNotice();
  stopOperations();
  scopes = [];
  for (const view of [...Object.keys(VIEWS), "views", "sign-out"]) byId(view).hidden = true;
  byId("sign-in").hidden = false;
  byId("key-error").textContent = reason;
  byId("key").focus();
}

async function signIn(event) {
  event.preventDefault();
  const typed = byId("key").value;
  byId("key-error").textContent = "";
  clearNotice();
  try {
    const identity = await api.get("/whoami", {}, { as: typed });
    if (!Object.values(VIEWS).some(({ scope }) => identity.scopes.includes(scope))) {
      const may = identity.scopes.join(", ");
      byId("key-error").textContent = `That key may only ${may}. The dashboard needs one that may read.`;
      return;
    }
  } catch (problem) {
    if (!problem.isKeyRefused) return failed(problem, () => askForKey());
    byId("key-error").textContent = "That key is not known. Check that all of it was pasted.";
    byId("key").select();
    return;
  }
  api.key.keep(typed);
  byId("key").value = "";
  announce("Signed in.");
  await start();
  byId("main").focus({ preventScroll: true });
}

function signOut() {
  api.key.forget();
  // Nothing of what was shown stays in the page.
  location.reload();
}
