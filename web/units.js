// Units as people write them, for the SenML codes that differ from that (RFC 8428 section 12.1 and the registry's
// secondary units). A code that is not listed is shown as it came.

const WRITTEN = new Map([
  ["Cel", "°C"],
  ["%RH", "%"],
  ["%EL", "%"],
  ["EL", "s"],
  ["/", ""],
  ["count", ""],
  ["Ohm", "Ω"],
  ["deg", "°"],
  ["lat", "°"],
  ["lon", "°"],
  ["rad", "rad"],
  ["l", "L"],
  ["l/s", "L/s"],
  ["m2", "m²"],
  ["m3", "m³"],
  ["m3/s", "m³/s"],
  ["m3/h", "m³/h"],
  ["m/s2", "m/s²"],
  ["W/m2", "W/m²"],
  ["kg/m3", "kg/m³"],
  ["ug/m3", "µg/m³"],
  ["S/m", "S/m"],
  ["uS/cm", "µS/cm"],
  ["beat/min", "bpm"],
  ["1/min", "/min"],
  ["1/s", "/s"],
  ["min", "min"],
  ["dBW", "dBW"],
  ["Bspl", "B SPL"],
]);

// A family of units shares a colour, so that a temperature looks like a temperature on every card.
const FAMILIES = new Map([
  ["heat", ["Cel", "K", "degC", "°C", "°F"]],
  ["water", ["%RH", "l", "l/s", "m3", "m3/s", "m3/h", "mm", "mm/h"]],
  ["power", ["W", "kW", "VA", "var", "J", "Wh", "kWh", "V", "A", "mA", "mV", "%EL", "EL"]],
  ["light", ["lx", "lm", "cd", "W/m2"]],
  ["air", ["ppm", "ppb", "ug/m3", "kg/m3", "m/s", "km/h"]],
  ["pressure", ["Pa", "hPa", "kPa", "bar", "mbar"]],
]);
const FAMILY_OF = new Map([...FAMILIES].flatMap(([family, codes]) => codes.map((code) => [code, family])));

/** The unit as a person writes it; empty when there is none. */
export function written(code) {
  return WRITTEN.get(code) ?? code ?? "";
}

/** The family whose colour a metric of this unit wears: one of `heat`, `water`, …, or `other`. */
export function family(code) {
  return FAMILY_OF.get(code) ?? "other";
}
