// A lane for each track: when the person is there, how sure the joints are, and what was done to them.

const MAX_LANES = 50;
const LANE_HEIGHT = 30;
/** @type {{id: number, canvas: any}[]} */
let lanes = [];
let allLanes = false;

/** Colour of a mean score: orange for weak, blue for sure; the two differ in lightness, too. @param {number} score */
function scoreColour(score) {
  const t = Math.max(0, Math.min(1, (score - 0.2) / 0.65)), mix = (/** @type {number} */ a, /** @type {number} */ b) => Math.round(a + (b - a) * t);
  return `rgb(${mix(240, 60)} ${mix(130, 150)} ${mix(40, 235)})`;
}

const span = () => Math.max(1e-6, P.time[HEAD.frames - 1] - P.time[0]);
/** Share of the way along the time axis. @param {number} frame */
const along = (frame) => (HEAD.frames < 2 ? 0 : (P.time[frame] - P.time[0]) / span());

function setUpLanes() {
  if (HEAD.stills || !HEAD.tracks.length) { $("tracks").hidden = true; return; }
  const key = $("lane-key");
  for (const [colour, text] of [[scoreColour(0.9), "sure"], [scoreColour(0.2), "unsure"], ["var(--filled)", "filled in"], ["var(--repaired)", "left and right put right"], ["var(--outlier)", "outlier"], ["var(--switch)", "new id?"]]) {
    const mark = make("i", {});
    mark.style.background = colour;
    key.append(make("span", {}, mark, text));
  }
  const more = $("more-lanes");
  more.hidden = HEAD.tracks.length <= MAX_LANES;
  const relabel = () => { more.textContent = allLanes ? `Show the ${MAX_LANES} longest tracks only` : `Show all ${HEAD.tracks.length} tracks`; };
  relabel();
  more.addEventListener("click", () => { allLanes = !allLanes; relabel(); buildLanes(); });
  buildLanes();
  on("track", () => { for (const lane of lanes) lane.canvas.closest(".lane").dataset.chosen = String(lane.id === state.track); });
  on("frame", movePlayhead);
  new ResizeObserver(drawLanes).observe($("lanes"));
  matchMedia("(prefers-color-scheme: light)").addEventListener("change", drawLanes);
}

function buildLanes() {
  const longest = [...HEAD.tracks].sort((a, b) => b.end - b.start - (a.end - a.start));
  const chosen = allLanes ? HEAD.tracks : HEAD.tracks.filter((/** @type {Track} */ track) => longest.indexOf(track) < MAX_LANES);
  $("lanes").replaceChildren(make("div", {id: "playhead"}));
  lanes = chosen.map((/** @type {Track} */ track) => {
    const {id, start, end} = track;
    const button = make("button", {type: "button", textContent: id < 0 ? "no id" : String(id), title: `Choose ${nameOf(id)} and go to its beginning`});
    button.style.setProperty("--own", colourOf(id));
    button.addEventListener("click", () => { update({track: id}); seek(P.frame[start]); });
    const input = make("input", {type: "text", placeholder: "name", maxLength: 40, ariaLabel: `Name of ${nameOf(id)}`, hidden: id < 0});
    input.value = names.get(id) || "";
    input.addEventListener("input", () => { names.set(id, input.value); renamed(); });
    const lane = make("canvas", {role: "img", ariaLabel: `${nameOf(id)}: in ${end - start} frames, from ${clockText(P.time[P.frame[start]])} to ${clockText(P.time[P.frame[end - 1]])}`});
    lane.addEventListener("click", (/** @type {MouseEvent} */ event) => {
      update({track: id});
      seek(nearestFrame(P.time[0] + (event.offsetX / lane.clientWidth) * span()));
    });
    $("lanes").append(make("div", {className: "lane"}, make("div", {className: "lane-name"}, button, input), lane));
    return {id, canvas: lane};
  });
  drawLanes();
}

function drawLanes() {
  const marks = ["--filled", "--repaired", "--outlier", "--switch"].map(css);
  for (const {id, canvas: lane} of lanes) drawLane(lane, id, marks);
  movePlayhead();
}

/** @param {any} lane @param {number} id @param {string[]} marks */
function drawLane(lane, id, marks) {
  const width = lane.clientWidth, track = HEAD.tracks.find((/** @type {Track} */ one) => one.id === id);
  if (!width || !track) return;
  const context = fitted(lane, width, LANE_HEIGHT), sums = new Float64Array(width + 1), counts = new Uint32Array(width + 1), bits = new Uint8Array(width + 1), ends = new Float64Array(width + 1);
  const cell = Math.max(1, Math.ceil(width / HEAD.frames));
  const busy = Math.max(1, Math.floor((track.end - track.start) / 60000));
  for (let row = track.start; row < track.end; row += 1) {
    const x = Math.floor(along(P.frame[row]) * (width - 1));
    if (row % busy === 0) { sums[x] += P.measured[row] ? meanScore(row) : 0; counts[x] += P.measured[row]; }
    ends[x] = Math.max(ends[x], x + cell, along(Math.min(P.frame[row] + 1, HEAD.frames - 1)) * (width - 1));  // Until the next frame, however long this one is shown.
    for (let joint = 0; joint < JOINTS; joint++) bits[x] |= P.flags[joint][row];
    if (!P.measured[row]) bits[x] |= 128;
  }
  for (let x = 0; x <= width; x++) {
    if (counts[x]) {
      context.fillStyle = scoreColour(sums[x] / counts[x]);
      context.fillRect(x, 3, ends[x] - x + 0.5, 15);
    } else if (bits[x] & 128) {
      context.fillStyle = marks[0];
      context.fillRect(x, 3, ends[x] - x + 0.5, 15);
    }
    [FILLED, REPAIRED, OUTLIER].forEach((flag, place) => {
      if (!(bits[x] & flag)) return;
      context.fillStyle = marks[place];
      context.fillRect(x, 20 + 3 * place, Math.max(2, cell), 2.5);
    });
  }
  for (const [kind, row] of HEAD.moments) {
    if (kind !== "switch" || P.track[row] !== id) continue;
    context.fillStyle = marks[3];
    context.fillRect(along(P.frame[row]) * (width - 1) - 1, 0, 3, LANE_HEIGHT);
  }
}

function movePlayhead() {
  const head = $("playhead");
  if (!head || !lanes.length) return;
  const lane = lanes[0].canvas;
  head.style.transform = `translateX(${lane.offsetLeft + along(state.frame) * (lane.clientWidth - 1)}px)`;
}
