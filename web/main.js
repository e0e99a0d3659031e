// The page: devices, one session, and a view of all devices or of one.

import { getDevices } from "./api.js";
import { Alerts, alertSentence } from "./alerts.js";
import { Banner } from "./banner.js";
import { Devices } from "./devices.js";
import { setAttribute, setText } from "./element.js";
import { Feed } from "./feed.js";
import { nextFrame } from "./frame.js";
import { Gaps, gapSentence } from "./gaps.js";
import { List } from "./list.js";
import { Notices } from "./notices.js";
import { parse } from "./route.js";
import { Session } from "./session.js";
import { isLive, sentence } from "./status.js";

const TICK_MS = 1_000;
const TITLE = document.title;
// Charts come apart from the list, which does not need them; and now, while the gateway is surely there.
const loading_detail = import("./detail.js");
loading_detail.catch((error) => console.warn("no charts:", error));
const find = (id) => document.getElementById(id);

const devices = new Devices();
const gaps = new Gaps();
const alerts = new Alerts();
const gap_notices = new Notices(find("notices"), gapSentence);
const alert_notices = new Notices(find("notices"), alertSentence);
const banner = new Banner(find("gateway"));
const now = () => session.now_ms;
const list = new List(
  devices,
  {
    list: find("devices"),
    filter: find("filter"),
    filterBox: find("filter-box"),
    summary: find("summary"),
    empty: find("empty"),
    nothing: find("nothing-found"),
  },
  now,
);

let detail = null;
let wanted = null;
let list_scroll = 0;
let last_arrival_ms;

const session = new Session((take) => new Feed(take), getDevices, {
  snapshot(known) {
    devices.replace(known);
    last_arrival_ms = now();
    find("views").removeAttribute("aria-busy");
    list.refresh();
    detail?.refresh();
  },
  reading(reading, position) {
    const device = devices.meet(reading.device);
    device.read(reading);
    last_arrival_ms = reading.received_at ?? reading.at;
    list.touch(device);
    if (reading.device === wanted) detail?.take(reading, position);
  },
  device(known) {
    const device = devices.meet(known.device);
    device.describe(known);
    list.touch(device);
    if (known.device === wanted) detail?.touch();
  },
  gap({ reason }) {
    gaps.open(reason, last_arrival_ms, now());
    gap_notices.show(gaps.spans);
  },
  gapEnd({ at, received_at = at }) {
    gaps.end(received_at);
    gap_notices.show(gaps.spans);
  },
  alert(alert) {
    alerts.take(alert);
    alert_notices.show(alerts.items);
  },
  gateway(readiness) {
    banner.show(readiness);
  },
  state() {
    nextFrame(showState);
  },
});

// A screen reader hears each change of the line, so while replaying it changes with the second, not with the reading.
function showState() {
  const { state } = session;
  if (state.phase !== find("status").dataset.phase) tellState();
}

function tellState() {
  const { state } = session;
  setText(find("status-text"), sentence(state));
  setAttribute(find("status"), "data-phase", state.phase);
  setAttribute(document.documentElement, "data-live", isLive(state) ? "yes" : "no");
}

async function showView() {
  const { device } = parse(location.hash);
  if (wanted === null) list_scroll = scrollY;
  const left = wanted;
  detail?.destroy();
  detail = null;
  wanted = device ?? null;
  find("list-view").hidden = wanted !== null;
  if (wanted === null) showList(left);
  else await showDevice(wanted);
}

// Null when a file is missing, as uPlot is in a checkout that was never installed.
async function loadDetail() {
  try {
    return (await loading_detail).Detail;
  } catch {
    return null;
  }
}

function showList(left) {
  find("no-charts").hidden = true;
  document.title = TITLE;
  if (left === null) return;
  scrollTo(0, list_scroll);
  list.focus(left);
}

async function showDevice(name) {
  const Detail = await loadDetail();
  if (wanted !== name || detail) return;
  find("no-charts").hidden = Detail !== null;
  if (!Detail) return;
  detail = new Detail(name, { devices, gaps, now });
  find("views").append(detail.node);
  detail.tick();
  scrollTo(0, 0);
  detail.focus();
}

addEventListener("hashchange", showView);
addEventListener("online", () => session.check());
addEventListener("pagehide", () => session.leave());
addEventListener("pageshow", ({ persisted }) => persisted && session.join());
document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && session.check());
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => detail?.recolour());
setInterval(() => {
  tellState();
  list.tick();
  detail?.tick();
  if (detail) document.title = `${detail.title} – ${TITLE}`;
}, TICK_MS);

session.join();
showView();
