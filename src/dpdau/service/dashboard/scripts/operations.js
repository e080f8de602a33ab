/** The service at work, for administrators: asked again every few seconds while it is looked at. */

import { announce, byId, element, table } from "./dom.js";
import * as api from "./api.js";
import * as format from "./format.js";

const EVERY_MS = 10_000;

let timer;
let round = 0;
let before = null;
let verified = null;
let shown = null;

/** Show the figures and keep them fresh until `stopOperations`. */
export async function startOperations(failed) {
  stopOperations();
  const own = round;
  try {
    const answer = await api.get("/operations");
    if (own !== round) return;
    show(answer, failed);
    before = answer;
    timer = setTimeout(() => startOperations(failed), EVERY_MS);
  } catch (problem) {
    failed(problem);
  }
}

/** Ask no more. */
export function stopOperations() {
  clearTimeout(timer);
  // An answer on its way is not shown and asks for no other.
  round += 1;
}

function show(answer, failed) {
  const { ingestion, ledger } = answer;
  byId("operations-figures").replaceChildren(
    tile("Events a second", rate(answer), `${format.count(ingestion.accepted)} since the start`),
    tile("Waiting events", format.count(ingestion.waiting), "to be written"),
    tile(
      "Rejected events",
      format.count(ingestion.rejected),
      `and ${format.count(ingestion.refused_after_erasure)} of erased people`,
    ),
    tile("Failed commits", format.count(ingestion.failed_commits), "groups of events"),
    tile("Erasures waiting", format.count(answer.erasures_waiting), "for their pages to be purged"),
    tile("Days due", format.count(answer.days_due), "closed and not published"),
  );
  // Left alone while nothing is new, so that whoever reads or scrolls it is not disturbed.
  const state = JSON.stringify([ledger, verified, answer.erasures]);
  if (state === shown) return;
  shown = state;
  byId("operations-erasures").replaceChildren(
    element("h2", { id: "erasures-title" }, "Erasures"),
    answer.erasures.length ? erasures(answer.erasures) : element("p", {}, "None was requested yet."),
  );
  byId("operations-ledger").replaceChildren(
    element(
      "header",
      {},
      element("h2", { id: "ledger-title" }, "Ledger"),
      element("button", { type: "button", id: "verify", onclick: () => verify(failed) }, "Verify all"),
    ),
    summary(ledger),
    ledger.newest.length ? newest(ledger.newest) : element("p", {}, "It has no rows yet."),
  );
}

function rate({ now, ingestion }) {
  if (before === null) return "…";
  const seconds = format.secondsOf(now) - format.secondsOf(before.now);
  const events = ingestion.accepted - before.ingestion.accepted;
  return seconds > 0 && events >= 0 ? format.error(events / seconds) : "…";
}

function tile(name, value, explanation) {
  return element(
    "div",
    { class: "card tile" },
    element("span", { class: "muted" }, name),
    element("strong", {}, value),
    element("span", { class: "muted" }, explanation),
  );
}

function summary({ rows, fault, verification }) {
  const wrong = fault ?? verification?.fault ?? null;
  if (wrong !== null) return element("p", { class: "error" }, wrong);
  const checked = verified ?? recomputed(verification);
  return element("p", {}, `${format.counted(rows, "row")}. ${checked}`);
}

function recomputed(verification) {
  if (verification === null) return "The newest row fits the copy of the ledger's head.";
  return `All of it was recomputed at ${format.moment(verification.finished_at)} and was right.`;
}

function newest(rows) {
  return table(
    "The newest rows of the ledger",
    ["Row", "Recorded", "Kind", "Subject", "Hash"],
    rows.map((row) => [
      format.count(row.sequence),
      format.moment(row.recorded_at),
      row.kind,
      row.subject,
      element("code", { title: row.hash }, row.hash.slice(0, 12)),
    ]),
  );
}

function erasures(records) {
  return table(
    "The last erasures requested",
    ["Requested", "State", "Took", "People named", "Record"],
    records.map((record) => [
      format.moment(record.requested_at),
      record.refusal === null ? record.state : `${record.state}: ${record.refusal}`,
      record.completed_at === null ? "–" : duration(record),
      format.count(record.users),
      element("code", {}, record.erasure_id),
    ]),
  );
}

function duration({ requested_at, completed_at }) {
  return `${format.error(format.secondsOf(completed_at) - format.secondsOf(requested_at))} s`;
}

async function verify(failed) {
  announce("Verifying the ledger.");
  byId("verify").disabled = true;
  try {
    const { rows } = await api.get("/ledger/verify");
    verified = `All ${format.count(rows)} rows were recomputed and are right.`;
    announce(verified);
  } catch (problem) {
    verified = null;
    failed(problem);
  }
  byId("verify").disabled = false;
  await startOperations(failed);
  byId("verify").focus();
}
