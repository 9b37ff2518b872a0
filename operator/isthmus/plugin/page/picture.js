// This cloud in the middle, its peers around it, and to each a bundle of tunnels and networks.

import { SHAPES, SIGNS, STATES, keep, make, networkName, setAll, setText, stateText, tunnelName } from "./elements.js";

const FEW_PEERS = 16; // up to here labels are horizontal
const MAX_NAME = 28; // characters; the table has them all
const FEW = { x: 330, y: 200, right: 130, top: 65, bottom: 75 };
const MANY = { x: 470, y: 430, right: 215, top: 215, bottom: 215 };
const SPREAD = 0.45; // of the distance between two peers: halfway to the middle there is half of it
const WORST_FIRST = ["down", "unknown", "waiting", "up"];

/** `focused` is the index of the peer that the Tab key reaches. */
export function drawPicture(svg, topology, selected, focused) {
  const { peers } = topology;
  const isCrowded = peers.length > FEW_PEERS;
  const size = isCrowded ? MANY : FEW;
  const [width, top] = [size.x + size.right, size.y + size.top];
  setAll(svg, { viewBox: `${-width} ${-top} ${2 * width} ${top + size.y + size.bottom}` });
  svg.classList.toggle("many", isCrowded);
  const pitch = Math.min(150, (Math.PI * (size.x + size.y)) / Math.max(peers.length, 2));
  const places = peers.map((_, index) => placeOf(index, peers.length, size));
  const lanes = peers.flatMap((peer, index) => lanesOf(peer, places[index], pitch, selected));
  const nodes = peers.map((peer, index) => [
    `peer ${peer.name}`,
    "g",
    (g) => fillPeer(g, peer, places[index], { isCrowded, selected, isFocused: index === focused }),
  ]);
  keep(svg, [...lanes, ...nodes, ["us", "g", (g) => fillUs(g, topology, selected)]]);
}

function placeOf(index, count, size) {
  const angle = (2 * Math.PI * index) / count - (count > 2 ? Math.PI / 2 : 0);
  return { x: size.x * Math.cos(angle), y: size.y * Math.sin(angle) };
}

/** Tunnels in the middle of the bundle, networks on both sides of them. */
function lanesOf(peer, place, pitch, selected) {
  const lane = (kind, item, name, target) => ({ kind, item, name, target });
  const networks = peer.networks.map((item) => lane("network", item, networkName(item), item.label));
  const tunnels = peer.tunnels.map((item) => lane("tunnel", item, tunnelName(item), ""));
  const half = networks.length >> 1;
  const lanes = [...networks.slice(0, half), ...tunnels, ...networks.slice(half)];
  const step = Math.min(18, (SPREAD * pitch) / Math.max(1, lanes.length - 1));
  return lanes.map((lane, index) => {
    const offset = (index - (lanes.length - 1) / 2) * step;
    const isSelected = selected?.network && selected.peer === peer.name && selected.network === lane.target;
    const key = JSON.stringify([lane.kind, peer.name, lane.item.direction, lane.name]);
    return [key, "path", (path) => fillLane(path, peer, lane, curve(place, offset), widthOf(lane, step), isSelected)];
  });
}

/** A quadratic curve, which passes at half of its control point's distance from the straight line. */
function curve({ x, y }, offset) {
  const length = Math.hypot(x, y);
  const bow = 2 * offset;
  return `M0 0Q${x / 2 - (y / length) * bow} ${y / 2 + (x / length) * bow} ${x} ${y}`;
}

function widthOf(lane, step) {
  if (lane.kind === "tunnel") return Math.max(5, Math.min(9, step));
  const thin = Math.max(0.4, Math.min(2.5, step * 0.6));
  return lane.item.state === "up" ? thin : Math.max(1.8, thin);
}

function fillLane(path, peer, lane, d, width, isSelected) {
  setAll(path, {
    class: `lane ${lane.kind} ${lane.item.state}${isSelected ? " selected" : ""}`,
    d,
    "stroke-width": isSelected ? width + 3 : width,
    "data-peer": peer.name,
    "data-network": lane.target,
  });
  if (!path.firstChild) path.append(make("title", {}));
  setText(path.firstChild, `${lane.kind} ${lane.name}: ${stateText(lane.item)}`);
}

function fillPeer(g, peer, place, { isCrowded, selected, isFocused }) {
  const [nameY, stateY] = place.y < 0 ? [-40, -22] : [34, 52]; // away from the lanes
  const labels = isCrowded
    ? [radialLabel(peer, place)]
    : [
        ["name", shortened(peer.name), { x: 0, y: nameY, "text-anchor": "middle" }],
        ["state", stateText(peer), { x: 0, y: stateY, "text-anchor": "middle" }],
      ];
  fillNode(g, peer.state, selected?.peer === peer.name, labels, {
    transform: `translate(${place.x} ${place.y})`,
    "aria-label": `peer ${peer.name}: ${stateText(peer)}`,
    "data-peer": peer.name,
    tabindex: isFocused ? 0 : -1,
  });
  const scale = { transform: `scale(${isCrowded ? 0.7 : 1})` };
  for (const drawn of [".shape", ".sign"]) setAll(g.querySelector(drawn), scale);
}

/** A line of text that leads away from the middle. */
function radialLabel(peer, { x, y }) {
  const isLeft = x < -0.01;
  const degrees = (Math.atan2(y, x) * 180) / Math.PI + (isLeft ? 180 : 0);
  const text = peer.state === "up" ? shortened(peer.name) : `${shortened(peer.name)} ${stateText(peer)}`;
  const anchor = isLeft ? "end" : "start";
  return ["state", text, { x: isLeft ? -16 : 16, y: 4, "text-anchor": anchor, transform: `rotate(${degrees})` }];
}

function fillUs(g, { nodes, cloudID }, selected) {
  const worst = WORST_FIRST.find((state) => nodes.some((node) => node.state === state)) ?? "unknown";
  const below = { x: 0, "text-anchor": "middle" };
  const labels = nodes
    .slice(0, 3)
    .map((node, index) => ["state", `${shortened(node.name)} ${stateText(node)}`, { ...below, y: 72 + 17 * index }]);
  labels.unshift(["name", shortened(cloudID || "this cloud"), { ...below, y: 54 }]);
  const spoken = nodes.map((node) => `${node.name} ${stateText(node)}`).join(", ") || "no gateway node";
  fillNode(g, worst, selected && !selected.peer, labels, {
    "aria-label": `this cloud: ${spoken}`,
    "data-peer": "",
    tabindex: 0,
  });
  setAll(g.querySelector(".shape"), { transform: "scale(2.6)" });
  setAll(g.querySelector(".sign"), { transform: "scale(2)" });
}

function fillNode(g, state, isSelected, labels, attributes) {
  setAll(g, {
    class: `node ${state}${isSelected ? " selected" : ""}`,
    role: "button",
    "aria-pressed": Boolean(isSelected),
    "data-network": "",
    ...attributes,
  });
  const texts = labels.map(([kind, content, place], index) => [
    `label ${index}`,
    "text",
    (text) => setText(setAll(text, { class: kind, ...place }), content),
  ]);
  keep(g, [
    ["shape", "path", (path) => setAll(path, { class: "shape", d: SHAPES[state] })],
    ["sign", "path", (path) => setAll(path, { class: "sign", "stroke-linecap": "round", d: SIGNS[state] })],
    ...texts,
  ]);
}

function shortened(text) {
  const characters = [...text];
  return characters.length > MAX_NAME ? `${characters.slice(0, MAX_NAME - 1).join("")}…` : text;
}

export function drawLegend(list) {
  const sample = (state) =>
    make(
      "svg",
      { viewBox: "-16 -16 110 32", class: state, "aria-hidden": "true" },
      make("path", { class: `lane ${state}`, "stroke-width": 4, d: "M16 0H90" }),
      make(
        "g",
        { class: "node" },
        make("path", { class: "shape", d: SHAPES[state] }),
        make("path", { class: "sign", "stroke-linecap": "round", d: SIGNS[state] }),
      ),
    );
  keep(list, Object.entries(STATES).map(([state, word]) => [state, "li", (item) => item.append(sample(state), word)]));
}
