/** What each period has cost one person, and what is left. */

import { element, facts } from "./dom.js";
import * as format from "./format.js";

const PERIODS = 6;
const NOTHING = 1e-9;

/**
 * @param totals the answer of /budget, which knows the periods that have cost something.
 * @param current the budgets of the newest period, even if it has cost nothing.
 */
export function budgetCard(totals, current) {
  const known = new Set(current.map(nameOf));
  const earlier = totals.periods.filter((budget) => !known.has(nameOf(budget)));
  const periods = Map.groupBy([...earlier, ...current], (budget) => budget.period);
  const ordered = [...periods].sort().reverse();
  const rows = ordered.map(([period, budgets]) => periodRows(period, budgets));
  return element(
    "article",
    { class: "card", "aria-labelledby": "budget-title" },
    element("header", {}, element("h2", { id: "budget-title" }, "Budget")),
    element(
      "p",
      { class: "muted" },
      "What one person's privacy has been spent, ε by accounting period. Reading costs nothing.",
    ),
    rows.slice(0, PERIODS),
    rows.length > PERIODS
      ? element("details", {}, element("summary", {}, "Earlier periods"), rows.slice(PERIODS))
      : null,
    facts([["All metrics and periods together", pair(totals.lifetime)]]),
  );
}

const nameOf = ({ metric, period }) => `${metric} ${period}`;
const pair = ({ epsilon, delta }) => `ε ≤ ${format.figure(epsilon)}, δ = ${format.delta(delta)}`;

function periodRows(period, budgets) {
  return element(
    "section",
    { class: "budget" },
    element("h3", {}, period),
    budgets.map((budget) => {
      const { metric, epsilon_spent: spent, epsilon_cap: cap, epsilon_remaining: left } = budget;
      const fill = element("span", { class: "fill" });
      fill.style.width = `${Math.min((100 * spent) / cap, 100)}%`;
      const isSpent = left <= NOTHING * cap;
      const words = isSpent
        ? `Exhausted: all of ε = ${format.figure(cap)}`
        : `ε = ${format.figure(spent)} of ${format.figure(cap)} spent, ${format.figure(left)} left`;
      return element(
        "div",
        { class: `bar ${metric}${isSpent ? " exhausted" : ""}` },
        element("span", {}, metric.toUpperCase()),
        element("span", { class: "track", "aria-hidden": "true" }, fill),
        element("span", { class: "words" }, words),
      );
    }),
  );
}
