/** Light, dark, or what the system prefers. */

import { byId } from "./dom.js";

const KEY = "dpdau.theme";
const dark = matchMedia("(prefers-color-scheme: dark)");

/** Apply the kept choice and call back at every change. */
export function startTheme(changed) {
  const button = byId("theme");
  const apply = () => {
    const isDark = (localStorage.getItem(KEY) ?? (dark.matches ? "dark" : "light")) === "dark";
    document.documentElement.dataset.theme = isDark ? "dark" : "light";
    button.textContent = isDark ? "Light" : "Dark";
    button.setAttribute("aria-label", `Use ${isDark ? "light" : "dark"} colours`);
    changed();
  };
  button.addEventListener("click", () => {
    const isDark = document.documentElement.dataset.theme === "dark";
    localStorage.setItem(KEY, isDark ? "light" : "dark");
    apply();
  });
  dark.addEventListener("change", apply);
  apply();
}

/** A colour of the style sheet as the canvas needs it: red, green and blue. */
export function colour(name, opacity = 1) {
  const probe = document.createElement("i");
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const channels = getComputedStyle(probe).color.match(/[\d.]+/g).slice(0, 3);
  probe.remove();
  return `rgb(${channels.join(" ")} / ${opacity})`;
}
