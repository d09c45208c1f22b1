/**
 * Draws the dashboard's charts with uPlot, and fills the table that stands beside each of them.
 *
 * Colours are those of the legend, which has them from the admin's variables; they are read again when
 * the theme changes. New figures are fetched when a snapshot arrives and a step is over.
 */

const settings = JSON.parse(document.getElementById("pleme-live-settings").textContent);
const { formats, timeZone } = globalThis.plemeDashboard;
const { uPlot } = globalThis;

const HEIGHT = 160;
// However little is measured yet, a sixth of the span is shown.
const LEAST_SHARE = 6;
const SPAN_NAMES = { "1h": "last hour", "6h": "last 6 hours", "24h": "last 24 hours", "7d": "last 7 days" };
const cursors = uPlot.sync("pleme");

/** Return the figures of one line: counts of a step become a pace. */
function valuesOf(series, line, format) {
    const values = series[line];
    return format === "pace" ? values.map((value) => (value === null ? null : (value * 60) / series.step_seconds)) : values;
}

/** Return what is drawn of stacked lines: each on top of those before it. */
function stacked(lines) {
    let below = null;
    return lines.map((values) => {
        below = values.map((value, index) => (value === null ? null : value + (below?.[index] ?? 0)));
        return below;
    });
}

const cssColor = (element) => getComputedStyle(element).color;

/** Return a translucent form of a colour; canvas takes what color-mix() computes to. */
function faded(color, share) {
    const probe = document.createElement("span");
    probe.style.color = `color-mix(in srgb, ${color} ${share}%, transparent)`;
    document.body.append(probe);
    const result = cssColor(probe);
    probe.remove();
    return result;
}

/** Return a series without the steps before the first measurement: of a new project, they are most. */
function withoutBeginning(series) {
    const { times, ready } = series;
    const first = ready.findIndex((value) => value !== null);
    const start = Math.min(Math.max(first, 0), Math.floor(times.length * (1 - 1 / LEAST_SHARE)));
    const cut = (value) => (Array.isArray(value) ? value.slice(start) : value);
    return Object.fromEntries(Object.entries(series).map(([name, value]) => [name, cut(value)]));
}

class Chart {
    constructor(figure) {
        this.figure = figure;
        this.plotBox = figure.querySelector("[data-plot]");
        this.swatches = [...figure.querySelectorAll("[data-line]")];
        this.lines = this.swatches.map((swatch) => swatch.dataset.line);
        this.format = figure.dataset.format;
        this.isStacked = "stacked" in figure.dataset;
        this.isFilledBetween = this.isStacked || this.format === "span";
        this.twin = figure.querySelector("details");
        this.twin.addEventListener("toggle", () => this.fillTwin());
    }

    show(series) {
        this.series = series;
        this.values = this.lines.map((line) => valuesOf(series, line, this.format));
        const data = [series.times, ...(this.isStacked ? stacked(this.values) : this.values)];
        const isMeasured = this.values.some((values) => values.some((value) => value !== null));
        this.plotBox.classList.toggle("pleme-plot-empty", !isMeasured);
        if (!isMeasured) this.showNothing();
        else if (this.plot) this.plot.setData(data);
        else this.draw(data);
        this.showValues(null);
        this.describe();
        this.fillTwin();
    }

    showNothing() {
        this.plot?.destroy();
        this.plot = null;
        this.plotBox.textContent = "Nothing was measured in this span.";
    }

    draw(data) {
        this.plotBox.textContent = "";
        this.plot = new uPlot(this.options(), data, this.plotBox);
    }

    /** Draw again, with the colours and the width of now. */
    redraw() {
        if (!this.plot) return;
        const { data } = this.plot;
        this.plot.destroy();
        this.draw(data);
    }

    resize() {
        this.plot?.setSize({ width: this.plotBox.clientWidth, height: HEIGHT });
    }

    options() {
        const quiet = getComputedStyle(this.figure.querySelector(".pleme-quiet")).color;
        const hairline = getComputedStyle(this.figure).borderTopColor;
        const font = `11px ${getComputedStyle(this.figure).fontFamily}`;
        const axis = { stroke: quiet, font, grid: { stroke: hairline, width: 1 }, ticks: { show: false } };
        return {
            width: this.plotBox.clientWidth,
            height: HEIGHT,
            padding: [8, 18, 0, 0],
            legend: { show: false },
            tzDate: (seconds) => (timeZone ? uPlot.tzDate(new Date(seconds * 1000), timeZone) : new Date(seconds * 1000)),
            cursor: { sync: { key: cursors.key }, y: false, points: { size: 6 }, drag: { x: false, y: false } },
            scales: { y: { range: (_plot, _low, high) => [0, high > 0 ? high * 1.08 : 1] } },
            axes: [
                { ...axis, space: 70, size: 26, values: timeLabels },
                { ...axis, size: 52, space: 32, values: (_plot, ticks) => ticks.map((tick) => this.tick(tick)) },
            ],
            series: [{}, ...this.swatches.map((swatch) => this.line(swatch))],
            bands: this.isFilledBetween ? this.bands() : [],
            hooks: { setCursor: [(plot) => this.showValues(plot.cursor.idx)] },
        };
    }

    line(swatch) {
        const color = cssColor(swatch);
        const width = Number.parseFloat(getComputedStyle(swatch).borderTopWidth) / 2;
        const isFilled = this.isStacked ? swatch === this.swatches[0] : "filled" in swatch.dataset;
        return {
            stroke: color,
            width: this.isStacked ? 1 : Math.max(width, 1),
            fill: isFilled ? faded(color, 25) : undefined,
            // No line goes through a point without neighbours.
            points: { show: true, size: 4, fill: color, filter: (plot, index) => isolated(plot.data[index]) },
        };
    }

    bands() {
        return this.swatches.slice(1).map((swatch, index) => ({
            series: [index + 2, index + 1],
            fill: faded(cssColor(swatch), this.isStacked ? 40 : 14),
        }));
    }

    tick(value) {
        if (value === null) return "";
        if (this.format === "span") return value === 0 ? "0" : formats.span(value);
        return Intl.NumberFormat("en-US", { notation: "compact", maximumFractionDigits: 1 }).format(value);
    }

    /** Show the figures of a step in the legend; null: of the last one, where it tells of now. */
    showValues(index) {
        this.lines.forEach((line, position) => {
            const values = this.values[position];
            const value = index === null || index === undefined ? this.latest(values) : values[index];
            this.figure.querySelector(`[data-value="${line}"]`).textContent = formats[this.format](value ?? null);
        });
    }

    /** Return the last value of the last minute, or of the last few steps; an older one is not of now. */
    latest(values) {
        const steps = Math.ceil(60 / this.series.step_seconds) + 2;
        return values.slice(-steps).findLast((value) => value !== null) ?? null;
    }

    describe() {
        const figures = this.swatches.map((swatch, position) => {
            const title = swatch.parentElement.dataset.title;
            return `${title} ${formats[this.format](this.latest(this.values[position]))}`;
        });
        this.plotBox.setAttribute("aria-label", `${this.figure.dataset.title}, ${SPAN_NAMES[this.series.span]}. Latest: ${figures.join(", ")}.`);
    }

    fillTwin() {
        if (!this.twin.open || !this.series) return;
        const rows = this.series.times.map((time, index) => {
            const cells = this.values.map((values) => values[index]);
            return cells.some((value) => value !== null) ? this.twinRow(time, cells) : null;
        });
        this.figure.querySelector("[data-twin]").replaceChildren(...rows.filter(Boolean).reverse());
    }

    twinRow(time, cells) {
        const row = document.createElement("tr");
        const head = row.appendChild(document.createElement("th"));
        head.scope = "row";
        head.textContent = new Date(time * 1000).toLocaleString([], { dateStyle: "short", timeStyle: "medium", timeZone });
        for (const value of cells) {
            const cell = row.appendChild(document.createElement("td"));
            cell.className = "pleme-number";
            cell.textContent = formats[this.format](value);
        }
        return row;
    }
}

/** Return where a figure stands alone. */
function isolated(values) {
    const isNothing = (index) => (values[index] ?? null) === null;
    return [...values.keys()].filter((index) => !isNothing(index) && isNothing(index - 1) && isNothing(index + 1));
}

function timeLabels(plot, ticks, _axis, _space, step) {
    const pick = step >= 86400 ? { month: "short", day: "numeric" } : { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
    return ticks.map((tick) => new Date(tick * 1000).toLocaleString([], { ...pick, timeZone }));
}

class History {
    constructor(section) {
        this.charts = [...section.querySelectorAll("[data-chart]")].map((figure) => new Chart(figure));
        this.links = [...section.querySelectorAll("[data-span]")];
        this.show(JSON.parse(document.getElementById("pleme-series").textContent));
        for (const link of this.links) link.addEventListener("click", (event) => this.choose(event, link));
        document.addEventListener("pleme:snapshot", () => this.refreshWhenDue());
        new ResizeObserver(() => this.charts.forEach((chart) => chart.resize())).observe(section);
        this.watchTheme();
        if (!timeZone) section.querySelector("[data-zone]").textContent = "Time zone: that of this browser.";
    }

    show(series) {
        this.series = series;
        this.shownAt = Date.now();
        const shown = withoutBeginning(series);
        for (const chart of this.charts) chart.show(shown);
    }

    /** Show another span without a reload; the address follows, so that it can be shared. */
    choose(event, link) {
        if (event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
        event.preventDefault();
        for (const each of this.links) each.removeAttribute("aria-current");
        link.setAttribute("aria-current", "true");
        history.replaceState(null, "", link.href);
        this.fetch(link.dataset.span);
    }

    refreshWhenDue() {
        if (Date.now() - this.shownAt > this.series.step_seconds * 1000) this.fetch(this.series.span);
    }

    async fetch(span) {
        this.shownAt = Date.now();
        this.request?.abort();
        const request = (this.request = new AbortController());
        const url = new URL(settings.seriesUrl, location.href);
        url.search = new URLSearchParams({ ...settings.seriesQuery, span });
        try {
            const response = await fetch(url, { signal: request.signal });
            if (response.ok && !response.redirected) this.show(await response.json());
        } catch {
            // The next snapshot asks again.
        }
    }

    watchTheme() {
        const redraw = () => this.charts.forEach((chart) => chart.redraw());
        matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
        new MutationObserver(redraw).observe(document.documentElement, { attributeFilter: ["data-theme"] });
    }
}

const section = document.querySelector("[data-charts]");
if (section) new History(section);
