// The gateway's routes, relative to the page, so that a path prefix of a reverse proxy does not matter.

// A gateway that does not answer within this is treated like one that refuses: say so and try again.
const PATIENCE_MS = 15_000;

const base = new URL(".", import.meta.url);

/** The gateway serves, but does not know all devices yet: ask again after a second. */
export class NotReadyError extends Error {}

// A device's name may hold slashes, which stay; everything else that means something in an address does not.
function path(name) {
  return name.split("/").map(encodeURIComponent).join("/");
}

export function streamAddress(position) {
  return new URL(`api/stream?after=${position}`, base).href;
}

// A 503 without this body is a proxy's: then the gateway is not there.
async function refuseNotReady(answer) {
  const { error, detail } = await answer.json().catch(() => ({}));
  if (error === "not ready") throw new NotReadyError(detail);
}

async function getJson(address, signal) {
  const patience = AbortSignal.timeout(PATIENCE_MS);
  const answer = await fetch(new URL(address, base), {
    cache: "no-store",
    headers: { Accept: "application/json" },
    signal: signal ? AbortSignal.any([signal, patience]) : patience,
  });
  if (answer.status === 404) return undefined;
  if (answer.status === 503) await refuseNotReady(answer);
  if (!answer.ok) throw new Error(`${address}: ${answer.status}`);
  return answer.json();
}

/** What is known of all devices, and the position to join the stream at. */
export async function getDevices(signal) {
  const answer = await getJson("api/devices", signal);
  if (!answer) throw new Error("api/devices: 404");
  return answer;
}

/** What the log holds of one device; undefined when nothing is known of it. */
export function getReadings(device, parameters, signal) {
  return getJson(`api/devices/${path(device)}/readings?${new URLSearchParams(parameters)}`, signal);
}
