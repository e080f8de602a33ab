/** Building elements. Text is always text: nothing here reads markup from strings. */

/**
 * An element with attributes and children.
 *
 * Attributes that are functions listen to events of their name (`onclick`); true is an empty
 * attribute; false, null and undefined are none. Children may be nested lists, and null is none.
 */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(key.slice(2), value);
    else if (value !== false && value != null) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.flat(Infinity).filter((child) => child != null));
  return made;
}

export const byId = (id) => document.getElementById(id);

/** A table in a box that scrolls by itself; cells of the first column head their rows. */
export function table(caption, columns, rows) {
  const head = columns.map((column) => element("th", { scope: "col" }, column));
  const body = rows.map(([first, ...others]) =>
    element(
      "tr",
      {},
      element("th", { scope: "row" }, first),
      others.map((cell) => element("td", {}, cell)),
    ),
  );
  return element(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    element(
      "table",
      {},
      element("caption", { class: "unseen" }, caption),
      element("thead", {}, element("tr", {}, head)),
      element("tbody", {}, body),
    ),
  );
}

/** Pairs of a name and a value. */
export function facts(pairs) {
  return element(
    "dl",
    { class: "facts" },
    pairs.map(([name, value]) =>
      element("div", {}, element("dt", {}, name), element("dd", {}, value)),
    ),
  );
}

/** Let those who listen to the page know what happened. */
export function announce(text) {
  byId("status").textContent = text;
}
