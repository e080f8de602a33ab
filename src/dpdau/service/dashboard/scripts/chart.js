/** A line over days with the intervals around it, by uPlot. */

import { dayAt } from "./format.js";
import { colour } from "./theme.js";

const HEIGHT = 220;
const LINE = 5;

/**
 * Draw a chart into an element.
 *
 * @param box the element.
 * @param points per day: {seconds, value, lower, upper, bandLower, bandUpper}; values may be null.
 * @param settings {name: a colour of the style sheet, label: of the y axis' numbers}.
 * @param hovered called with the index of the point under the pointer, or null.
 * @returns {select(index or null), redraw(), remove()}.
 */
export function drawChart(box, points, settings, hovered) {
  const data = [
    points.map((point) => point.seconds),
    ...["bandUpper", "bandLower", "upper", "lower", "value"].map((field) =>
      points.map((point) => point[field]),
    ),
  ];
  let plot = make();
  const resized = new ResizeObserver(() => {
    if (box.clientWidth) plot.setSize({ width: box.clientWidth, height: HEIGHT });
  });
  resized.observe(box);

  function make() {
    const made = new uPlot(options(box.clientWidth || 300, settings), data, box);
    made.over.addEventListener("mousemove", () => hovered(made.cursor.idx));
    made.over.addEventListener("mouseleave", () => hovered(null));
    return made;
  }

  return {
    select(index) {
      const left = index === null ? -10 : plot.valToPos(points[index].seconds, "x");
      plot.setCursor({ left, top: index === null ? -10 : 0 }, false);
    },
    redraw() {
      plot.destroy();
      plot = make();
    },
    remove() {
      resized.disconnect();
      plot.destroy();
    },
  };
}

function options(width, { name, label }) {
  const hidden = { stroke: "transparent", width: 0, points: { show: false } };
  const axis = {
    stroke: colour("--muted"),
    grid: { stroke: colour("--line"), width: 1 },
    ticks: { show: false },
    font: "12px system-ui, sans-serif",
  };
  return {
    width,
    height: HEIGHT,
    padding: [10, 12, 0, 0],
    legend: { show: false },
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1_000), "Etc/UTC"),
    cursor: {
      y: false,
      drag: { x: false, y: false },
      points: {
        // The bounds have no point of their own.
        show: (plot, index) => (index === LINE ? point(colour(name)) : null),
      },
    },
    scales: { x: { range: (_plot, min, max) => padded(min, max) } },
    axes: [
      { ...axis, grid: { show: false }, size: 36, gap: 10, space: 70, values: (_plot, days) => days.map(dayAt), incrs },
      { ...axis, size: 56, values: (_plot, numbers) => numbers.map(label) },
    ],
    bands: [
      { series: [1, 2], fill: colour(name, 0.12) },
      { series: [3, 4], fill: colour(name, 0.22) },
    ],
    series: [
      {},
      hidden,
      hidden,
      hidden,
      hidden,
      { stroke: colour(name), width: 2, points: { show: showsPoints, size: 5, fill: colour(name) } },
    ],
  };
}

const DAY = 86_400;
const incrs = [1, 2, 5, 7, 14, 28, 61, 122, 365].map((days) => days * DAY);

/** One day of room where there is one point only, so that the scale has a length. */
const padded = (min, max) => (min === max ? [min - DAY, max + DAY] : [min, max]);

/** Points are drawn where there are few: a single value has no line. */
const showsPoints = (plot) => plot.data[0].length <= 45;

function point(fill) {
  const made = document.createElement("div");
  made.className = "chart-point";
  made.style.background = fill;
  return made;
}
