// Skeletons, boxes, trails and heat over a picture.

/** @param {number} joint */
const sideColour = (joint) => HEAD.colours[HEAD.layout.sides[joint]];
/** @param {number} a @param {number} b */
const limbColour = (a, b) => {
  const sides = [HEAD.layout.sides[a], HEAD.layout.sides[b]].filter((side) => side !== "centre");
  return HEAD.colours[sides.length && sides.every((side) => side === sides[0]) ? sides[0] : "centre"];
};

/** How sure a joint is drawn. @param {number} row @param {number} joint */
const strength = (row, joint) => {
  const score = P.score[joint][row] / 255;
  return score < SURE ? 0.25 : Math.min(1, 0.4 + score);
};

/** Draw one person. @param {CanvasRenderingContext2D} context @param {number} row @param {boolean} raw @param {number} unit Frame pixels per CSS pixel. @param {boolean} faint */
function drawPerson(context, row, raw, unit, faint) {
  const size = Math.max(...[0, 1].map((axis) => px(P.box[axis + 2][row]) - px(P.box[axis][row])));
  const width = Math.max(1.6 * unit, Math.min(4.5 * unit, size / 60)), own = colourOf(P.track[row]);
  const points = Array.from({length: JOINTS}, (_, joint) => jointAt(row, joint, raw));
  const dim = faint ? 0.45 : 1;
  context.lineCap = "round";
  for (const rim of [true, false]) {
    for (const [a, b] of HEAD.layout.skeleton) {
      context.globalAlpha = dim * Math.min(strength(row, a), strength(row, b)) * (rim ? 0.7 : 1);
      context.strokeStyle = rim ? "#0e1117" : state.colour === "track" ? own : limbColour(a, b);
      context.lineWidth = (faint ? 0.5 : 1) * width + (rim ? 1.6 * unit : 0);
      context.beginPath();
      context.moveTo(...points[a]);
      context.lineTo(...points[b]);
      context.stroke();
    }
  }
  for (let joint = 0; joint < JOINTS; joint++) {
    const flags = raw ? 0 : P.flags[joint][row], [x, y] = points[joint], radius = (faint ? 0.7 : 1.15) * width;
    context.globalAlpha = dim * strength(row, joint);
    context.fillStyle = state.colour === "track" ? own : sideColour(joint);
    context.strokeStyle = "#0e1117";
    context.lineWidth = unit;
    context.beginPath();
    if (flags & REPAIRED) context.rect(x - radius, y - radius, 2 * radius, 2 * radius);
    else context.arc(x, y, radius, 0, 7);
    if (!(flags & FILLED)) context.fill();
    if (flags & (FILLED | OUTLIER | REPAIRED | CORRECTED)) {
      context.strokeStyle = flags & CORRECTED ? "#5fe3a1" : flags & OUTLIER ? "#ff6b6b" : flags & REPAIRED ? "#d58cff" : "#ffffff";
      context.lineWidth = 1.8 * unit;
    }
    context.stroke();
  }
  context.globalAlpha = 1;
}

/** @param {CanvasRenderingContext2D} context @param {string} text @param {number} x @param {number} y @param {string} colour @param {number} unit */
function drawLabel(context, text, x, y, colour, unit) {
  context.font = `600 ${13 * unit}px system-ui, sans-serif`;
  const width = context.measureText(text).width + 10 * unit, height = 19 * unit;
  const left = Math.max(0, Math.min(x - width / 2, HEAD.size[0] - width)), top = Math.max(0, y - height);
  context.fillStyle = colour;
  context.beginPath();
  context.roundRect(left, top, width, height, 6 * unit);
  context.fill();
  context.fillStyle = "#0e1117";
  context.textBaseline = "middle";
  context.fillText(text, left + 5 * unit, top + height / 2 + 0.5 * unit);
}

/** Draw everything of a frame but its picture. @param {CanvasRenderingContext2D} context In frame pixels. @param {number} frame @param {number} unit */
function drawOverlay(context, frame, unit) {
  if (state.trails && !HEAD.stills) drawTrails(context, frame, unit);
  for (const row of rowsOf(frame)) {
    if (state.heat) drawHeat(context, row);
    if (state.layer === "both" && HEAD.smoothed && P.measured[row]) drawPerson(context, row, true, unit, true);
    if (state.layer !== "raw" || P.measured[row]) drawPerson(context, row, state.layer === "raw", unit, false);
    const own = colourOf(P.track[row]), [left, top, right, bottom] = boxAt(row);
    const chosen = state.track !== null && state.track === P.track[row] && !HEAD.stills;
    if (state.boxes || (chosen && HEAD.tracks.length > 1)) {
      context.strokeStyle = own;
      context.lineWidth = (state.boxes ? 1.8 : 1.2) * unit;
      context.setLineDash(state.boxes && P.measured[row] ? [] : [6 * unit, 4 * unit]);
      context.strokeRect(left, top, right - left, bottom - top);
      context.setLineDash([]);
    }
    if (state.ids && P.track[row] >= 0) {
      drawLabel(context, names.get(P.track[row]) || String(P.track[row]), (left + right) / 2, top - 3 * unit, own, unit);
    }
    if (chosen && state.joint !== null) markJoint(context, row, state.joint, unit);
  }
}

/** @param {CanvasRenderingContext2D} context @param {number} row @param {number} joint @param {number} unit */
function markJoint(context, row, joint, unit) {
  const [x, y] = jointAt(row, joint, state.layer === "raw");
  for (const [colour, width] of /** @type {[string, number][]} */ ([["#0e1117", 5], ["#ffffff", 2.4]])) {
    context.strokeStyle = colour;
    context.lineWidth = width * unit;
    context.beginPath();
    context.arc(x, y, 10 * unit, 0, 7);
    context.stroke();
  }
  const entry = entryOf(row);
  if (state.heat && entry && HEAD.why.model !== HEAD.model) {
    context.setLineDash([3 * unit, 3 * unit]);
    context.strokeStyle = "#ffffff";
    context.beginPath();
    context.arc(entry.xy[joint][0], entry.xy[joint][1], 7 * unit, 0, 7);
    context.stroke();
    context.setLineDash([]);
  }
}

/** The way of wrists and ankles, or of the chosen joint, in the second before. @param {CanvasRenderingContext2D} context @param {number} frame @param {number} unit */
function drawTrails(context, frame, unit) {
  const ends = HEAD.layout.keypoint_names.map((/** @type {string} */ name, /** @type {number} */ i) => (/wrist|ankle/.test(name) ? i : -1)).filter((/** @type {number} */ i) => i >= 0);
  const chosen = state.joint !== null ? [state.joint] : ends, raw = state.layer === "raw";
  context.lineWidth = 2 * unit;
  for (const row of rowsOf(frame)) {
    for (const joint of chosen) {
      let [x, y] = jointAt(row, joint, raw);
      for (let before = row - 1; before >= 0 && P.track[before] === P.track[row]; before--) {
        const age = P.time[frame] - P.time[P.frame[before]];
        if (age > 1 || P.track[row] < 0) break;
        const [nextX, nextY] = jointAt(before, joint, raw);
        context.globalAlpha = 0.9 * (1 - age);
        context.strokeStyle = state.colour === "track" ? colourOf(P.track[row]) : sideColour(joint);
        context.beginPath();
        context.moveTo(x, y);
        context.lineTo(nextX, nextY);
        context.stroke();
        [x, y] = [nextX, nextY];
      }
    }
  }
  context.globalAlpha = 1;
}

/** The joint of the current frame nearest to a point, if one is near. @param {number} frame @param {number} x @param {number} y @param {number} reach Frame pixels. @returns {{row: number, joint: number} | null} */
function nearestJoint(frame, x, y, reach) {
  let best = null, nearest = reach;
  for (const row of rowsOf(frame)) {
    for (let joint = 0; joint < JOINTS; joint++) {
      const [jx, jy] = jointAt(row, joint, state.layer === "raw"), distance = Math.hypot(jx - x, jy - y);
      if (distance < nearest) [nearest, best] = [distance, {row, joint}];
    }
  }
  return best;
}
