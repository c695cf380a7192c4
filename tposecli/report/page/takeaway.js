// What people take away: tables, pictures, curves and links.

/** Offer a file for saving. @param {Blob} blob @param {string} ending */
function save(blob, ending) {
  const stem = HEAD.name.replace(/[^\w.-]+/g, "_").slice(0, 80) || "report";
  const link = make("a", {href: URL.createObjectURL(blob), download: `${stem}_${ending}`});
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  $("took").textContent = `Saved ${link.download}.`;
}

/** A cell of CSV; what a spreadsheet would take for a formula is text. @param {string | number} value */
function cell(value) {
  const text = typeof value === "string" && /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value);
  return /[",\n\r]/.test(text) ? `"${text.replace(/"/g, '""')}"` : text;
}

/** Poses of the chosen people, or of all, in the loop's range, or in all frames. */
function poseTable() {
  const [from, to] = state.loop || [0, HEAD.frames - 1];
  const wanted = HEAD.stills || !chosenTracks.size ? null : chosenTracks;
  const header = [HEAD.stills ? "image" : "time_s", "frame", "track", "name", "joint", "x", "y", "raw_x", "raw_y", "score", "filled", "repaired", "outlier"];
  const lines = [header.join(",")];
  for (const {id, start, end} of HEAD.tracks) {
    if (wanted && !wanted.has(id)) continue;
    for (let row = start; row < end; row++) {
      const frame = P.frame[row];
      if (frame < from || frame > to) continue;
      const begin = [HEAD.stills ? HEAD.names[frame] : P.time[frame], P.index[frame], id < 0 ? "" : id, names.get(id) || ""].map(cell).join(",");
      for (let joint = 0; joint < JOINTS; joint++) {
        const flags = P.flags[joint][row], raw = P.measured[row] ? jointAt(row, joint, true).map((v) => v.toFixed(1)) : ["", ""];
        lines.push([begin, HEAD.layout.keypoint_names[joint], ...jointAt(row, joint, false).map((v) => v.toFixed(1)), ...raw, (P.score[joint][row] / 255).toFixed(3), flags & FILLED ? 1 : 0, flags & REPAIRED ? 1 : 0, flags & OUTLIER ? 1 : 0].join(","));
      }
    }
  }
  return lines.join("\n") + "\n";
}

/** The curve as it is seen, as SVG. */
function curveSvg() {
  const width = 1000, height = 420, left = 70, right = 20, top = 20, bottom = 40 + 18 * Math.ceil(series.length / 3);
  const x = plot.scales.x, y = plot.scales.y, space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  const add = (/** @type {string} */ tag, /** @type {Record<string, any>} */ fields, /** @type {string} */ text = "") => {
    const element = document.createElementNS(space, tag);
    for (const [key, value] of Object.entries(fields)) element.setAttribute(key, String(value));
    element.textContent = text;
    svg.append(element);
  };
  for (const [key, value] of Object.entries({xmlns: space, viewBox: `0 0 ${width} ${height + bottom}`, "font-family": "sans-serif", "font-size": 13})) svg.setAttribute(key, String(value));
  const atX = (/** @type {number} */ v) => left + ((v - x.min) / (x.max - x.min)) * (width - left - right);
  const atY = (/** @type {number} */ v) => { const t = (v - y.min) / (y.max - y.min); return top + (quantity === "y" ? t : 1 - t) * (height - top); };
  for (let i = 0; i <= 5; i++) {
    const vx = x.min + ((x.max - x.min) * i) / 5, vy = y.min + ((y.max - y.min) * i) / 5;
    add("line", {x1: left, x2: width - right, y1: atY(vy), y2: atY(vy), stroke: "#ddd"});
    add("text", {x: left - 8, y: atY(vy) + 4, "text-anchor": "end"}, vy.toFixed(quantity === "score" ? 2 : 0));
    add("text", {x: atX(vx), y: height + 18, "text-anchor": "middle"}, `${vx.toFixed(2)} s`);
  }
  series.forEach((one, number) => {
    let path = "", open = false;
    for (let frame = 0; frame < HEAD.frames; frame++) {
      const value = one.values[frame], inside = value !== null && P.time[frame] >= x.min && P.time[frame] <= x.max;
      if (inside) path += `${open ? "L" : "M"}${atX(P.time[frame]).toFixed(1)} ${atY(value).toFixed(1)}`;
      open = inside;
    }
    add("path", {d: path, fill: "none", stroke: one.colour, "stroke-width": one.thin ? 0.8 : 2, "stroke-opacity": one.thin ? 0.6 : 1});
    const labelX = left + (number % 3) * 300, labelY = height + 40 + 18 * Math.floor(number / 3);
    add("line", {x1: labelX, x2: labelX + 24, y1: labelY - 4, y2: labelY - 4, stroke: one.colour, "stroke-width": one.thin ? 0.8 : 2});
    add("text", {x: labelX + 30, y: labelY}, one.label);
  });
  return new XMLSerializer().serializeToString(svg);
}

/** The part of the address that leads to this moment. */
function momentHash() {
  const parts = [HEAD.stills ? `photo=${state.frame + 1}` : `t=${+P.time[state.frame].toFixed(3)}`];
  if (state.track !== null && state.track >= 0) parts.push(`id=${state.track}`);
  if (state.joint !== null) parts.push(`joint=${HEAD.layout.keypoint_names[state.joint]}`);
  return `#${parts.join("&")}`;
}

/** Go to the moment that the address names. */
function followHash() {
  const wanted = new URLSearchParams(location.hash.slice(1));
  const joint = HEAD.layout.keypoint_names.indexOf(wanted.get("joint") || "");
  const seconds = Number(wanted.get("t")), id = Number(wanted.get("id"));
  const moment = wanted.has("photo") || (wanted.has("t") && Number.isFinite(seconds));
  if (moment) seek(wanted.has("photo") ? Number(wanted.get("photo")) - 1 : nearestFrame(seconds));
  if (wanted.has("id") && HEAD.tracks.some((/** @type {Track} */ track) => track.id === id)) update({track: id});
  if (joint >= 0) update({joint});
  return moment;
}

function setUpTakeaway() {
  $("take-csv").textContent = HEAD.stills ? "Poses (CSV)" : "Poses of the people in the curves (CSV)";
  $("take-svg").hidden = HEAD.stills || $("curves").hidden;
  $("take-png").addEventListener("click", () => {
    const big = document.createElement("canvas"), [width, height] = pictureSize();
    const scale = Math.max(1, Math.min(2, 1280 / width));
    [big.width, big.height] = [Math.round(width * scale), Math.round(height * scale)];
    paint(/** @type {CanvasRenderingContext2D} */ (big.getContext("2d")), big.width, big.height);
    try {
      big.toBlob((blob) => { if (blob) save(blob, `frame_${P.index[shownFrame]}.png`); });
    } catch {
      $("took").textContent = "Browsers do not give out pictures of a linked video; make the page with a larger --embed.";
    }
  });
  $("take-csv").addEventListener("click", () => save(new Blob([poseTable()], {type: "text/csv"}), "poses.csv"));
  $("take-svg").addEventListener("click", () => save(new Blob([curveSvg()], {type: "image/svg+xml"}), `${quantity}.svg`));
  $("take-link").addEventListener("click", async () => {
    const address = location.href.split("#")[0] + momentHash();
    history.replaceState(null, "", momentHash());
    try {
      await navigator.clipboard.writeText(address);
      $("took").textContent = `Copied ${address}`;
    } catch {
      $("took").textContent = `The address of this moment: ${address}`;
    }
  });
  window.addEventListener("hashchange", followHash);
}
