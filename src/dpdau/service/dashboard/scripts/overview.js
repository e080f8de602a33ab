/** The overview: the three series over a range of days, and what they promise and cost. */

import { announce, byId, element } from "./dom.js";
import * as api from "./api.js";
import * as format from "./format.js";
import { budgetCard } from "./budget.js";
import { guaranteeCard } from "./guarantee.js";
import { planCard } from "./plan.js";
import { pointsOf, SERIES, seriesPanel } from "./series.js";

const DAYS = 90;

let panels = [];
let chosenRange = "month";
let round = 0;

/** Draw again what is on a canvas, whose colours do not follow the style sheet by themselves. */
export function redrawOverview() {
  for (const panel of panels) panel.redraw();
}

/** Let the range be chosen; `reload` shows it. */
export function startRange(reload) {
  for (const button of document.querySelectorAll("[data-range]")) {
    button.addEventListener("click", () => {
      chosenRange = button.dataset.range;
      for (const each of document.querySelectorAll("[data-range]")) {
        each.setAttribute("aria-pressed", String(each === button));
      }
      byId("custom").hidden = chosenRange !== "custom";
      if (chosenRange === "custom") byId("start").focus();
      else reload();
    });
  }
  byId("start").addEventListener("change", bound);
  byId("range").addEventListener("submit", (event) => {
    event.preventDefault();
    reload();
  });
}

const bound = () => {
  byId("end").min = byId("start").value;
};

/** Ask for the chosen range and show it. Only published values are asked for: nothing is spent. */
export async function loadOverview(failed) {
  round += 1;
  const own = round;
  byId("overview").setAttribute("aria-busy", "true");
  try {
    const range = await rangeChosen();
    const look = { ...range, publish: false };
    const [dau, mau, stickiness, budgets, ...current] = await Promise.all([
      api.get("/series/dau", look),
      api.get("/series/mau", look),
      api.get("/stickiness", range),
      api.get("/budget"),
      api.get("/budget/dau", { day: range.end }),
      api.get("/budget/mau", { day: range.end }),
    ]);
    const newest = [dau, mau].map((answer) => answer.releases.at(-1)).filter(Boolean);
    const told = await Promise.all(
      newest.map((release) => api.get(`/releases/${release.release_id}/explain`)),
    );
    // Another range was chosen while the answers were on their way.
    if (own !== round) return;
    for (const panel of panels) panel.remove();
    panels = [];
    const cards = [
      ...seriesCards({ dau, mau, stickiness }, failed),
      budgetCard(budgets, current),
      ...(told.length ? [guaranteeCard(told), planCard(newest, failed)] : []),
    ];
    byId("cards").replaceChildren(...cards);
    for (const panel of panels) panel.draw();
    announce(`Showing ${format.day(range.start)} to ${format.day(range.end)}.`);
  } finally {
    if (own === round) byId("overview").removeAttribute("aria-busy");
  }
}

async function rangeChosen() {
  if (chosenRange === "custom") return { start: byId("start").value, end: byId("end").value };
  const { end } = await api.get("/stickiness");
  const start = chosenRange === "month" ? `${end.slice(0, 8)}01` : format.plusDays(end, 1 - DAYS);
  byId("start").value = start;
  byId("end").value = end;
  bound();
  return { start, end };
}

function seriesCards(answers, failed) {
  return Object.entries(answers).map(([name, answer]) => {
    const points = pointsOf(name, answer);
    if (!points.length) return emptyCard(name, answer);
    const absent = answer.unpublished ?? answer.missing;
    const range = { start: answer.start, end: answer.end, absent };
    const panel = seriesPanel(name, points, range, choose, failed);
    panels.push(panel);
    return panel.panel;
  });
}

/** Every chart shows the same day. */
function choose(day) {
  for (const panel of panels) panel.select(day);
}

function emptyCard(name, { start, end }) {
  return element(
    "article",
    { class: "card series empty", "data-series": name },
    element("header", {}, element("h2", {}, SERIES[name].title)),
    element("p", {}, element("strong", {}, "No values yet")),
    element(
      "p",
      { class: "muted" },
      `Nothing is published for ${format.day(start)} to ${format.day(end)}. `,
      name === "stickiness"
        ? "It appears once both DAU and MAU of a day are."
        : "A day is published once it has closed; send events to POST /event, and ask for its " +
            "value or let the service publish what is due.",
    ),
  );
}
