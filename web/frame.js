// DOM writes happen once per animation frame, however many readings arrive: what changed is noted in a set.

const jobs = new Set();
let asked = false;

function run() {
  asked = false;
  const due = [...jobs];
  jobs.clear();
  for (const job of due) job();
}

/** Runs `job` in the next animation frame, once, however often it is asked for. */
export function nextFrame(job) {
  jobs.add(job);
  if (asked) return;
  asked = true;
  requestAnimationFrame(run);
}
