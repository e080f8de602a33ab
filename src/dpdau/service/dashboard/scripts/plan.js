/** The plan of a period's series and its certificate, asked for when someone opens it. */

import { element, facts } from "./dom.js";
import * as api from "./api.js";
import * as format from "./format.js";

/** @param releases the newest value of each metric. */
export function planCard(releases, failed) {
  return element(
    "article",
    { class: "card", "aria-labelledby": "plan-title" },
    element("header", {}, element("h2", { id: "plan-title" }, "Plan and certificate")),
    element(
      "p",
      { class: "muted" },
      "How a period's values are measured together, and the proof that no other way of adding " +
        "Gaussian noise could be much more precise.",
    ),
    releases.map((release) =>
      release.mechanism === "continual" ? planDetails(release, failed) : withoutPlan(release),
    ),
  );
}

function withoutPlan({ metric, mechanism }) {
  const text = `${metric.toUpperCase()} has no plan: each value is released by itself (${mechanism}).`;
  return element("p", {}, text);
}

function planDetails({ metric, guarantee: { period } }, failed) {
  const content = element("div", {}, element("p", { class: "muted" }, "Loading…"));
  let isAsked = false;
  const load = async ({ currentTarget }) => {
    if (isAsked || !currentTarget.open) return;
    isAsked = true;
    try {
      content.replaceChildren(certificate(await api.get(`/plan/${metric}/${period}`)));
    } catch (problem) {
      isAsked = false;
      failed(problem);
    }
  };
  const title = `${metric.toUpperCase()} in ${period}`;
  return element("details", { ontoggle: load }, element("summary", {}, title), content);
}

function certificate(plan) {
  const { runs } = plan.presence;
  return facts([
    ["Days measured", format.count(plan.days)],
    ["Cost of them all", `ε = ${format.figure(plan.epsilon)}, δ = ${format.delta(plan.delta)}`],
    ["The same in zCDP", `ρ = ${format.figure(plan.rho)}`],
    ["Presence of one person", runs === null ? "any days" : format.counted(runs, "run")],
    ["Noise σ of a measurement", format.figure(plan.sigma / plan.scale)],
    ["Error per σ (root mean square)", plan.primal.toFixed(4)],
    ["No strategy has less than", plan.dual.toFixed(4)],
    ["So at most this far from the best", format.tinyShare(plan.gap)],
    ["Plan", element("code", { title: plan.plan_id }, plan.plan_id.slice(0, 16))],
  ]);
}
