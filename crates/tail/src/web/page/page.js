// Shows what the server sends: an overview of the numbers, and new events. All texts of events are
// set as text, so that no event can bring markup.
"use strict";

const ROWS = 50;

// The server sends something every five seconds.
const SILENCE_MS = 15000;

// A connection that ends and comes back within this time is no news.
const PATIENCE_MS = 3000;

const STATES = {
  starting: "Starting",
  history: "Reading past events",
  catching_up: "Catching up",
  live: "Live",
  retrying: "Retrying",
  degraded: "Fetching at an interval",
  awaiting_acks: "Waiting for an acknowledgement",
  not_saving: "Cannot save the position",
  output_failing: "Output fails",
  stopped: "Stopped",
  disconnected: "Disconnected",
};

const element = (id) => document.getElementById(id);
const number = new Intl.NumberFormat();
const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium", hourCycle: "h23" });
const day = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });

// The last overview, and the difference between the server's clock and this one.
let overview = null;
let clockOffset = 0;
let disconnectedSince = null;

function setText(id, text) {
  const target = element(id);
  if (target.textContent !== text) {
    target.textContent = text;
  }
}

function now() {
  return Date.now() + clockOffset;
}

function duration(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86400)} d ${Math.floor((seconds % 86400) / 3600)} h`;
}

function ago(time) {
  return `${duration(now() - time)} ago`;
}

// A time of today, or a day and a time.
function when(time) {
  const date = new Date(time);
  const isToday = date.toDateString() === new Date(now()).toDateString();
  return isToday ? clock.format(date) : `${day.format(date)}, ${clock.format(date)}`;
}

function rateText(perSecond) {
  if (perSecond === 0) return "0 /s";
  if (perSecond < 1) return `${number.format(Math.max(1, Math.round(perSecond * 60)))} /min`;
  return `${number.format(perSecond < 100 ? Math.round(perSecond * 10) / 10 : Math.round(perSecond))} /s`;
}

// The numbers that change with time alone are drawn each second.
function draw() {
  const state = disconnectedSince !== null ? "disconnected" : overview?.state;
  if (state === undefined) return;
  const name = STATES[state] ?? state;
  document.body.dataset.state = state;
  setText("state-name", name);
  document.title = `${name} · box-tail`;
  if (disconnectedSince !== null) {
    setText("since", `for ${duration(Date.now() - disconnectedSince)}`);
    showCause("box-tail does not respond. This page connects again by itself.");
    return;
  }
  setText("since", `for ${duration(now() - overview.since)}, since ${when(overview.since)}`);
  const next = overview.next_attempt_at;
  const attempt = next === null ? "" : next > now() ? ` Next try in ${duration(next - now())}.` : " Trying now.";
  showCause(overview.cause === null ? null : `${overview.cause}.${attempt}`);
  drawHistory();
  drawNumbers();
}

function showCause(text) {
  element("cause").hidden = text === null;
  setText("cause", text ?? "");
}

function drawHistory() {
  const { history } = overview;
  const target = element("history");
  target.hidden = history === null;
  if (history === null) return;
  target.querySelector("progress").value = history.share;
  const rest = history.remaining_seconds;
  const left = rest === null ? "" : `, ${duration(rest * 1000)} left`;
  target.querySelector("span").textContent = `${Math.floor(history.share * 100)} %${left}`;
}

function drawNumbers() {
  const { newest_event_at: newest, complete_until: complete } = overview;
  const isCaughtUp = overview.is_caught_up || overview.state === "live";
  if (isCaughtUp) {
    setText("lag", "None");
    setText("lag-note", newest === null ? "no event yet" : `last event ${ago(newest)}`);
  } else {
    setText("lag", newest === null ? "–" : duration(now() - newest));
    setText("lag-note", newest === null ? "" : "age of the newest event");
  }
  setText("events", number.format(overview.events));
  setText("events-note", `in ${duration(now() - overview.started)}`);
  setText("complete", complete === null ? "–" : when(complete));
  setText("complete-note", complete === null ? "not proven yet" : ago(complete));
}

// The numbers that change only with an overview.
function drawOverview() {
  setText("account", `follows ${overview.account}`);
  setText("requests", number.format(overview.requests));
  setText("retries", number.format(overview.retries));
  setText("rate-limited", number.format(overview.rate_limited));
  setText("repeats", number.format(overview.repeats));
  setText("unacknowledged", number.format(overview.unacknowledged));
  setText("sink-errors", number.format(overview.sink_errors));
  drawChart();
}

function drawChart() {
  const { counts, step_seconds: seconds } = overview.rate;
  // The last step is not over.
  const rates = counts.slice(0, -1).map((count) => count / seconds);
  const peak = Math.max(...rates);
  const current = (rates.at(-1) + rates.at(-2)) / 2;
  const height = (rate) => 39 - (peak === 0 ? 0 : (rate / peak) * 37);
  const line = rates.map((rate, step) => `${step} ${height(rate).toFixed(2)}`).join(" L ");
  const chart = document.querySelector("svg");
  chart.querySelector(".line").setAttribute("d", `M ${line}`);
  chart.querySelector(".area").setAttribute("d", `M 0 40 L ${line} L ${rates.length - 1} 40 Z`);
  chart.setAttribute("aria-label", `Now ${rateText(current)}, at most ${rateText(peak)} in the last 10 minutes`);
  setText("rate", rateText(current));
  setText("rate-note", "last 10 seconds");
  setText("peak", `peak ${rateText(peak)}`);
}

// The table. The newest event is its first row.
const rows = element("rows");
const filter = element("filter");
const pause = element("pause");
let lastNumber = 0;
let waiting = [];

function cell(row, content) {
  const target = document.createElement("td");
  target.setAttribute("role", "cell");
  target.append(content);
  row.append(target);
}

function rowOf(event) {
  const row = document.createElement("tr");
  row.setAttribute("role", "row");
  row.className = "fresh";
  const time = document.createElement("time");
  if (event.created_at === null) {
    time.textContent = "–";
  } else {
    time.dateTime = event.created_at;
    time.title = event.created_at;
    time.textContent = when(Date.parse(event.created_at));
  }
  cell(row, time);
  cell(row, event.event_type);
  cell(row, event.who);
  cell(row, event.what);
  return row;
}

function addRows(events) {
  for (const event of events) {
    rows.prepend(rowOf(event));
  }
  while (rows.children.length > ROWS) {
    rows.lastElementChild.remove();
  }
  applyFilter();
}

function applyFilter() {
  const wanted = filter.value.trim().toLowerCase();
  let shown = 0;
  for (const row of rows.children) {
    row.hidden = !row.textContent.toLowerCase().includes(wanted);
    shown += row.hidden ? 0 : 1;
  }
  const all = rows.children.length;
  const isPaused = pause.getAttribute("aria-pressed") === "true";
  const news = isPaused ? `, ${waiting.length === ROWS ? "50 or more" : waiting.length} new` : "";
  setText("shown", (wanted === "" ? `${all}` : `${shown} of ${all}`) + news);
  element("none").hidden = shown > 0;
  setText("none", all === 0 ? "No events yet." : "None of these events matches the filter.");
}

filter.addEventListener("input", applyFilter);
pause.addEventListener("click", () => {
  const isPaused = pause.getAttribute("aria-pressed") === "true";
  pause.setAttribute("aria-pressed", String(!isPaused));
  if (isPaused) {
    addRows(waiting.splice(0));
  } else {
    applyFilter();
  }
});

// The connection.
let heard = Date.now();
let lost = null;
let source = null;

function connected() {
  heard = Date.now();
  lost = null;
  disconnectedSince = null;
}

function connect() {
  source?.close();
  source = new EventSource("events");
  source.addEventListener("error", () => {
    lost ??= Date.now();
  });
  source.addEventListener("overview", (message) => {
    connected();
    const [time, next] = JSON.parse(message.data);
    clockOffset = time - Date.now();
    if (overview?.started !== next.started) {
      // Another run of the program numbers its events from 1 again.
      lastNumber = 0;
    }
    overview = next;
    drawOverview();
    draw();
  });
  source.addEventListener("events", (message) => {
    connected();
    const events = JSON.parse(message.data).filter((event) => event.number > lastNumber);
    lastNumber = events.at(-1)?.number ?? lastNumber;
    if (pause.getAttribute("aria-pressed") === "true") {
      waiting = waiting.concat(events).slice(-ROWS);
      applyFilter();
    } else {
      addRows(events);
    }
  });
}

function check() {
  const isSilent = Date.now() - heard > SILENCE_MS;
  const isLost = lost !== null && Date.now() - lost > PATIENCE_MS;
  if (isSilent || isLost) {
    disconnectedSince ??= lost ?? heard;
  }
  // The browser connects again by itself, unless it was refused, or does not see that the connection is dead.
  const isOpen = source.readyState === EventSource.OPEN;
  if (source.readyState === EventSource.CLOSED || (isOpen && isSilent)) {
    connect();
  }
  draw();
}

applyFilter();
connect();
setInterval(check, 1000);
