// The address's hash is the view: `#/device/<name>` is one device, anything else is all devices.

const DEVICE = "#/device/";

/** `{device}` for one device, `{}` for all. */
export function parse(hash) {
  if (!hash.startsWith(DEVICE)) return {};
  try {
    return { device: decodeURIComponent(hash.slice(DEVICE.length)) };
  } catch {
    return {}; // A torn percent code: somebody typed it.
  }
}

export function deviceHash(name) {
  return DEVICE + encodeURIComponent(name);
}
