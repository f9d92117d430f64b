// SPDX-License-Identifier: Apache-2.0
"use strict";
const at = id => document.getElementById(id);
const say = (text, bad) => { at("message").textContent = text; at("message").className = bad ? "bad" : ""; };

function headers() {
  const token = at("token").value || sessionStorage.getItem("token");
  return token ? { Authorization: "Bearer " + token } : {};
}

async function ask(path, options = {}) {
  const response = await fetch(path, { ...options, headers: headers() });
  if (response.status === 401) {
    at("token-label").hidden = false;
    at("token").focus();
  }
  const body = await response.json().catch(() => ({}));
  if (!response.ok) {
    const wait = response.headers.get("Retry-After");
    throw new Error((body.error || "HTTP " + response.status) + (wait ? "; again in " + wait + " s" : ""));
  }
  return body;
}

async function listModels() {
  const { models } = await ask("/v2/models");
  at("model").replaceChildren(...[...new Set(models)].map(name => new Option(name)));
}

function percent(score) {
  return (100 * score).toFixed(score < 0.0995 ? 2 : 1) + " %";
}

function fill(card, file, answer, seconds) {
  const result = answer.results[0], timing = answer.timing;
  card.querySelector("figcaption").textContent =
    `${file.name}, ${result.width} × ${result.height} ${result.format}${result.warning ? ": " + result.warning : ""}`;
  card.querySelector(".bars").replaceChildren(...result.class_ids.map((id, i) => {
    const row = document.createElement("li");
    const bar = document.createElement("i"), name = document.createElement("span"), score = document.createElement("span");
    bar.style.width = 100 * result.scores[i] + "%";
    name.textContent = result.label_names[i] || "class " + id;
    name.title = "class " + id;
    score.textContent = percent(result.scores[i]);
    row.append(bar, name, score);
    return row;
  }));
  if (result.explanation) {
    const map = document.createElement("img");
    map.src = result.explanation;
    map.alt = "Where the answer comes from: blue little, red much";
    map.className = "map";
    card.querySelector("figure").append(map);
  }
  card.querySelector(".times").textContent =
    `${(1000 * seconds).toFixed(0)} ms in all: decode ${timing.decode_ms.toFixed(1)}, queue ${timing.queue_ms.toFixed(1)}, ` +
    `compute ${timing.compute_ms.toFixed(1)} (batch of ${timing.batch})` +
    (result.explanation_error ? `; no heat map: ${result.explanation_error}` : "");
}

async function classify(file) {
  const card = at("card").content.cloneNode(true).firstElementChild;
  const image = card.querySelector("img");
  image.src = URL.createObjectURL(file);
  image.onerror = () => image.remove();
  card.querySelector("figcaption").textContent = file.name;
  at("results").prepend(card);
  const query = new URLSearchParams({ k: at("k").value, model: at("model").value, explain: Number(at("explain").checked) });
  const start = performance.now();
  try {
    const answer = await ask("/v1/classify?" + query, { method: "POST", body: file });
    fill(card, file, answer, (performance.now() - start) / 1000);
  } catch (error) {
    const times = card.querySelector(".times");
    times.textContent = error.message;
    times.classList.add("bad");
    return false;
  }
  return true;
}

async function classifyAll(files) {
  const pictures = [...files];
  if (!pictures.length)
    return;
  say(pictures.length === 1 ? "Looking…" : `Looking at ${pictures.length} pictures…`);
  const good = await Promise.all(pictures.map(classify));
  const failed = good.filter(ok => !ok).length;
  say(failed ? `${failed} of ${good.length} failed.` : "Done.", failed > 0);
}

at("file").addEventListener("change", event => {
  classifyAll(event.target.files).then(() => { event.target.value = ""; });
});
for (const name of ["dragover", "dragleave", "drop"])
  document.addEventListener(name, event => {
    event.preventDefault();
    at("drop").classList.toggle("over", name === "dragover");
    if (name === "drop")
      classifyAll(event.dataTransfer.files);
  });
document.addEventListener("paste", event => classifyAll(event.clipboardData.files));
at("form").addEventListener("submit", event => event.preventDefault());
at("token").addEventListener("change", () => {
  sessionStorage.setItem("token", at("token").value);
  listModels().then(() => say("")).catch(error => say(error.message, true));
});
listModels().catch(error => say(error.message, true));
