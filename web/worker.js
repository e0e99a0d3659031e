// The shared worker: the hub of all tabs of this browser.

import { streamAddress } from "./api.js";
import { Hub } from "./hub.js";
import { Link } from "./link.js";

const hub = new Hub((tell) => new Link(streamAddress, tell));

globalThis.onconnect = ({ ports: [port] }) => hub.join(port);
