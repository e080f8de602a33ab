/** Telling what went wrong, and trying again when that helps. */

import { byId, element } from "./dom.js";
import { counted } from "./format.js";

let countdown;

/** Take away what is shown. */
export function clearNotice() {
  clearInterval(countdown);
  byId("notice").replaceChildren();
}

/**
 * Show a problem; with a time to wait for, count down and try again then.
 *
 * An exhausted budget waits for nobody, so nothing is offered but its explanation.
 */
export function showProblem(problem, retry) {
  clearNotice();
  const isLimited = problem.status === 429 && problem.type !== "budget-exhausted";
  const canRetry = problem.status === 0 || problem.status >= 500 || isLimited;
  const waiting = element("span", { class: "waiting" });
  const again = element("button", { type: "button", onclick: start }, "Try now");
  byId("notice").append(
    element(
      "div",
      { class: "notice", "data-type": problem.type },
      element("div", {}, element("strong", {}, problem.title), element("p", {}, problem.message)),
      canRetry ? element("div", { class: "retry" }, waiting, again) : null,
    ),
  );
  if (!canRetry || problem.retryAfter === null) return;
  let left = problem.retryAfter;
  // Not announced each second: the problem says how long it takes.
  waiting.setAttribute("aria-hidden", "true");
  const tick = () => {
    waiting.textContent = `Trying again in ${counted(left, "second")}`;
    if (left <= 0) start();
    left -= 1;
  };
  countdown = setInterval(tick, 1_000);
  tick();

  function start() {
    clearNotice();
    retry();
  }
}
