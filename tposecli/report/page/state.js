// What is shown now, and who must know when it changes.

/**
 * @typedef {object} State
 * @property {number} frame
 * @property {boolean} playing
 * @property {number} speed
 * @property {[number, number] | null} loop Frames.
 * @property {"smoothed" | "raw" | "both"} layer
 * @property {"side" | "track"} colour
 * @property {boolean} boxes
 * @property {boolean} ids
 * @property {boolean} trails
 * @property {boolean} heat
 * @property {number | null} track
 * @property {number | null} joint
 */

/** @type {State} */
const state = {
  frame: 0, playing: false, speed: 1, loop: null, layer: "smoothed", colour: "side",
  boxes: false, ids: true, trails: false, heat: false, track: null, joint: null,
};

/** @type {[string[], () => void][]} */
const listeners = [];
/** Names that people gave to tracks. @type {Map<number, string>} */
const names = new Map();

/** Call a function when one of these changes. @param {string} keys @param {() => void} call */
const on = (keys, call) => { listeners.push([keys.split(" "), call]); };

/** @param {Partial<State>} changes */
function update(changes) {
  const changed = Object.keys(changes).filter((key) => /** @type {any} */ (state)[key] !== /** @type {any} */ (changes)[key]);
  if (!changed.length) return;
  Object.assign(state, changes);
  for (const [keys, call] of listeners) if (keys.some((key) => changed.includes(key))) call();
}

/** @param {number} id */
const nameOf = (id) => names.get(id) || (id < 0 ? (HEAD.stills ? "people" : "no id") : `id ${id}`);
/** @param {number} id */
const colourOf = (id) => (id < 0 ? "#ffffff" : HEAD.palette[(id - 1) % HEAD.palette.length]);

/** Make an element. @param {string} tag @param {Record<string, any>} fields @param {...(Node | string)} children @returns {any} */
function make(tag, fields, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(fields)) {
    if (key in element && key !== "list") /** @type {any} */ (element)[key] = value; else element.setAttribute(key, value);
  }
  element.append(...children);
  return element;
}

/** Radio buttons that look like one. @param {any} field @param {[string, string][]} choices @param {() => string} value @param {(value: any) => void} choose */
function segments(field, choices, value, choose) {
  for (const [key, text] of choices) {
    const input = make("input", {type: "radio", name: field.id, value: key, checked: key === value()});
    input.addEventListener("change", () => choose(key));
    field.append(make("label", {}, input, text));
  }
  return () => { for (const input of field.querySelectorAll("input")) input.checked = input.value === value(); };
}

/** A button that is on or off. @param {string} text @param {boolean} pressed @param {(button: any) => void} click */
function chip(text, pressed, click) {
  const button = make("button", {type: "button", textContent: text, ariaPressed: String(pressed)});
  button.addEventListener("click", () => click(button));
  return button;
}

/** Fit a canvas to its place and return its context in CSS pixels. @param {any} canvas @param {number} width @param {number} height @returns {CanvasRenderingContext2D} */
function fitted(canvas, width, height) {
  const ratio = Math.min(window.devicePixelRatio || 1, 2);
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return context;
}

/** @param {string} name */
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
