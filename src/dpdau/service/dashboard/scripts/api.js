/** Asking the service. The key goes into a header and nowhere else. */

const KEY = "dpdau.key";
const UNREACHABLE = {
  type: "network-lost",
  title: "The service cannot be reached",
  detail: "Nothing was lost. Check the connection, or whether the service runs, and try again.",
};

/** An answer that is an error: an RFC 9457 problem object, or no answer at all. */
export class Problem extends Error {
  constructor({ type, title, status = 0, detail }, retryAfter = null) {
    super(detail);
    Object.assign(this, { type, title, status, retryAfter });
  }

  get isKeyRefused() {
    return this.status === 401;
  }
}

export const key = {
  get: () => sessionStorage.getItem(KEY),
  keep: (value) => sessionStorage.setItem(KEY, value),
  forget: () => sessionStorage.removeItem(KEY),
};

/** The JSON object at a path; undefined parameters are left out. */
export async function get(path, parameters = {}, options = {}) {
  return (await ask(path, parameters, options)).json();
}

/** Save an answer as a file. */
export async function download(path, parameters, name) {
  const blob = await (await ask(path, parameters)).blob();
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}

async function ask(path, parameters, { signal, as = key.get() } = {}) {
  const given = Object.entries(parameters).filter(([, value]) => value !== undefined);
  const query = new URLSearchParams(given).toString();
  const headers = as === null ? {} : { "X-API-Key": as };
  let answer;
  try {
    answer = await fetch(query ? `${path}?${query}` : path, { headers, signal, cache: "no-store" });
  } catch (error) {
    throw error.name === "AbortError" ? error : new Problem(UNREACHABLE);
  }
  if (!answer.ok) throw await problemOf(answer);
  return answer;
}

async function problemOf(answer) {
  const retryAfter = Number.parseInt(answer.headers.get("Retry-After") ?? "", 10);
  const fallback = {
    type: "unknown",
    title: `The service answered ${answer.status}`,
    detail: "Something between this page and the service may have answered in its place.",
  };
  const described = await answer.json().catch(() => fallback);
  return new Problem(
    { ...fallback, ...described, status: answer.status },
    Number.isNaN(retryAfter) ? null : retryAfter,
  );
}
