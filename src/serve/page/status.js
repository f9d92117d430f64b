// SPDX-License-Identifier: Apache-2.0
"use strict";
const KEEP = 120; // seconds
const at = id => document.getElementById(id);
const history = {};
let before = null;

function headers() {
  const token = sessionStorage.getItem("token");
  return token ? { Authorization: "Bearer " + token } : {};
}

// The text format: name{labels} value.
function parse(text) {
  const samples = [];
  for (const line of text.split("\n")) {
    const match = /^([a-z_]+)(?:\{(.*)\})? ([-+.e\dIinfN]+)$/.exec(line);
    if (!match)
      continue;
    const labels = {};
    for (const [, key, value] of (match[2] || "").matchAll(/([a-z]+)="([^"]*)"/g))
      labels[key] = value;
    samples.push({ name: match[1], labels, value: Number(match[3]) });
  }
  return samples;
}

const sum = (samples, name, keep = () => true) =>
  samples.filter(s => s.name === name && keep(s)).reduce((total, s) => total + s.value, 0);

// Counts below each bound, over all models.
function buckets(samples, name) {
  const counts = new Map();
  for (const s of samples)
    if (s.name === name + "_bucket")
      counts.set(s.labels.le, (counts.get(s.labels.le) || 0) + s.value);
  return counts;
}

// The quantile of what came between two looks, between the bounds of its bucket; null without any.
function quantile(now, old, q) {
  const bounds = [...now.keys()].map(le => [le === "+Inf" ? Infinity : Number(le), now.get(le) - (old.get(le) || 0)]);
  bounds.sort((a, b) => a[0] - b[0]);
  const all = bounds.length ? bounds[bounds.length - 1][1] : 0;
  let low = 0, below = 0;
  for (const [bound, count] of all ? bounds : []) {
    if (count >= q * all)
      return bound === Infinity ? low : low + (bound - low) * (q * all - below) / (count - below || 1);
    low = bound;
    below = count;
  }
  return null;
}

function draw(id, value, digits) {
  const chart = at(id), points = history[id] = history[id] || [];
  points.push(value);
  if (points.length > KEEP)
    points.shift();
  chart.querySelector("output").textContent = value === null ? "–" : value.toFixed(digits);
  const most = Math.max(...points, 1e-9);
  const line = points.map((v, i) => `${KEEP - points.length + i},${v === null ? 100 : (100 - 96 * v / most).toFixed(1)}`);
  let svg = chart.querySelector("svg");
  if (!svg) {
    chart.insertAdjacentHTML("beforeend", `<svg viewBox="0 0 ${KEEP} 100" preserveAspectRatio="none" aria-hidden="true"><polyline class="area"/><polyline class="line"/></svg>`);
    svg = chart.querySelector("svg");
  }
  svg.querySelector(".line").setAttribute("points", line.join(" "));
  svg.querySelector(".area").setAttribute("points", `${KEEP - points.length},100 ${line.join(" ")} ${KEEP - 1},100`);
}

function show(samples, seconds, old) {
  const rate = (name, keep) => (sum(samples, name, keep) - sum(old, name, keep)) / seconds;
  const times = buckets(samples, "hrnet_item_seconds"), oldTimes = buckets(old, "hrnet_item_seconds");
  const median = quantile(times, oldTimes, 0.5), slow = quantile(times, oldTimes, 0.99);
  const batches = rate("hrnet_batch_items_count");
  draw("answers", rate("hrnet_answers_total"), 1);
  draw("median", median === null ? null : 1000 * median, 0);
  draw("slow", slow === null ? null : 1000 * slow, 0);
  draw("queue", sum(samples, "hrnet_queue_items"), 0);
  draw("batch", batches ? rate("hrnet_batch_items_sum") / batches : null, 1);
  draw("refused", rate("hrnet_requests_total", s => s.labels.protocol === "http" && s.labels.code >= "400"), 1);
}

function listModels(index, samples) {
  const cell = text => { const td = document.createElement("td"); td.textContent = text; return td; };
  at("models").replaceChildren(...index.map(m => {
    const own = s => s.labels.model === m.name && s.labels.version === m.version;
    const row = document.createElement("tr");
    row.append(cell(m.name), cell(m.version), cell(m.state.toLowerCase() + (m.reason ? ": " + m.reason : "")),
      ...["hrnet_answers_total", "hrnet_failures_total", "hrnet_rejected_total"].map(name => cell(sum(samples, name, own))));
    return row;
  }));
}

async function look() {
  try {
    const response = await fetch("/metrics", { headers: headers() });
    if (!response.ok)
      throw new Error(response.status === 401 ? "A token is wanted: give it on the first page." : "HTTP " + response.status);
    const now = { time: performance.now(), samples: parse(await response.text()) };
    const index = await fetch("/v2/repository/index", { method: "POST", headers: headers() });
    if (before)
      show(now.samples, (now.time - before.time) / 1000, before.samples);
    listModels(await index.json(), now.samples);
    before = now;
    at("message").textContent = "";
  } catch (error) {
    at("message").textContent = error.message;
    at("message").className = "bad";
  }
  setTimeout(look, 1000);
}
look();
