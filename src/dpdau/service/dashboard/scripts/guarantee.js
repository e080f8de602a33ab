/** The guarantee in words, as the service explains its newest values. */

import { element } from "./dom.js";

/** @param told the explanations of the newest values, one a metric. */
export function guaranteeCard(told) {
  return element(
    "article",
    { class: "card", "aria-labelledby": "guarantee-title" },
    element("header", {}, element("h2", { id: "guarantee-title" }, "What is promised")),
    told.map(({ release, sentences }) =>
      element(
        "section",
        { class: "told" },
        element("h3", {}, release.metric.toUpperCase()),
        element("p", {}, sentences.protection),
        element(
          "details",
          {},
          element("summary", {}, `The newest ${release.metric.toUpperCase()} in words`),
          element("p", {}, sentences.meaning),
          element("p", {}, sentences.certainty),
          element("p", {}, sentences.cost),
          element("p", {}, sentences.mechanism),
          element("ul", {}, sentences.limits.map((limit) => element("li", {}, limit))),
        ),
      ),
    ),
  );
}
