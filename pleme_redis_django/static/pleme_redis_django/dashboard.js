/**
 * Keeps the dashboard's pages live: over a websocket, by polling where there is none.
 *
 * A snapshot is patched into the cells that show it. Rows keep their places while the pointer or the
 * focus is among them; what vanished is dimmed until they may move. Nothing is fetched while the page
 * is hidden or paused. The formats are those of templatetags/pleme_dashboard.py.
 */

import { duration } from "./durations.js";

const settings = JSON.parse(document.getElementById("pleme-live-settings")?.textContent ?? "null");

const NOTHING = "–";
const PING = "{}";
// Marks that reorder the text around them: shown as escapes, as on the other pages.
const REORDERING = /[\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069]/g;
const RECONNECT_SECONDS = 15;
// A socket that says nothing for so long is as good as closed, and figures so old are stale.
const SILENCE_SECONDS = 15;
const ANNOUNCE_SECONDS = 20;
const NO_SOCKET_SECONDS = 300;
// The close code of a socket that has nothing for this page.
const DENIED = 4003;
// From so many on, causes are not counted.
const CAUSES_COUNTED = 1000;

/** The time zone of the admin's own times; undefined, which is the browser's own, where it does not know that one. */
const timeZone = (() => {
    try { return new Intl.DateTimeFormat([], { timeZone: settings?.timeZone }).resolvedOptions().timeZone; } catch { return undefined; }
})();

// Formats

const grouped = (number, digits = 0) =>
    number.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });

const escaped = (mark) => `\\u${mark.charCodeAt(0).toString(16).padStart(4, "0")}`;

const formats = {
    count: (number) => (number === null ? NOTHING : grouped(number)),
    depth: (number, figures) => formats.count(number) + (number !== null && figures.is_capped ? "+" : ""),
    outlook: (seconds, queue) => (seconds === null ? withoutEnd(queue) : formats.span(seconds)),
    pace: (number) => (number === null ? NOTHING : grouped(number, number > 0 && number < 9.95 ? 1 : 0)),
    span: (seconds) => (seconds === null ? NOTHING : duration(Math.max(seconds, 0))),
    ago: (at) => (at === null ? NOTHING : `${duration(Math.max((Date.now() - Date.parse(at)) / 1000, 0))} ago`),
    word: (text) => text.charAt(0).toUpperCase() + text.slice(1),
    text: (text) => String(text ?? "").replace(REORDERING, escaped),
};

function withoutEnd({ ready, growth_per_minute: growth }) {
    if (!ready || growth === null) return NOTHING;
    return growth >= 0.5 ? `grows by ${grouped(Math.round(growth))}/min` : "steady";
}

// What a snapshot changes on the page

/** Write a text where it differs, so that nothing is selected, announced or painted for nothing. */
function write(element, text) {
    if (element && element.textContent !== text) element.textContent = text;
}

function setLevel(element, level) {
    if (level) element.dataset.level = level;
    else delete element.dataset.level;
}

function patchFields(row, figures) {
    for (const cell of row.querySelectorAll("[data-field]")) {
        const { field, format = "text" } = cell.dataset;
        write(cell, formats[format](figures[field] ?? null, figures) || cell.dataset.else || "");
        if ("alarm" in cell.dataset) setLevel(cell, figures[field] ? "critical" : null);
    }
}

const kinds = {
    queues: {
        key: (queue) => `${queue.product}/${queue.queue}`,
        patch(row, queue) {
            const promise = settings.maxWait[queue.queue] ?? settings.maxWait["*"] ?? 300;
            setLevel(row, !queue.paused && queue.oldest_ready_seconds > promise ? "late" : null);
            row.querySelector("[data-spark]").setAttribute("points", sparkPoints(queue.spark));
            const paused = row.querySelector("[data-paused]");
            paused.hidden = !queue.paused;
            paused.title = queue.paused?.reason ?? "";
            for (const link of row.querySelectorAll("[data-jobs]")) {
                link.href = jobList(link.dataset.jobs, queue);
            }
            if (queue.product) row.querySelector("[data-page=queue]").href = queuePage(queue);
        },
    },
    workers: {
        key: (worker) => worker.id,
        patch(row, worker) {
            row.querySelector("[data-worker-state]").dataset.workerState = worker.state;
            showSlots(row, "sync", worker.running - worker.async_running, worker.slots - worker.async_slots);
            showSlots(row, "async", worker.async_running, worker.async_slots);
            // The overview hides it where there is none; the page of workers always has its column.
            const release = row.querySelector("[data-release]");
            if (release) release.hidden = !worker.release;
        },
    },
    failures: { key: (group) => `${group.fingerprint}/${group.job_type}`, patch() {} },
};

/** Sync and async apart: a free slot of one kind takes no job of the other. */
function showSlots(row, kind, used, all) {
    const slots = row.querySelector(`[data-slots="${kind}"]`);
    slots.hidden = all === 0;
    Object.assign(slots.querySelector("progress"), { max: Math.max(all, 1), value: used });
    write(slots.querySelector("[data-used]"), formats.count(used));
    write(slots.querySelector("[data-all]"), formats.count(all));
}

function jobList(figure, { product, queue }) {
    const query = { ...settings.jobQueries[figure], product, queue };
    return settings.jobsUrl && `${settings.jobsUrl}?${new URLSearchParams(query)}`;
}

function queuePage({ product, queue }) {
    return settings.queueUrl.replace("PRODUCT", encodeURIComponent(product)).replace("QUEUE", encodeURIComponent(queue));
}

function sparkPoints(depths) {
    const [width, height] = [96, 24];
    const highest = Math.max(...depths, 0) || 1;
    const step = width / Math.max(depths.length - 1, 1);
    return depths
        .map((depth, index) => depth !== null && `${(index * step).toFixed(1)},${(height - 1 - (depth * (height - 2)) / highest).toFixed(1)}`)
        .filter(Boolean)
        .join(" ");
}

/** Patch the rows that are there, add those that are new, and order them when nobody is among them. */
function patchRows(list, entries) {
    const kind = kinds[list.dataset.rows];
    const rows = new Map([...list.children].map((row) => [row.dataset.key, row]));
    const isFixed = "fixed" in list.dataset;
    const isBusy = list.matches(":hover, :focus-within");
    const current = [];
    for (const entry of entries) {
        const key = kind.key(entry);
        let row = rows.get(key);
        if (!row) {
            if (isFixed) continue;
            row = document.querySelector(`template[data-row-of="${list.dataset.rows}"]`).content.firstElementChild.cloneNode(true);
            row.dataset.key = key;
            list.append(row);
        }
        rows.delete(key);
        row.classList.remove("pleme-gone");
        patchFields(row, entry);
        kind.patch(row, entry);
        current.push(row);
    }
    if (!isFixed) settleRows(list, current, rows.values(), isBusy);
}

function settleRows(list, current, vanished, isBusy) {
    for (const row of vanished) {
        if (isBusy) row.classList.add("pleme-gone");
        else row.remove();
    }
    const isInOrder = current.every((row, index) => list.children[index] === row);
    if (!isBusy && !isInOrder) list.append(...current);
    const empty = document.querySelector(`[data-empty-of="${list.dataset.rows}"]`);
    if (empty) empty.hidden = list.children.length > 0;
}

function patchHealth(section, snapshot) {
    const { level, sentence, reasons, reason_count: count } = snapshot.health;
    section.dataset.level = level;
    write(section.querySelector("[data-health-sentence]"), sentence);
    const list = section.querySelector("[data-health-reasons]");
    section.querySelector("[data-health-why]").hidden = reasons.length === 0;
    if (!list.matches(":hover, :focus-within")) {
        list.replaceChildren(...reasons.map(reasonItem));
        if (count > reasons.length) list.append(Object.assign(document.createElement("li"), { textContent: `${grouped(count)} in total` }));
    }
    const measured = snapshot.sampled_at === null ? "not measured yet" : `measured ${formats.ago(snapshot.sampled_at)}`;
    write(section.querySelector("[data-sampled]"), measured);
}

function reasonItem(reason) {
    const item = document.createElement("li");
    item.dataset.level = reason.level;
    const url = reason.queue && reason.product ? queuePage(reason) : settings.reasonUrls[reason.page];
    const text = url ? item.appendChild(document.createElement("a")) : item;
    if (url) text.href = url;
    text.textContent = formats.text(reason.text);
    return item;
}

function patchCards({ cards, is_old: isOld, sampled_at: at }) {
    for (const measured of document.querySelectorAll("[data-measured]")) measured.toggleAttribute("data-old", isOld);
    for (const note of document.querySelectorAll("[data-old-note]")) {
        note.hidden = !isOld;
        write(note.querySelector("[data-old-at]"), formats.ago(at));
    }
    for (const figure of document.querySelectorAll("[data-card]")) {
        write(figure, formats[figure.dataset.format](cards[figure.dataset.card], cards));
    }
    for (const card of document.querySelectorAll("[data-card-of]")) {
        setLevel(card, cards[card.dataset.cardOf] ? "critical" : null);
    }
}

function patchFailureNote({ failures, cause_count: causes, failures_are_capped: isCapped }) {
    const many = `${failures.length} of ${grouped(causes)}${causes >= CAUSES_COUNTED ? "+" : ""} causes, those with the most jobs. `;
    const capped = isCapped ? "Only the jobs that failed last are counted; more have failed." : "";
    write(document.querySelector("[data-failure-note]"), (causes > failures.length ? many : "") + capped);
}

function patchPage(snapshot) {
    const health = document.querySelector("[data-health]");
    if (health) patchHealth(health, snapshot);
    patchCards(snapshot);
    patchFailureNote(snapshot);
    for (const list of document.querySelectorAll("[data-rows]")) patchRows(list, snapshot[list.dataset.rows]);
    announce(snapshot.health.sentence);
    document.dispatchEvent(new CustomEvent("pleme:snapshot", { detail: snapshot }));
}

let announced = { sentence: document.querySelector("[data-health-sentence]")?.textContent, at: -Infinity };

/** Tell a screen reader what changed, at most every so often; figures in the sentence are no news. */
function announce(sentence) {
    const region = document.getElementById("pleme-announcement");
    const now = performance.now() / 1000;
    const isNews = sentence.replace(/[\d,.]+ ?(ms|s|m|h|d)\b/g, "") !== announced.sentence?.replace(/[\d,.]+ ?(ms|s|m|h|d)\b/g, "");
    if (!region || !isNews || now - announced.at < ANNOUNCE_SECONDS) return;
    announced = { sentence, at: now };
    region.textContent = sentence;
}

// Where snapshots come from

/** Shows whether the page is live, and lets the viewer pause it. */
class Indicator {
    constructor(element, onPause) {
        this.element = element;
        this.text = element.querySelector("[data-live-text]");
        this.button = element.querySelector("[data-live-pause]");
        this.button.addEventListener("click", onPause);
        element.hidden = false;
    }

    show(state, text) {
        this.element.dataset.state = state;
        write(this.text, text);
        write(this.button, state === "paused" ? "Resume updates" : "Pause updates");
    }
}

/** Remembers for a while that there is no websocket for this page: under runserver each try is a 404 in two logs. */
const noSocket = {
    key: `pleme-no-socket ${settings?.websocketPath} ${settings?.model}`,
    note() {
        try { sessionStorage.setItem(this.key, String(Date.now())); } catch { /* it is asked again */ }
    },
    isRecent() {
        try { return Date.now() - Number(sessionStorage.getItem(this.key)) < NO_SOCKET_SECONDS * 1000; } catch { return false; }
    },
};

class Feed {
    constructor(element) {
        this.isPaused = false;
        this.socket = null;
        this.etag = null;
        this.lastAt = Date.now();
        this.indicator = new Indicator(element, () => this.toggle());
        document.addEventListener("visibilitychange", () => this.adjust());
        window.addEventListener("pagehide", () => this.stop());
        window.addEventListener("pageshow", (event) => event.persisted && this.adjust());
        this.adjust();
    }

    toggle() {
        this.isPaused = !this.isPaused;
        this.adjust();
    }

    /** Run while somebody looks, and stop otherwise. */
    adjust() {
        this.stop();
        if (this.isPaused) this.indicator.show("paused", `Paused at ${clock(this.lastAt)}`);
        else if (!document.hidden) this.start();
    }

    start() {
        this.poll();
        this.connect();
        this.timers = [
            setInterval(() => this.socketIsSilent() && this.poll(), settings.pollSeconds * 1000),
            setInterval(() => this.socket === null && this.connect(), RECONNECT_SECONDS * 1000),
            setInterval(() => this.showState(), 1000),
        ];
    }

    stop() {
        for (const timer of this.timers ?? []) clearInterval(timer);
        this.timers = [];
        this.request?.abort();
        const socket = this.socket;
        this.socket = null;
        socket?.close();
    }

    connect() {
        // The socket sends the snapshot of all products that the user may see, and nothing else.
        if (!settings.websocketPath || Object.keys(settings.dataQuery).length > 0 || noSocket.isRecent()) return;
        const scheme = location.protocol === "https:" ? "wss:" : "ws:";
        let socket;
        try {
            socket = new WebSocket(`${scheme}//${location.host}${settings.websocketPath}?${new URLSearchParams({ model: settings.model })}`);
        } catch {
            return;
        }
        this.socket = socket;
        this.heardAt = -Infinity;
        socket.addEventListener("message", (event) => {
            if (this.socket !== socket) return;
            for (const line of event.data.split("\n")) this.hear(socket, line);
        });
        socket.addEventListener("open", () => (this.hasOpened = true));
        socket.addEventListener("close", ({ code }) => {
            if (!this.hasOpened || code === DENIED) noSocket.note();
            if (this.socket === socket) this.socket = null;
        });
    }

    /** Take a snapshot, answer a ping; a refusal is followed by the close. */
    hear(socket, line) {
        if (line === PING) {
            socket.send(PING);
            return;
        }
        const message = JSON.parse(line);
        if (!message.health) return;
        this.heardAt = Date.now();
        this.take(message);
    }

    socketIsSilent() {
        return this.socket === null || Date.now() - this.heardAt > SILENCE_SECONDS * 1000;
    }

    async poll() {
        this.request?.abort();
        const request = (this.request = new AbortController());
        const url = new URL(settings.dataUrl, location.href);
        url.search = new URLSearchParams(settings.dataQuery);
        try {
            const headers = this.etag ? { "If-None-Match": this.etag } : {};
            const response = await fetch(url, { headers, signal: request.signal, cache: "no-store" });
            if (response.redirected || response.status === 403) this.end();
            else if (response.status === 304) this.take(null);
            else if (response.ok) {
                this.etag = response.headers.get("ETag");
                this.take(await response.json());
            }
        } catch {
            // The indicator tells that the figures grow old.
        }
    }

    /** Say so when nobody is signed in any more, or the permission is gone: asking again would not help. */
    end() {
        this.stop();
        this.isPaused = true;
        this.indicator.show("stale", `You are signed out, or may no longer see this. Figures of ${clock(this.lastAt)}`);
        this.indicator.button.hidden = true;
    }

    take(snapshot) {
        this.lastAt = Date.now();
        if (snapshot) patchPage(snapshot);
        this.showState();
    }

    showState() {
        if (this.isPaused) return;
        const isStale = Date.now() - this.lastAt > SILENCE_SECONDS * 1000;
        if (isStale) this.indicator.show("stale", `Stale since ${clock(this.lastAt)}`);
        else if (!this.socketIsSilent()) this.indicator.show("live", "Live");
        else this.indicator.show("polling", `Every ${settings.pollSeconds} s`);
    }
}

const clock = (at) => new Date(at).toLocaleTimeString([], { hourCycle: "h23", timeZone });

// For dashboard-charts.js. Not an import: where the names of static files carry a hash, it would load this twice.
globalThis.plemeDashboard = { formats, timeZone };

const element = document.getElementById("pleme-live");
if (element && settings) new Feed(element);
