// What stands in the way of readings, as the gateway tells: faults, and warnings of what may lose some. Pure.

/** A stream that says nothing of it after `hello` finds all well. */
export const CLEAR = Object.freeze({ status: "ready", faults: {}, warnings: {} });

/** The lines of the banner, faults first: `{kind: "fault" | "warning", text}`; none when all is well. */
export function lines({ faults, warnings }) {
  const told = (kind, said) => Object.values(said).map((text) => ({ kind, text }));
  return [...told("fault", faults), ...told("warning", warnings)];
}
