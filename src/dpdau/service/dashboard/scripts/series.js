/** One published series: its newest value, a chart, a table and a file. */

import { drawChart } from "./chart.js";
import { announce, element, table } from "./dom.js";
import * as api from "./api.js";
import * as format from "./format.js";

/** What is shown of each series: where it is, what it is called, and how its numbers read. */
export const SERIES = {
  dau: {
    title: "Daily active users",
    short: "DAU",
    colour: "--dau",
    path: "/series/dau",
    number: format.count,
    axis: format.brief,
  },
  mau: {
    title: "Monthly active users",
    short: "MAU",
    colour: "--mau",
    path: "/series/mau",
    number: format.count,
    axis: format.brief,
  },
  stickiness: {
    title: "Stickiness",
    short: "DAU ÷ MAU",
    colour: "--stickiness",
    path: "/stickiness",
    number: format.share,
    axis: format.share,
  },
};

/** The points of an answer, one for each day between the first and the last that has a value. */
export function pointsOf(name, answer) {
  const values = name === "stickiness" ? answer.values : answer.releases;
  const found = new Map(values.map((value) => [value.day, pointOf(name, value)]));
  if (!found.size) return [];
  const days = [...found.keys()].sort();
  const points = [];
  for (let day = days[0]; day <= days.at(-1); day = format.plusDays(day, 1)) {
    points.push(found.get(day) ?? { day, seconds: format.secondsOf(day), value: null });
  }
  return points;
}

function pointOf(name, value) {
  return {
    day: value.day,
    seconds: format.secondsOf(value.day),
    value: name === "stickiness" ? value.stickiness : value.estimate,
    lower: value.lower_95,
    upper: value.upper_95,
    bandLower: value.band_lower_95 ?? null,
    bandUpper: value.band_upper_95 ?? null,
  };
}

/**
 * The panel of a series.
 *
 * @param name a key of SERIES.
 * @param points as pointsOf gives them.
 * @param range {start, end} as the service answered.
 * @param chosen called with a day or null when the reader points at one.
 * @param failed called with a problem.
 */
export function seriesPanel(name, points, range, chosen, failed) {
  const known = SERIES[name];
  const newest = points.length - 1;
  const figures = element("div", { class: "figures" });
  const box = element("div", {
    class: "chart",
    tabindex: "0",
    role: "slider",
    "aria-label": `${known.title} by day; left and right choose the day`,
    "aria-valuemin": "0",
    "aria-valuemax": String(newest),
    onkeydown: moved,
    onblur: () => chosen(null),
  });
  const id = `${name}-title`;
  const panel = element(
    "article",
    { class: "card series", "aria-labelledby": id, "data-series": name },
    element(
      "header",
      {},
      element("h2", { id }, known.title, element("abbr", {}, known.short)),
      element("button", { type: "button", onclick: save }, "CSV", element("span", { class: "unseen" }, ` of ${known.title}`)),
    ),
    figures,
    box,
    legend(points),
    missing(range, points),
    element(
      "details",
      {},
      element("summary", {}, "Values as a table"),
      table(`${known.title} by day`, ["Day", "Value", "95 % from", "to"], rowsOf(known, points)),
    ),
  );
  let index = newest;
  let chart = null;
  show();

  function show() {
    const point = points[index];
    figures.replaceChildren(...figuresOf(known, point));
    box.setAttribute("aria-valuenow", String(index));
    box.setAttribute("aria-valuetext", inWords(known, point));
  }

  function moved(event) {
    const steps = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageUp: 7, PageDown: -7 };
    const target = { Home: 0, End: newest }[event.key] ?? index + (steps[event.key] ?? NaN);
    if (Number.isNaN(target)) return;
    event.preventDefault();
    chosen(points[Math.min(Math.max(target, 0), newest)].day);
  }

  async function save() {
    const { start, end } = range;
    const look = name === "stickiness" ? {} : { publish: false };
    try {
      await api.download(known.path, { start, end, format: "csv", ...look }, `${name}-${start}-${end}.csv`);
      announce(`${known.title} saved as CSV.`);
    } catch (problem) {
      failed(problem);
    }
  }

  return {
    panel,
    /** Draw, once the panel is in the page and has a width. */
    draw() {
      const hovered = (at) => chosen(at === null ? null : points[at].day);
      chart = drawChart(box, points, { name: known.colour, label: known.axis }, hovered);
    },
    redraw: () => chart.redraw(),
    remove: () => chart?.remove(),
    select(day) {
      const at = day === null ? -1 : points.findIndex((point) => point.day === day);
      index = at < 0 ? newest : at;
      chart.select(at < 0 ? null : at);
      show();
    },
  };
}

function figuresOf(known, point) {
  const day = element("span", { class: "day" }, format.day(point.day));
  if (point.value === null) return [element("strong", {}, "–"), day];
  return [
    element("strong", {}, known.number(point.value)),
    element("span", { class: "interval" }, `95 %: ${between(known, point)}`),
    day,
  ];
}

const between = (known, point) => `${known.number(point.lower)} – ${known.number(point.upper)}`;

function inWords(known, point) {
  if (point.value === null) return `${format.day(point.day)}: not published`;
  const { number } = known;
  const bounds = `95 % between ${number(point.lower)} and ${number(point.upper)}`;
  return `${format.day(point.day)}: about ${number(point.value)}, ${bounds}`;
}

function legend(points) {
  const hasBand = points.some((point) => point.bandLower != null);
  return element(
    "p",
    { class: "legend" },
    element("span", { class: "key line" }, "published"),
    element("span", { class: "key interval" }, "95 %, one day"),
    hasBand ? element("span", { class: "key band" }, "95 %, all days of a period at once") : null,
  );
}

function missing({ absent }) {
  if (!absent.length) return null;
  const days = format.counted(absent.length, "day");
  return element("p", { class: "muted" }, `${days} of this range not published (yet).`);
}

function rowsOf(known, points) {
  return points
    .filter((point) => point.value !== null)
    .map((point) => [point.day, ...[point.value, point.lower, point.upper].map(known.number)])
    .reverse();
}
