// Keeps the page of one job up to date: polls the job's row, moves the progress bar, and fetches the whole
// content again when the job has changed. Does nothing in a hidden tab or after the job has ended.

import { duration } from "./durations.js";

const RETRY_MS = 5000;
const live = document.getElementById("pleme-live");
let root = document.getElementById("pleme-job");
let etag = "";
let timer = 0;
let shownAt = performance.now();

class Gone extends Error {}

function say(text) {
  if (live.textContent !== text) live.textContent = text;
}

async function request(url, headers) {
  const response = await fetch(url, { headers, cache: "no-store" });
  if (response.redirected) throw new Gone("You are signed out, or the job was deleted. This page no longer updates.");
  if (response.status === 403 || response.status === 404) throw new Gone("The job was deleted. This page no longer updates.");
  if (!response.ok && response.status !== 304) throw new Error(`status ${response.status}`);
  return response;
}

async function poll() {
  try {
    const response = await request(root.dataset.stateUrl, { Accept: "application/json", "If-None-Match": etag });
    if (response.status !== 304) {
      etag = response.headers.get("ETag") ?? "";
      await show(await response.json());
    }
    if (live.dataset.lost) {
      delete live.dataset.lost;
      say("");
    }
    schedule(Number(root.dataset.pollSeconds) * 1000);
  } catch (error) {
    live.dataset.lost = "yes";
    say(error instanceof Gone ? error.message : "No connection. Trying again…");
    schedule(error instanceof Gone ? 0 : RETRY_MS);
  }
}

async function show(state) {
  if (state.revision !== root.dataset.revision) {
    await refresh();
    say(`The job is ${state.status.toLowerCase()}.`);
  } else if (state.progress) {
    root.querySelector(".pleme-progress").value = state.progress.percent;
    root.querySelector(".pleme-progress-text").textContent = state.progress.text;
    root.querySelector(".pleme-progress-note").textContent = state.progress.note;
  }
}

async function refresh() {
  const response = await request(location.href, { Accept: "text/html" });
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  const fresh = page.getElementById("pleme-job");
  if (!fresh) throw new Gone("The job was deleted. This page no longer updates.");
  const focused = root.contains(document.activeElement) ? document.activeElement.id : "";
  const open = new Map([...root.querySelectorAll("details[id]")].map((each) => [each.id, each.open]));
  for (const each of fresh.querySelectorAll("details[id]")) each.open = open.get(each.id) ?? each.open;
  root.replaceWith(fresh);
  root = fresh;
  shownAt = performance.now();
  if (focused) document.getElementById(focused)?.focus();
}

function schedule(delay) {
  clearTimeout(timer);
  if (delay && !document.hidden) timer = setTimeout(poll, delay);
}

function tick() {
  if (document.hidden) return;
  for (const each of root.querySelectorAll("[data-seconds]")) {
    const seconds = Number(each.dataset.seconds) + (performance.now() - shownAt) / 1000;
    each.textContent = `${duration(Math.max(seconds, 0))} so far`;
  }
}

if (root && live && Number(root.dataset.pollSeconds)) {
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) clearTimeout(timer);
    else if (Number(root.dataset.pollSeconds)) schedule(1);
  });
  setInterval(tick, 1000);
  schedule(Number(root.dataset.pollSeconds) * 1000);
}
