// @ts-check
// The node's status, asked once a second; what the node does not tell is shown as not known.

import { showFacts } from "./facts.js";
import { NONE, number } from "./format.js";

/** Time between two questions, ms, and how long one may take. */
const PERIOD_MS = 1000;
const TIMEOUT_MS = 4000;
/** Lag from which it is marked, s. */
const LAG_S = 5;

/** @typedef {Record<string, any>} Plain */

/**
 * Ask for the status for ever.
 * @param {(answer: Plain | null, fault: string) => void} tell
 */
export async function watchStatus(tell) {
  for (;;) {
    try {
      const answer = await fetch("/api/status", { signal: AbortSignal.timeout(TIMEOUT_MS), cache: "no-store" });
      const body = await answer.json();
      if (answer.ok) tell(body, "");
      else tell(null, body?.error?.message ?? `HTTP ${answer.status}`);
    } catch (error) {
      tell(null, error instanceof DOMException && error.name === "TimeoutError" ? "no answer" : "not reachable");
    }
    await new Promise((resolve) => setTimeout(resolve, PERIOD_MS));
  }
}

/** @param {HTMLElement} parent @param {Plain | null} answer @param {string} fault */
export function showStatus(parent, answer, fault) {
  if (!answer) {
    showFacts(parent, [{ name: "Status", value: fault, wide: true, trouble: true }]);
    return;
  }
  const core = answer.status?.core ?? {};
  const serve = answer.status?.serve ?? {};
  const latency = core.latency_ms ?? {};
  showFacts(parent, [
    { name: "Reports", value: rate(core.reports_per_s) },
    { name: "Detections", value: rate(core.detections_per_s) },
    { name: "Latency p50", value: number(latency.p50, 0, "ms") },
    { name: "Latency p99", value: number(latency.p99, 0, "ms") },
    lag("Journal lag", core.journal_lag_s, core.journal_lag_records),
    lag("Database lag", serve.database_lag_s, serve.database_lag_records),
    shed(core.shed),
    { name: "Journal", value: budget(core.journal_used_mb, core.journal_budget_mb) },
    { name: "Viewers", value: number(answer.feed?.readers, 0) },
    peer("Broker", core.broker),
    peer("Database", serve.database),
    quarantine(core.quarantine),
  ]);
}

/** @param {unknown} value */
const rate = (value) => number(value, typeof value === "number" && value < 10 ? 1 : 0, "/s");

/** @param {string} name @param {any} seconds @param {any} records @returns {import("./facts.js").Fact} */
function lag(name, seconds, records) {
  const parts = [];
  if (typeof seconds === "number") parts.push(number(seconds, 1, "s"));
  if (typeof records === "number") parts.push(`${number(records, 0)} rec.`);
  return { name, value: parts.join(" · ") || NONE, trouble: seconds >= LAG_S };
}

/** @param {any} told @returns {import("./facts.js").Fact} */
function shed(told) {
  const rows = Object.entries(told?.inputs ?? {});
  const total = rows.reduce((sum, [, count]) => sum + count, 0);
  if (!total) return { name: "Let go", value: told ? "none" : NONE };
  const named = rows.map(([reason, count]) => `${reason.replace("shed_", "")} ${number(count, 0)}`).join(", ");
  return { name: "Let go", value: `${named}; last ${number(told.last_s, 0, "s")} ago`, wide: true, trouble: told.last_s < 60 };
}

/** @param {any} used MB @param {any} full MB */
function budget(used, full) {
  if (typeof used !== "number") return NONE;
  const size = used < 1000 ? number(used, 0, "MB") : number(used / 1000, 1, "GB");
  return typeof full === "number" && full > 0 ? `${size} (${number((100 * used) / full, 0, "%")})` : size;
}

/** @param {string} name @param {any} other @returns {import("./facts.js").Fact} */
function peer(name, other) {
  if (!other) return { name, value: NONE, wide: true };
  const lacks = Array.isArray(other.lacks) && other.lacks.length ? `; lacks ${other.lacks.join(", ")}` : "";
  const away = other.connected === false;
  return { name, value: `${other.name ?? "?"}${away ? ": not connected" : ""}${lacks}`, wide: true, trouble: away };
}

/** @param {any} reasons @returns {import("./facts.js").Fact} */
function quarantine(reasons) {
  if (!reasons) return { name: "Quarantine", value: NONE, wide: true };
  const rows = Object.entries(reasons).filter(([, count]) => count > 0).sort((a, b) => b[1] - a[1]);
  const total = rows.reduce((sum, [, count]) => sum + count, 0);
  const named = rows.map(([reason, count]) => `${reason.replaceAll("_", " ")} ${number(count, 0)}`).join(", ");
  return { name: "Quarantine", value: total ? `${number(total, 0)}: ${named}` : "empty", wide: true };
}

/**
 * The site's own lines, out of a status.
 * @param {Plain | null} answer
 * @returns {import("./layers.js").SiteLine[]}
 */
export function siteLines(answer) {
  const lines = answer?.status?.lines;
  if (!Array.isArray(lines)) return [];
  return lines
    .map((line) => ({ name: String(line?.name ?? ""), points: (line?.points ?? []).filter(isPoint) }))
    .filter(({ points }) => points.length > 1);
}

/** @param {unknown} point */
const isPoint = (point) => Array.isArray(point) && Number.isFinite(point[0]) && Number.isFinite(point[1]);
