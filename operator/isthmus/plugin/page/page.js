// Reads the topology every two seconds and draws it. Names and messages come from other companies: they become text
// nodes, and the content security policy refuses whatever would make markup or a script of them.

import { keep, setAll, setText } from "./elements.js";
import { drawLegend, drawPicture } from "./picture.js";
import { drawTable } from "./table.js";

const INTERVAL_MS = 2000;
const MAX_LINES = 5; // of the headline
const LAYER_STATES = {
  fine: ["ok", "up"],
  fault: ["FAIL", "down"],
  undecided: ["wait", "waiting"],
  notLookedAt: ["-", "unknown"],
  nothing: ["none", "unknown"],
};

const byId = (id) => document.getElementById(id);
const opened = new Set();
let shown = null; // the topology that is drawn, with its revision
let selected = null; // {peer, network}: without a network the whole peer, without a peer this cloud
let focused = 0; // index of the peer that the Tab key reaches
let readAt = null;

// Reading

async function ask(path) {
  const answer = await fetch(path, { headers: { "X-Isthmus-Token": location.hash.slice(1) }, cache: "no-store" });
  if (!answer.ok) throw new Error(await answer.text());
  return answer.json();
}

async function update() {
  try {
    const answer = await ask(`topology.json?revision=${shown?.revision ?? ""}`);
    readAt = performance.now() - answer.ageSeconds * 1000;
    showAge();
    if (answer.topology) {
      shown = { ...answer.topology, revision: answer.revision };
      draw();
    }
    if (selected) await diagnose();
    report(answer.error);
  } catch (error) {
    report(error instanceof TypeError ? "The command that serves this page has ended." : error.message);
  }
}

async function run() {
  if (!document.hidden) await update();
  setTimeout(run, INTERVAL_MS);
}

function report(text) {
  byId("error").hidden = !text;
  setText(byId("error"), text);
}

function showAge() {
  if (readAt !== null) setText(byId("age"), `read ${Math.round((performance.now() - readAt) / 1000)} s ago`);
}

// Drawing

function draw() {
  performance.mark("draw");
  focused = Math.max(0, Math.min(focused, shown.peers.length - 1));
  setText(byId("cloud"), `${shown.cloudID || "This cloud"}: topology`);
  drawHeadline();
  drawPicture(byId("picture"), shown, selected, focused);
  drawTable(byId("table"), shown, opened);
  performance.measure("draw", "draw");
}

function drawHeadline() {
  const diagnosed = shown.peers.filter((peer) => peer.diagnosis);
  const failing = diagnosed.filter((peer) => peer.diagnosis.exitCode);
  const lines = failing.slice(0, MAX_LINES).map((peer) => [peer.diagnosis.firstLine, "down"]);
  if (failing.length > MAX_LINES) lines.push([`and ${failing.length - MAX_LINES} more peers`, "down"]);
  if (shown.diagnosis) lines.push([shown.diagnosis.firstLine, shown.diagnosis.exitCode ? "down" : "up"]);
  else if (!failing.length) lines.push([`All is well with ${diagnosed.length} peers.`, "up"]);
  for (const gap of shown.unread) lines.push([`not read: ${gap.resource}: ${gap.cause}`, "unknown"]);
  const fill = (text, state) => (item) => setText(setAll(item, { class: `state ${state}` }), text);
  keep(byId("headline"), lines.map(([text, state], index) => [index, "li", fill(text, state)]));
}

// Diagnosis of what is selected

async function diagnose() {
  const wanted = selected;
  const answer = wanted.peer ? await ask(`diagnosis.json?${new URLSearchParams(wanted)}`) : null;
  if (selected === wanted) fillPanel(answer ? partsOf(answer) : ownParts());
}

function partsOf(answer) {
  if (!answer.subjects.length) return [["none", "p", answer.error || "There is no diagnosis of it."]];
  return answer.subjects.flatMap((subject, index) => [
    [`title ${index}`, "h2", subject.firstLine],
    ...subject.faults.flatMap((fault) => [
      [`fault ${index} ${fault.code}`, "p", `${fault.code} (${fault.whose}): ${fault.symptom}`],
      [`evidence ${index} ${fault.code}`, "p", `Evidence: ${fault.evidence}`],
      [`remedy ${index} ${fault.code}`, "p", `What to do: ${fault.remedy} See ${fault.anchor}.`],
    ]),
    [`layers ${index}`, "dl", subject.layers],
  ]);
}

function ownParts() {
  const problems = shown.problems.map((problem, index) => [
    `problem ${index}`,
    "p",
    `${problem.kind} ${problem.name}: ${problem.reason} ${problem.message} Next: ${problem.next}`,
  ]);
  return [["title", "h2", `${shown.cloudID || "This cloud"}: problems: ${problems.length || "none"}`], ...problems];
}

function fillPanel(parts) {
  byId("panel").hidden = false;
  const fill = (content) => (element) =>
    Array.isArray(content) ? fillLayers(element, content) : setText(element, content);
  const close = (button) => setText(setAll(button, { type: "button", "data-close": "" }), "Close");
  keep(byId("panel"), [["close", "button", close], ...parts.map(([key, tag, content]) => [key, tag, fill(content)])]);
}

function fillLayers(list, layers) {
  const items = layers.flatMap((layer) => {
    const [word, state] = LAYER_STATES[layer.state];
    return [
      [`${layer.layer} state`, "dt", (item) => setText(setAll(item, { class: `state ${state}` }), word)],
      [`${layer.layer} name`, "dt", (item) => setText(item, layer.layer)],
      [`${layer.layer} text`, "dd", (item) => setText(item, layer.text)],
    ];
  });
  keep(list, items);
}

function select(target) {
  selected = target;
  byId("panel").hidden = !target;
  draw();
  if (target) diagnose().catch((error) => report(error.message));
}

// Mouse and keyboard

/** Whether the event was for something that can be selected. */
function activate(event) {
  if (event.target.closest("[data-close]")) {
    select(null);
    return true;
  }
  const toggled = event.target.closest("[data-toggle]")?.dataset.toggle;
  if (toggled !== undefined) {
    if (!opened.delete(toggled)) opened.add(toggled);
    draw();
    return true;
  }
  const target = event.target.closest("[data-peer]")?.dataset;
  if (target) select({ peer: target.peer, network: target.network });
  return Boolean(target);
}

function press(event) {
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  const isActivation = event.key === "Enter" || event.key === " ";
  if (isActivation && activate(event)) event.preventDefault();
  else if (step && shown?.peers.length) {
    event.preventDefault();
    focused = (focused + step + shown.peers.length) % shown.peers.length;
    draw();
    const nodes = [...byId("picture").querySelectorAll(".node")];
    nodes[focused].focus();
  }
}

drawLegend(byId("legend"));
document.addEventListener("click", activate);
byId("skip").addEventListener("click", (event) => {
  event.preventDefault(); // the fragment of the address is the token
  byId("table").focus();
});
byId("picture").addEventListener("keydown", press);
document.addEventListener("keydown", (event) => event.key === "Escape" && selected && select(null));
document.addEventListener("visibilitychange", () => document.hidden || update());
window.addEventListener("hashchange", () => location.reload()); // the address of a command that was started again
setInterval(showAge, 500);
run();
