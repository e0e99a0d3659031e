// What stands in the way of readings, as the gateway tells: faults, and warnings of what may lose some. Pure.

/** What a stream means that says nothing of it after `hello`. */
export const CLEAR = Object.freeze({ status: "ready", faults: {}, warnings: {} });

/** How a fault of each station begins; `tests/web/words.test.mjs` holds it to the gateway's own list. */
export const FAULT_LEADS = new Map([
  ["ingest", "No readings come in"],
  ["append", "No readings can be kept"],
  ["devices", "The gateway is starting"],
]);
const WARNING_LEAD = "Readings may be lost";

/** The lines of the banner, faults first: `{kind: "fault" | "warning", text}`; none when all is well. */
export function lines({ faults, warnings }) {
  const told = (kind, said, leadOf) =>
    Object.entries(said).map(([station, text]) => ({ kind, text: `${leadOf(station)}: ${text}` }));
  return [
    ...told("fault", faults, (station) => FAULT_LEADS.get(station) ?? FAULT_LEADS.get("ingest")),
    ...told("warning", warnings, () => WARNING_LEAD),
  ];
}
