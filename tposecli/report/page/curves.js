// Curves over time: positions, speeds and scores of joints, and joint angles, of several people.

const QUANTITIES = [["x", "x"], ["y", "y"], ["speed", "Speed"], ["score", "Score"], ["angle", "Angle"]];
const COLOURS = ["#3ea6ff", "#ff951c", "#00c08b", "#e0569c", "#b9a300", "#8f7bff", "#f06b3c", "#8a97a8"];
const MAX_SERIES = 16;
let quantity = "y";
/** @type {Set<number>} */
const chosenTracks = new Set();
/** @type {Set<number>} */
const chosenJoints = new Set();
/** @type {Set<number>} */
const chosenAngles = new Set();
/** @type {any} */
let plot = null;
let series = /** @type {{label: string, colour: string, thin: boolean, values: Float64Array}[]} */ ([]);

/** Direction between two points of the body. @param {number} row @param {[number[], number[]]} ends @param {boolean} raw @returns {[number, number]} */
function direction(row, [start, end], raw) {
  const mean = (/** @type {number[]} */ joints) => {
    const points = joints.map((joint) => jointAt(row, joint, raw));
    return [0, 1].map((axis) => points.reduce((sum, point) => sum + point[axis], 0) / points.length);
  };
  const [a, b] = [mean(start), mean(end)];
  return [b[0] - a[0], b[1] - a[1]];
}

/** An angle in degrees, as geometry/angles.py has it. @param {number} row @param {number} number @param {boolean} raw */
function angleOf(row, number, raw) {
  const [, first, second] = HEAD.angles[number], [ax, ay] = direction(row, first, raw);
  if (!second) return (Math.atan2(-ay, ax) * 180) / Math.PI;
  const [bx, by] = direction(row, second, raw);
  return (Math.atan2(Math.abs(ax * by - ay * bx), ax * bx + ay * by) * 180) / Math.PI;
}

/** Value of a row. @param {number} row @param {number} joint Joint or angle. @param {boolean} raw @returns {number} */
function valueOf(row, joint, raw) {
  if (quantity === "angle") return angleOf(row, joint, raw);
  if (quantity === "score") return P.score[joint][row] / 255;
  if (quantity !== "speed") return jointAt(row, joint, raw)[quantity === "x" ? 0 : 1];
  const before = row > 0 && P.track[row - 1] === P.track[row] ? row - 1 : row, seconds = P.time[P.frame[row]] - P.time[P.frame[before]];
  if (!(seconds > 0) || seconds > 0.5) return NaN;
  const [x, y] = jointAt(row, joint, raw), [fromX, fromY] = jointAt(before, joint, raw);
  return Math.hypot(x - fromX, y - fromY) / seconds;
}

/** Values of a curve at all frames; null where there are none. @param {Track} track @param {number} joint @param {boolean} raw */
function curveOf(track, joint, raw) {
  const values = new Array(HEAD.frames).fill(null);
  for (let row = track.start; row < track.end; row++) {
    if (raw && !P.measured[row]) continue;
    const value = valueOf(row, joint, raw);
    if (Number.isFinite(value)) values[P.frame[row]] = value;
  }
  return values;
}

function setUpCurves() {
  if (HEAD.stills || !HEAD.rows || HEAD.frames < 2) { $("curves").hidden = true; return; }
  const people = HEAD.tracks.filter((/** @type {Track} */ track) => track.id >= 0);
  if (!people.length) { $("curves").hidden = true; return; }
  const kinds = QUANTITIES.filter(([key]) => key !== "angle" || HEAD.angles.length);
  segments($("quantities"), /** @type {any} */ (kinds), () => quantity, (key) => { quantity = key; buildChips(); drawCurves(); });
  const longest = [...people].sort((a, b) => b.end - b.start - (a.end - a.start))[0];
  chosenTracks.add(longest.id);
  const wanted = HEAD.layout.keypoint_names.indexOf("left_wrist");
  chosenJoints.add(wanted >= 0 ? wanted : 0);
  chosenAngles.add(0);
  buildPeople();
  buildChips();
  on("joint", () => {
    if (state.joint === null) return;
    chosenJoints.clear();
    chosenJoints.add(state.joint);
    if (quantity === "angle") chosenAngles.clear();
    if (quantity === "angle") HEAD.angles.forEach((/** @type {any} */ angle, /** @type {number} */ i) => { if (angle[3].includes(state.joint)) chosenAngles.add(i); });
    buildChips();
    drawSoon();
  });
  on("track", () => {
    if (state.track === null || state.track < 0) return;
    if (!chosenTracks.has(state.track)) { chosenTracks.clear(); chosenTracks.add(state.track); buildPeople(); drawSoon(); }
  });
  on("frame", movePlotHead);
  new ResizeObserver(() => { if (plot && plot.width !== $("plot").clientWidth) plot.setSize({width: $("plot").clientWidth, height: plotHeight()}); }).observe($("plot"));
  matchMedia("(prefers-color-scheme: light)").addEventListener("change", drawCurves);
  drawCurves();
}

const plotHeight = () => (window.innerWidth < 600 ? 240 : 320);
let waiting = 0;
/** Draw the curves when nothing more urgent is to be done. */
function drawSoon() {
  cancelAnimationFrame(waiting);
  waiting = requestAnimationFrame(() => { waiting = requestAnimationFrame(drawCurves); });
}

function buildPeople() {
  const people = HEAD.tracks.filter((/** @type {Track} */ track) => track.id >= 0).sort((/** @type {Track} */ a, /** @type {Track} */ b) => b.end - b.start - (a.end - a.start)).slice(0, 24);
  $("people-chips").hidden = people.length < 2;
  $("people-chips").replaceChildren(...people.map((/** @type {Track} */ {id}) => chip(nameOf(id), chosenTracks.has(id), () => {
    if (!chosenTracks.delete(id)) chosenTracks.add(id);
    buildPeople();
    drawCurves();
  })));
}

function buildChips() {
  const angle = quantity === "angle", chosen = angle ? chosenAngles : chosenJoints;
  const texts = angle ? HEAD.angles.map((/** @type {any} */ one) => one[0].replace(/_/g, " ")) : HEAD.layout.keypoint_names.map((/** @type {string} */ _, /** @type {number} */ i) => wordsOf(i));
  $("joint-chips").replaceChildren(...texts.map((/** @type {string} */ text, /** @type {number} */ number) => chip(text, chosen.has(number), () => {
    if (!chosen.delete(number)) chosen.add(number);
    buildChips();
    drawCurves();
  })));
}

function drawCurves() {
  const angle = quantity === "angle", chosen = [...(angle ? chosenAngles : chosenJoints)];
  series = [];
  const several = chosenTracks.size > 1;
  for (const id of chosenTracks) {
    const track = HEAD.tracks.find((/** @type {Track} */ one) => one.id === id);
    for (const joint of chosen) {
      if (!track || series.length >= MAX_SERIES) break;
      const what = angle ? HEAD.angles[joint][0].replace(/_/g, " ") : wordsOf(joint);
      const label = several ? `${nameOf(id)} ${what}` : what, colour = COLOURS[Math.ceil(series.filter((one) => !one.thin).length) % COLOURS.length];
      if (HEAD.smoothed && quantity !== "score") series.push({label: `${label}, measured`, colour, thin: true, values: /** @type {any} */ (curveOf(track, joint, true))});
      series.push({label, colour, thin: false, values: /** @type {any} */ (curveOf(track, joint, false))});
    }
  }
  const unit = {x: "px", y: "px, down", speed: "px/s", score: "", angle: "°"}[quantity];
  const axis = {stroke: css("--dim"), grid: {stroke: css("--line"), width: 1}, ticks: {stroke: css("--line")}};
  if (plot) plot.destroy();
  // @ts-ignore: the library is inlined before this script.
  plot = new uPlot({
    width: $("plot").clientWidth || 600,
    height: plotHeight(),
    scales: {x: {time: false}, y: quantity === "y" ? {dir: -1} : {}},
    axes: [{...axis, values: (/** @type {any} */ _, /** @type {number[]} */ ticks) => ticks.map((tick) => `${+tick.toFixed(3)} s`)}, {...axis, size: 64, label: unit, labelSize: 22}],
    series: [{label: "time", value: (/** @type {any} */ _, /** @type {number | null} */ value) => (value === null ? "" : clockText(value))},
      ...series.map((one) => ({label: one.label, stroke: one.thin ? `${one.colour}99` : one.colour, width: one.thin ? 1 : 2.4, points: {show: false}, spanGaps: false,
        value: (/** @type {any} */ _, /** @type {number | null} */ value) => (value === null ? "" : value.toFixed(quantity === "score" ? 2 : 1))}))],
    cursor: {drag: {x: true, y: false}},
  }, [P.time, ...series.map((one) => one.values)], $("plot"));
  const drawn = $("plot").querySelector("canvas");
  drawn.setAttribute("role", "img");
  drawn.setAttribute("aria-label", `Curves over time: ${series.filter((one) => !one.thin).map((one) => one.label).join(", ") || "none chosen"}`);
  const head = make("div", {className: "plot-head"});
  plot.over.append(head);
  let from = 0;
  plot.over.addEventListener("mousedown", (/** @type {MouseEvent} */ event) => { from = event.clientX; });
  plot.over.addEventListener("click", (/** @type {MouseEvent} */ event) => {
    if (Math.abs(event.clientX - from) < 4) seek(nearestFrame(plot.posToVal(event.clientX - plot.over.getBoundingClientRect().left, "x")));
  });
  plot.hooks.setScale = [movePlotHead];
  movePlotHead();
  angleTable();
}

function movePlotHead() {
  if (!plot) return;
  const head = plot.over.querySelector(".plot-head"), at = plot.valToPos(P.time[state.frame], "x");
  head.hidden = !(at >= 0 && at <= plot.over.clientWidth);
  head.style.transform = `translateX(${at}px)`;
}

/** Range of each angle and how left and right differ. */
function angleTable() {
  const rows = HEAD.angle_table;
  if (!rows.length) return;
  const table = $("angle-table");
  table.hidden = false;
  table.tHead.replaceChildren();
  table.tBodies[0].replaceChildren();
  const columns = ["Person", "Angle", "Left: range", "median", "Right: range", "median", "Right of left"];
  table.tHead.append(make("tr", {}, ...columns.map((text) => make("th", {scope: "col", textContent: text, className: text === "median" ? "minor" : ""}))));
  const range = (/** @type {any} */ one) => (one ? `${one.low.toFixed(0)}° to ${one.high.toFixed(0)}°` : "–");
  const shown = [...new Set(rows.map((/** @type {any} */ row) => row.track))].filter((id) => chosenTracks.has(id));
  for (const track of shown) {
    for (const part of ["knee", "hip", "elbow", "shoulder", "trunk"]) {
      const find = (/** @type {string} */ name) => rows.find((/** @type {any} */ row) => row.track === track && HEAD.angles[row.angle][0] === name);
      const left = find(part === "trunk" ? "trunk" : `left_${part}`), right = part === "trunk" ? null : find(`right_${part}`);
      if (!left && !right) continue;
      const share = left && right && left.high - left.low > 3 ? percent((right.high - right.low) / (left.high - left.low)) : "–";
      const cells = [nameOf(track), part === "trunk" ? "trunk, upright 90°" : part, range(left), left ? `${left.median.toFixed(0)}°` : "–", range(right), right ? `${right.median.toFixed(0)}°` : "–", share];
      table.tBodies[0].append(make("tr", {}, ...cells.map((text, i) => make("td", {textContent: text, className: columns[i] === "median" ? "minor" : ""}))));
    }
  }
}
