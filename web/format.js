// Numbers, ages and times as text. Pure: the time is an argument, so a test needs no clock.

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

// A device may send a text of any length; a card shows the beginning.
const TEXT_LIMIT = 120;

const formats = new Map();

function numberFormat(decimals) {
  let format = formats.get(decimals);
  if (!format) {
    format = new Intl.NumberFormat("en", { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
    formats.set(decimals, format);
  }
  return format;
}

function decimalsWorthShowing(size) {
  if (size >= 100) return 1;
  if (size >= 1) return 2;
  return 3;
}

/** How many digits after the point `value` needs, no more than its size makes worth showing. */
export function decimalsOf(value) {
  const text = value.toFixed(decimalsWorthShowing(Math.abs(value))).replace(/0+$/, "");
  const point = text.indexOf(".");
  return point < 0 ? 0 : text.length - point - 1;
}

/** A number with exactly `decimals` digits after the point, so that its width is steady. */
export function formatNumber(value, decimals = decimalsOf(value)) {
  const size = Math.abs(value);
  if (size >= 1e12 || (size > 0 && size < 5e-4)) return value.toExponential(2);
  const text = numberFormat(Math.min(decimals, decimalsWorthShowing(size))).format(value);
  // -0.01 with one digit is "-0.0": a sign without a size.
  return /^-[0.]+$/.test(text) ? text.slice(1) : text;
}

/** A metric's value as text: number, boolean or text, as the wire has them. */
export function formatValue(value, decimals) {
  if (typeof value === "number") return formatNumber(value, decimals);
  if (typeof value === "boolean") return value ? "on" : "off";
  const text = String(value);
  return text.length > TEXT_LIMIT ? `${text.slice(0, TEXT_LIMIT)}…` : text;
}

/** How long ago, in the largest whole unit. */
export function formatAge(age_ms) {
  if (age_ms < SECOND) return "just now";
  return `${formatSpan(age_ms)} ago`;
}

/** A span of time in its largest whole unit. */
export function formatSpan(span_ms) {
  if (span_ms < MINUTE) return `${Math.floor(span_ms / SECOND)} s`;
  if (span_ms < HOUR) return `${Math.floor(span_ms / MINUTE)} min`;
  if (span_ms < 2 * DAY) return `${Math.floor(span_ms / HOUR)} h`;
  return `${Math.floor(span_ms / DAY)} days`;
}

function two(number) {
  return String(number).padStart(2, "0");
}

/** The local time of day, with the date in front when it is not today's. */
export function formatClock(time_ms, now_ms = Date.now()) {
  const time = new Date(time_ms);
  const clock = `${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}`;
  if (time.toDateString() === new Date(now_ms).toDateString()) return clock;
  return `${time.getFullYear()}-${two(time.getMonth() + 1)}-${two(time.getDate())} ${clock}`;
}
