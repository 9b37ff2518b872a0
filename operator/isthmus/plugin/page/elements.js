// Elements of HTML and SVG. Whatever is shown becomes a text node or the value of an attribute, never markup.

const SVG = "http://www.w3.org/2000/svg";
const DRAWN = new Set(["svg", "g", "path", "text", "title"]);
const kept = new WeakMap(); // children by key, for each parent

const BY_PATH = { Direct: " directly", ThroughOrigin: " through the origin" };

export const STATES = { up: "up", down: "DOWN", waiting: "waiting", unknown: "unknown" };
export const SHAPES = {
  up: "M-12 0a12 12 0 1 0 24 0a12 12 0 1 0 -24 0",
  down: "M-5 -12h10l7 7v10l-7 7h-10l-7 -7v-10z",
  waiting: "M0 -14l14 25h-28z",
  unknown: "M-11 -11h22v22h-22z",
};
export const SIGNS = {
  up: "M-5 0l4 4l6 -8",
  down: "M-5 -5l10 10M5 -5l-10 10",
  waiting: "M-5 5h0.1M0 5h0.1M5 5h0.1",
  unknown: "M-5 0h10",
};

export const stateText = (health) => `${STATES[health.state]} ${health.reason}`.trim();

export const tunnelName = (tunnel) => `${tunnel.node} to ${tunnel.gateway} (${tunnel.address})`;

export function networkName(network) {
  const name = network.networkName;
  return name && !network.label.endsWith(`/${name}`) ? `${network.label} (${name})` : network.label;
}

export function memberText(member) {
  const cloud = member.cloudID ? ` (${member.cloudID})` : "";
  return `member ${member.number}${cloud}${BY_PATH[member.path] ?? ""}: ${stateText(member)}`;
}

export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function setAll(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
  }
  return element;
}

export function make(tag, attributes, ...children) {
  const element = DRAWN.has(tag) ? document.createElementNS(SVG, tag) : document.createElement(tag);
  element.append(...children);
  return setAll(element, attributes);
}

/** Letters that are written from right to left must not reorder what is beside them. */
export function isolated(text) {
  return make("bdi", {}, text);
}

/**
 * Give the parent exactly these children after the first `before`: [key, tag, fill], where fill(element) sets one up.
 * Those that were there with the same key stay, with the keyboard's focus.
 */
export function keep(parent, wanted, before = 0) {
  const existing = kept.get(parent) ?? new Map();
  const current = new Map();
  wanted.forEach(([name, tag, fill], index) => {
    let key = String(name);
    while (current.has(key)) key += "'"; // another company may use a name twice
    const element = existing.get(key) ?? make(tag, {});
    existing.delete(key);
    current.set(key, element);
    const place = parent.children[before + index] ?? null;
    if (place !== element) parent.insertBefore(element, place);
    fill(element);
  });
  for (const element of existing.values()) element.remove();
  kept.set(parent, current);
}
