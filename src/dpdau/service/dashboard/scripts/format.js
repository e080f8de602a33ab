/** Numbers and days as people read them. */

const LOCALE = "en-GB";
const counts = new Intl.NumberFormat(LOCALE, { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat(LOCALE, { maximumSignificantDigits: 3 });
const compact = new Intl.NumberFormat(LOCALE, { notation: "compact", maximumSignificantDigits: 4 });
const shares = new Intl.NumberFormat(LOCALE, { maximumFractionDigits: 1 });
const tinyShares = new Intl.NumberFormat(LOCALE, { maximumSignificantDigits: 2 });
const inUtc = (options) => new Intl.DateTimeFormat(LOCALE, { timeZone: "UTC", ...options });
const longDays = inUtc({ weekday: "short", day: "numeric", month: "short", year: "numeric" });
const shortDays = inUtc({ day: "numeric", month: "short" });
const moments = inUtc({ dateStyle: "medium", timeStyle: "short" });

const DAY_MS = 86_400_000;
const LONG = 100_000;

export const count = (number) => counts.format(number);
export const figure = (number) => short.format(number);
export const brief = (number) => (number < LONG ? counts : compact).format(number);
export const share = (number) => `${shares.format(100 * number)}\u00a0%`;
export const tinyShare = (number) => `${tinyShares.format(100 * number)}\u00a0%`;
export const day = (text) => longDays.format(new Date(text));
export const dayAt = (seconds) => shortDays.format(new Date(seconds * 1_000));
export const moment = (text) => `${moments.format(new Date(text))} UTC`;
export const secondsOf = (text) => Date.parse(text) / 1_000;

/** The day a number of days later, all as YYYY-MM-DD. */
export function plusDays(text, number) {
  return new Date(Date.parse(text) + number * DAY_MS).toISOString().slice(0, 10);
}

/** "1 day", "3 days". */
export function counted(number, noun) {
  return `${count(number)} ${noun}${number === 1 ? "" : "s"}`;
}

/** Small numbers with the digits that matter, large ones without any. */
export function error(number) {
  return Math.abs(number) >= 100 ? count(number) : figure(number);
}

const SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹";

/** A δ: 10⁻⁶, or 2.5 × 10⁻⁷. */
export function delta(number) {
  if (number === 0) return "0";
  const [factor, exponent] = number.toExponential(1).split("e");
  const digits = [...exponent.replace(/[+-]/, "")].map((digit) => SUPERSCRIPTS[digit]).join("");
  const power = `10${exponent.startsWith("-") ? "⁻" : ""}${digits}`;
  return Number(factor) === 1 ? power : `${Number(factor)} × ${power}`;
}
