// What a joint leaned on: attention maps of some people, and of all of them which joint depends on which.

/** @type {Uint8Array | null} */
let maps = null;
let mode = 0, layer = -1;
/** @type {any} */
let entry = null;

/** The attention of a row, if there is any. @param {number} row @returns {any} */
const entryOf = (row) => (HEAD.why ? HEAD.why.people.find((/** @type {any} */ one) => one.row === row) || null : null);

/** A map as levels of 0 to 63. @param {any} one @param {number} joint @param {number} ofLayer -1 for the mean of all. @returns {Float32Array} */
function mapOf(one, joint, ofLayer) {
  const [h, w] = HEAD.why.grid, layers = HEAD.why.layers.length, person = HEAD.why.people.indexOf(one), size = h * w;
  const out = new Float32Array(size);
  if (!maps) return out;
  for (const each of ofLayer < 0 ? Array.from({length: layers}, (_, i) => i) : [ofLayer]) {
    const start = (((person * HEAD.why.modes.length + mode) * layers + each) * JOINTS + joint) * size;
    for (let i = 0; i < size; i++) out[i] += (maps[start + i] / 63) ** 2;
  }
  const peak = Math.max(1e-9, ...out);
  return out.map((value) => value / peak);
}

/** Paint a map on a small canvas of its own grid. @param {Float32Array} map @returns {HTMLCanvasElement} */
function heatCanvas(map) {
  const [h, w] = HEAD.why.grid, small = document.createElement("canvas");
  [small.width, small.height] = [w, h];
  const context = /** @type {CanvasRenderingContext2D} */ (small.getContext("2d")), image = context.createImageData(w, h);
  for (let i = 0; i < map.length; i++) {
    const t = Math.max(0, Math.sqrt(map[i]) - 0.14) / 0.86;
    image.data.set([255 * Math.min(1, 0.35 + 1.4 * t), 255 * Math.max(0, 1.35 * t - 0.25), 255 * Math.max(0.05, 0.5 - Math.abs(t - 0.35)), 235 * Math.min(1, 1.25 * t)], 4 * i);
  }
  context.putImageData(image, 0, 0);
  return small;
}

/** Draw the map of the chosen joint over the frame. @param {CanvasRenderingContext2D} context In frame pixels. @param {number} row */
function drawHeat(context, row) {
  const one = entryOf(row);
  if (!one || state.joint === null || (state.track !== P.track[row])) return;
  const [h, w] = HEAD.why.grid, stride = HEAD.why.stride, [[s, , tx], [, , ty]] = one.matrix;
  context.globalAlpha = 0.85;
  context.drawImage(heatCanvas(mapOf(one, state.joint, layer)), (-0.5 - tx) / s, (-0.5 - ty) / s, (w * stride) / s, (h * stride) / s);
  context.globalAlpha = 1;
}

async function setUpWhy() {
  const why = HEAD.why;
  $("why-note").textContent = why ? why.note : HEAD.why_note || "No attention was computed for this page.";
  if (!why) { if (!HEAD.why_note) $("why").hidden = true; return; }
  const bytes = bytesOf("maps");
  if (!bytes) return;
  maps = await inflate(bytes);
  $("why-body").hidden = false;
  layer = why.layers.length - 1;
  for (const [number, one] of why.people.entries()) $("why-person").append(make("option", {value: number, textContent: labelOf(one)}));
  for (let joint = 0; joint < JOINTS; joint++) $("why-joint").append(make("option", {value: joint, textContent: wordsOf(joint)}));
  const modes = why.modes.map((/** @type {string} */ name, /** @type {number} */ i) => [String(i), {dependency: "what it depends on", influence: "what it influences"}[name] || name]);
  segments($("why-modes"), modes, () => String(mode), (value) => { mode = Number(value); showWhy(); draw(); });
  $("why-modes").hidden = modes.length < 2;
  entry = why.people[0];
  $("why-person").addEventListener("change", () => { entry = why.people[Number($("why-person").value)]; goToEntry(); showWhy(); });
  $("why-joint").addEventListener("change", () => update({joint: Number($("why-joint").value)}));
  $("why-go").addEventListener("click", goToEntry);
  on("joint track", () => { chooseEntry(); showWhy(); });
  on("frame", () => {
    const rows = [...rowsOf(state.frame)], here = rows.map(entryOf).filter(Boolean);
    const found = here.find((/** @type {any} */ one) => P.track[one.row] === state.track) || (state.track === null ? here[0] : null);
    if (found && found !== entry && !state.playing) { entry = found; showWhy(); }
  });
  afterDraw = () => { if (entry && P.frame[entry.row] === shownFrame && !state.playing) drawCrop(); };
  drawMatrix();
  showWhy();
  matchMedia("(prefers-color-scheme: light)").addEventListener("change", drawMatrix);
}

/** @param {any} one */
const labelOf = (one) => (HEAD.stills ? `${HEAD.names[P.frame[one.row]]}, ${Math.round(boxAt(one.row)[0])} px` : `${clockText(P.time[P.frame[one.row]])}, ${nameOf(P.track[one.row])}`);

/** Take the attention nearest to the current moment, of the chosen person. */
function chooseEntry() {
  const own = HEAD.why.people.filter((/** @type {any} */ one) => state.track === null || P.track[one.row] === state.track);
  if (!own.length) return;
  const distance = (/** @type {any} */ one) => Math.abs(P.frame[one.row] - state.frame);
  entry = own.reduce((/** @type {any} */ best, /** @type {any} */ one) => (distance(one) < distance(best) ? one : best));
}

function goToEntry() {
  update({track: P.track[entry.row], joint: state.joint ?? Number($("why-joint").value), heat: true});
  seek(P.frame[entry.row]);
}

/** @returns {number} */
const whyJoint = () => state.joint ?? Number($("why-joint").value);

function showWhy() {
  if (!entry) return;
  const joint = whyJoint(), why = HEAD.why;
  $("why-person").value = String(why.people.indexOf(entry));
  $("why-joint").value = String(joint);
  $("why-go").disabled = P.frame[entry.row] === state.frame;
  const buttons = [...why.layers.map((/** @type {string} */ name, /** @type {number} */ i) => [i, name]), ...(why.layers.length > 1 ? [[-1, "all layers"]] : [])];
  $("why-layers").replaceChildren(...buttons.map(([number, name]) => {
    const small = document.createElement("canvas"), [h, w] = why.grid, context = fitted(small, 4 * w, 4 * h);
    context.imageSmoothingEnabled = true;
    context.drawImage(heatCanvas(mapOf(entry, joint, number)), 0, 0, 4 * w, 4 * h);
    const button = make("button", {type: "button", ariaPressed: String(number === layer)}, small, String(name));
    button.addEventListener("click", () => { layer = number; showWhy(); draw(); });
    return button;
  }));
  $("why-text").textContent = whyText(joint);
  $("why-crop").setAttribute("aria-label", `Attention of the ${wordsOf(joint)}`);
  drawCrop();
}

/** @param {number} joint */
function whyText(joint) {
  const leans = entry.leans[joint].map((/** @type {number} */ other, /** @type {number} */ i) => `${wordsOf(other)} (${percent(entry.share[joint][i])})`);
  const [h, w] = HEAD.why.grid, share = entry.entropy[joint] / Math.log(h * w), row = entry.row;
  const spread = share > 0.93 ? "It looks everywhere: this says little" : share > 0.8 ? "It looks widely" : share > 0.6 ? "It looks at a part of the person" : "It looks sharply";
  const score = P.score[joint][row] / 255, done = doneTo(row, joint);
  const [x, y] = jointAt(row, joint, true), away = Math.hypot(entry.xy[joint][0] - x, entry.xy[joint][1] - y);
  const size = Math.max(boxAt(row)[3] - boxAt(row)[1], boxAt(row)[2] - boxAt(row)[0]);
  const apart = HEAD.why.model !== HEAD.model && away > 0.03 * size ? ` The two models disagree here by ${away.toFixed(0)} px (${percent(away / size)} of the person): one of them is wrong.` : "";
  const doubt = score < SURE ? " Its own score says it is a guess." : score < 0.5 ? " Its score is low." : "";
  return `${labelOf(entry)}: the ${wordsOf(joint)} has score ${score.toFixed(2)}${done.length ? ` and was ${done.join(" and ")}` : ""}.${doubt} Besides itself it leans most on ${leans.join(", ")}. ${spread} (entropy ${percent(share)} of the most possible).${apart}`;
}

/** Draw the person's crop with the map over it. */
function drawCrop() {
  const [h, w] = HEAD.why.grid, stride = HEAD.why.stride, width = w * stride, height = h * stride;
  const crop = $("why-crop"), shown = 1.4, context = fitted(crop, width * shown, height * shown), joint = whyJoint();
  const [[s, , tx], [, , ty]] = entry.matrix, here = P.frame[entry.row] === shownFrame;
  context.fillStyle = "#05070a";
  context.fillRect(0, 0, width * shown, height * shown);
  context.save();
  context.scale(shown, shown);
  context.translate(tx, ty);
  context.scale(s, s);
  const source = hasVideo && video.readyState >= 2 ? video : photo;
  if (here && source) context.drawImage(source, 0, 0, ...pictureSize());
  context.fillStyle = "#05070a88";
  context.fillRect(-tx / s, -ty / s, width / s, height / s);
  context.restore();
  context.drawImage(heatCanvas(mapOf(entry, joint, layer)), 0, 0, width * shown, height * shown);
  context.save();
  context.scale(shown, shown);
  context.translate(tx, ty);
  context.scale(s, s);
  const unit = 1 / s / shown;
  if (!here || !source) drawPerson(context, entry.row, true, unit, true);
  entry.leans[joint].forEach((/** @type {number} */ other, /** @type {number} */ i) => {
    const [x, y] = entry.xy[other];
    context.globalAlpha = 1 - 0.28 * i;
    context.strokeStyle = "#ffffff";
    context.lineWidth = (2.4 - 0.6 * i) * unit;
    context.beginPath();
    context.moveTo(...jointAt(entry.row, joint, true));
    context.lineTo(x, y);
    context.stroke();
    context.globalAlpha = 1;
  });
  const [x, y] = jointAt(entry.row, joint, true);
  context.fillStyle = sideColour(joint);
  context.strokeStyle = "#0e1117";
  context.lineWidth = 2 * unit;
  context.beginPath();
  context.arc(x, y, 6 * unit, 0, 7);
  context.fill();
  context.stroke();
  if (HEAD.why.model !== HEAD.model) {
    context.strokeStyle = "#ffffff";
    context.setLineDash([3 * unit, 2 * unit]);
    context.beginPath();
    context.arc(entry.xy[joint][0], entry.xy[joint][1], 9 * unit, 0, 7);
    context.stroke();
  }
  context.restore();
}

function drawMatrix() {
  const size = 420, left = 104, top = 96, cell = (size - left) / JOINTS, context = fitted($("why-matrix"), size, top + cell * JOINTS);
  const peak = Math.max(...HEAD.why.matrix.flat());
  context.font = "11px system-ui, sans-serif";
  context.fillStyle = css("--text");
  for (let row = 0; row < JOINTS; row++) {
    context.textAlign = "right";
    context.textBaseline = "middle";
    context.fillText(wordsOf(row), left - 6, top + (row + 0.5) * cell);
    context.save();
    context.translate(left + (row + 0.5) * cell, top - 6);
    context.rotate(-Math.PI / 2);
    context.textAlign = "left";
    context.fillText(wordsOf(row), 0, 0);
    context.restore();
  }
  for (let row = 0; row < JOINTS; row++) {
    for (let column = 0; column < JOINTS; column++) {
      context.globalAlpha = 0.06 + 0.94 * Math.sqrt(HEAD.why.matrix[row][column] / peak);
      context.fillStyle = css("--accent");
      context.fillRect(left + column * cell + 0.5, top + row * cell + 0.5, cell - 1, cell - 1);
    }
  }
  context.globalAlpha = 1;
  const strongest = HEAD.why.matrix.map((/** @type {number[]} */ row, /** @type {number} */ i) => {
    const others = row.map((value, j) => (j === i ? -1 : value));
    return `${wordsOf(i)}: ${wordsOf(others.indexOf(Math.max(...others)))}`;
  });
  $("why-matrix").setAttribute("aria-label", `The joint that each joint leans on most: ${strongest.join("; ")}`);
  $("why-matrix").onmousemove = (/** @type {MouseEvent} */ event) => {
    const scale = size / $("why-matrix").clientWidth, row = Math.floor((event.offsetY * scale - top) / cell), column = Math.floor((event.offsetX * scale - left) / cell);
    const inside = row >= 0 && column >= 0 && row < JOINTS && column < JOINTS;
    $("why-matrix").title = inside ? `${wordsOf(row)} gives ${percent(HEAD.why.matrix[row][column])} to the ${wordsOf(column)}` : "";
  };
}
