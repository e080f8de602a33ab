/** The planner: sliders in, expected errors of each mechanism out. Nothing is spent. */

import { byId, element, facts } from "./dom.js";
import * as api from "./api.js";
import * as format from "./format.js";

const NAMES = {
  continual: "Continual series",
  gaussian: "Gaussian, each release",
  laplace: "Laplace, each release",
  intrinsic: "HyperLogLog, each release",
};
const PERIODS_AHEAD = 11;
const PAUSE_MS = 200;
const USERS = [2, 3, 4, 5, 6, 7].flatMap((power) => [1, 1.5, 2, 3, 5, 7].map((each) => each * 10 ** power));
const TENTHS = [1, 2, 3, 4, 5, 6, 7, 8, 9].map((each) => each / 10);
const EPSILONS = [...TENTHS, ...Array.from({ length: 29 }, (_, step) => 1 + step / 2)];

/** What each slider chooses from, and how a choice reads. */
const sliders = {
  users: { text: "People counted on a day", choices: USERS, read: format.count },
  epsilon: { text: "ε of the period", choices: EPSILONS, read: format.figure },
  period: { text: "Period", choices: [], read: (name) => name },
};

let asked = null;
let pause;

/** Show the planner; the first question is about the configured budget. */
export async function startPlanner(failed) {
  if (!byId("plan-form").children.length) {
    const { period, epsilon_cap: cap } = await api.get("/budget/dau");
    sliders.period.choices = periodsFrom(period);
    build({ users: 10_000, epsilon: cap, period });
    byId("plan-form").addEventListener("submit", (event) => event.preventDefault());
    byId("plan-form").addEventListener("input", () => {
      label();
      clearTimeout(pause);
      pause = setTimeout(() => forecast(failed), PAUSE_MS);
    });
  }
  await forecast(failed);
}

function build(start) {
  const options = [["dau", "DAU"], ["mau", "MAU"]].map(([value, text]) => element("option", { value }, text));
  const metric = element("select", { id: "plan-metric" }, options);
  byId("plan-form").replaceChildren(
    element("div", { class: "control" }, element("label", { for: metric.id }, "Metric"), metric),
    ...Object.entries(sliders).map(([name, slider]) => control(name, slider, start[name])),
  );
  label();
}

function control(name, { text, choices }, start) {
  const above = choices.findIndex((choice) => choice >= start);
  const max = choices.length - 1;
  const value = above < 0 ? max : above;
  const input = element("input", { id: `plan-${name}`, type: "range", min: 0, max, step: 1, value });
  const shown = element("output", { for: input.id, id: `plan-${name}-shown` });
  const head = element("div", {}, element("label", { for: input.id }, text), shown);
  return element("div", { class: "control" }, head, input);
}

function chosen() {
  const found = Object.entries(sliders).map(([name, { choices }]) => [name, choices[byId(`plan-${name}`).value]]);
  return { metric: byId("plan-metric").value, ...Object.fromEntries(found) };
}

function label() {
  const now = chosen();
  for (const [name, { read }] of Object.entries(sliders)) {
    byId(`plan-${name}-shown`).textContent = read(now[name]);
    byId(`plan-${name}`).setAttribute("aria-valuetext", read(now[name]));
  }
}

async function forecast(failed) {
  asked?.abort();
  asked = new AbortController();
  byId("forecast").setAttribute("aria-busy", "true");
  try {
    show(await api.get("/plan", chosen(), { signal: asked.signal }));
    byId("forecast").removeAttribute("aria-busy");
  } catch (problem) {
    if (problem.name === "AbortError") return;
    byId("forecast").removeAttribute("aria-busy");
    failed(problem);
  }
}

function show(answer) {
  const worst = Math.max(...answer.mechanisms.map((each) => each.std_error));
  byId("forecast").replaceChildren(
    element("h2", {}, "Expected error of a day"),
    element("p", { class: "advice" }, answer.recommendation),
    ...answer.mechanisms.map((each) => mechanism(each, worst, answer)),
    element("ul", { class: "muted" }, answer.remarks.map((remark) => element("li", {}, remark))),
  );
}

function mechanism(each, worst, { recommended, days }) {
  const isBest = each.mechanism === recommended;
  const fill = element("span", { class: "fill" });
  fill.style.width = `${Math.max((100 * each.std_error) / worst, 0.5)}%`;
  return element(
    "section",
    { class: `mechanism${isBest ? " best" : ""}`, "data-mechanism": each.mechanism },
    element(
      "h3",
      {},
      NAMES[each.mechanism],
      isBest ? element("span", { class: "badge" }, "recommended") : null,
    ),
    element("span", { class: "track", "aria-hidden": "true" }, fill),
    facts([
      ["Standard error", `${format.error(each.std_error)} (${format.tinyShare(each.relative_error)})`],
      ["95 % interval", `± ${format.error(each.half_width_95)}`],
      ["Days paid for as configured", `${each.publishable_days} of ${days}`],
    ]),
  );
}

/** The period's name and those after it: 2025-10, 2025-Q4 or 2025. */
function periodsFrom(first) {
  const [year, part] = first.split("-");
  const names = [];
  for (let ahead = 0; ahead <= PERIODS_AHEAD; ahead += 1) {
    if (part === undefined) names.push(String(Number(year) + ahead));
    else if (part.startsWith("Q")) {
      const quarter = Number(part[1]) - 1 + ahead;
      names.push(`${Number(year) + Math.floor(quarter / 4)}-Q${(quarter % 4) + 1}`);
    } else {
      const month = new Date(Date.UTC(Number(year), Number(part) - 1 + ahead, 1));
      names.push(month.toISOString().slice(0, 7));
    }
  }
  return names;
}
