// The same content as the picture, as a table: a group of rows for each peer.

import { STATES, isolated, keep, make, memberText, networkName, setAll, setText, tunnelName } from "./elements.js";

const FEW_ROWS = 200; // up to here all networks are listed at once

/** `opened` has the names of peers whose networks the user has asked for. */
export function drawTable(table, topology, opened) {
  const rows = topology.peers.reduce((sum, peer) => sum + peer.networks.length + peer.tunnels.length + 1, 0);
  const nodes = topology.nodes.map((node) => [
    node.name,
    "tr",
    (row) => fillRow(row, "gateway node", node.name, node, details(node.address, node.message)),
  ]);
  const bodies = topology.peers.map((peer) => [
    `peer ${peer.name}`,
    "tbody",
    (body) => fillBody(body, peer, rows > FEW_ROWS, opened.has(peer.name)),
  ]);
  keep(table, [["nodes", "tbody", (body) => keep(body, nodes)], ...bodies], 1);
}

function fillBody(body, peer, isLong, isOpened) {
  const rows = [["peer", "tr", (row) => fillPeer(row, peer)]];
  for (const tunnel of peer.tunnels) {
    const name = tunnelName(tunnel);
    const layers = `IKE ${tunnel.ike}, ESP ${tunnel.esp}, BFD ${tunnel.bfd}`;
    rows.push([`tunnel ${name}`, "tr", (row) => fillRow(row, "tunnel", name, tunnel, details(layers, tunnel.message))]);
  }
  if (isLong && peer.networks.length) rows.push(["toggle", "tr", (row) => fillToggle(row, peer, isOpened)]);
  for (const network of isOpened || !isLong ? peer.networks : []) {
    rows.push([`network ${network.direction} ${network.label}`, "tr", (row) => fillNetwork(row, peer, network)]);
  }
  keep(body, rows);
}

function fillPeer(row, peer) {
  const words = peer.diagnosis ? peer.diagnosis.firstLine : peer.message;
  fillRow(row, "peer", peer.name, peer, words, { peer: peer.name, network: "" });
  setAll(row, { class: "peer" });
}

function fillNetwork(row, peer, network) {
  const direction = network.direction === "fromPeer" ? "from the peer" : "to the peer";
  const words = details(direction, network.mtu && `MTU ${network.mtu} bytes`, network.message, ...network.members.map(memberText));
  fillRow(row, "network", networkName(network), network, words, { peer: peer.name, network: network.label });
}

/** A target makes the name a button that shows the diagnosis of it. */
function fillRow(row, kind, name, health, words, target = null) {
  keep(row, [
    ["kind", "td", (cell) => setText(cell, kind)],
    ["name", "td", (cell) => setText(target ? buttonIn(cell, target) : isolatedIn(cell), name)],
    ["state", "td", (cell) => setText(setAll(cell, { class: `state ${health.state}` }), STATES[health.state])],
    ["reason", "td", (cell) => setText(cell, health.reason)],
    ["words", "td", (cell) => setText(isolatedIn(cell), words)],
  ]);
}

function isolatedIn(cell) {
  if (!cell.firstChild) cell.append(isolated(""));
  return cell.firstChild;
}

function buttonIn(cell, { peer, network }) {
  if (!cell.firstChild) cell.append(make("button", { type: "button" }, isolated("")));
  return setAll(cell.firstChild, { "data-peer": peer, "data-network": network }).firstChild;
}

function fillToggle(row, peer, isOpened) {
  if (!row.firstChild) row.append(make("td", { colspan: 5 }, make("button", { type: "button" })));
  const failing = peer.networks.filter((network) => network.state !== "up").length;
  const button = setAll(row.querySelector("button"), { "aria-expanded": isOpened, "data-toggle": peer.name });
  setText(button, `${isOpened ? "Hide" : "Show"} ${peer.networks.length} networks, ${failing} of them not up`);
}

const details = (...parts) => parts.filter(Boolean).join("; ");
