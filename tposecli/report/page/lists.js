// The head, the worst moments and the table of joints.

const KINDS = {exchange: "left/right", jump: "jump", score: "low score", disagree: "raw ≠ smooth", switch: "new id?"};
for (const [id, name] of Object.entries(HEAD.track_names)) names.set(Number(id), String(name));
const SHOWN_MOMENTS = 20;
/** @type {string | null} */
let kind = null;
/** Moments in the list. @type {any[]} */
let listed = [];

function setUpHead() {
  $("name").textContent = HEAD.name;
  $("verdict").textContent = HEAD.verdict;
  const n = HEAD.numbers, what = HEAD.stills ? "images" : "frames";
  const entries = [[n.frames, what], [n.people, "poses"], [n.most, "at once"], ...(HEAD.stills ? [] : [[n.ids, "ids"]]), [percent(n.empty), `${what} empty`],
    [percent(n.low), "joints low"], ...(HEAD.smoothed ? [[percent(n.filled), "filled in"], [percent(n.repaired), "put right"], [percent(n.outliers), "outliers"], [n.switches, "new ids?"]] : [])];
  const loud = new Set([n.low > 0.05 && "joints low", n.empty > 0.05 && `${what} empty`, n.switches && "new ids?", n.outliers > 0.05 && "outliers"]);
  $("numbers").append(...entries.map(([value, text]) => make("li", {className: loud.has(text) ? "alert" : ""}, make("b", {textContent: typeof value === "number" ? value.toLocaleString("en") : value}), make("span", {textContent: text}))));
  $("warnings").append(...HEAD.warnings.map((/** @type {string} */ text) => make("li", {textContent: text})));
  $("warnings").hidden = !HEAD.warnings.length;
  for (const [name, value] of HEAD.facts) $("facts").append(make("dt", {textContent: name}), make("dd", {textContent: value}));
}

function setUpLists() {
  const tabs = [$("tab-moments"), $("tab-joints")];
  const choose = (/** @type {any} */ tab) => {
    for (const one of tabs) {
      one.setAttribute("aria-selected", String(one === tab));
      one.tabIndex = one === tab ? 0 : -1;
      $(one.getAttribute("aria-controls")).hidden = one !== tab;
    }
  };
  for (const tab of tabs) {
    tab.addEventListener("click", () => choose(tab));
    tab.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
      if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
      const other = tabs[1 - tabs.indexOf(tab)];
      choose(other);
      other.focus();
      event.stopPropagation();
    });
  }
  buildKinds();
  buildMoments();
  buildJoints();
  on("frame track joint", showHere);
  on("joint", () => { for (const row of $("joint-table").tBodies[0].rows) row.setAttribute("aria-selected", String(Number(row.dataset.joint) === state.joint)); });
  showHere();
}

function buildKinds() {
  const counts = new Map();
  for (const [name] of HEAD.moments) counts.set(name, (counts.get(name) || 0) + 1);
  const choices = [[null, "All"], ...Object.entries(KINDS).filter(([name]) => counts.has(name)).map(([name, text]) => [name, `${text} ${counts.get(name)}`])];
  $("kinds").hidden = choices.length < 3;
  $("kinds").replaceChildren(...choices.map(([name, text]) => chip(String(text), name === kind, () => { kind = name; buildKinds(); buildMoments(); })));
}

function buildMoments() {
  listed = HEAD.moments.filter((/** @type {any} */ one) => !kind || one[0] === kind).slice(0, SHOWN_MOMENTS);
  $("moment-list").replaceChildren(...listed.map((moment) => {
    const [name, row, joint, text] = moment, frame = P.frame[row];
    const when = HEAD.stills ? HEAD.names[frame] : clockText(P.time[frame]);
    const body = make("span", {}, make("span", {className: "badge", textContent: /** @type {any} */ (KINDS)[name]}), text,
      make("small", {textContent: HEAD.stills ? when : `${nameOf(P.track[row])}, frame ${P.index[frame]}`}));
    const button = make("button", {type: "button"}, make("time", {textContent: HEAD.stills ? `no. ${frame + 1}` : when}), body);
    button.addEventListener("click", () => goToMoment(moment));
    return make("li", {}, button);
  }));
  if (!listed.length) $("moment-list").append(make("li", {className: "note", textContent: HEAD.rows ? "Nothing stands out." : "There is nobody to look at."}));
}

/** @param {any} moment */
function goToMoment(moment) {
  const [, row, joint] = moment;
  update({track: P.track[row], joint: joint ?? state.joint});
  seek(P.frame[row]);
  [...$("moment-list").querySelectorAll("button")].forEach((button, i) => button.setAttribute("aria-current", String(listed[i] === moment)));
}

/** Go to the next or previous bad moment in time. @param {number} step */
function stepMoment(step) {
  const sorted = [...listed].sort((a, b) => P.frame[a[1]] - P.frame[b[1]]);
  const next = step > 0 ? sorted.find((one) => P.frame[one[1]] > state.frame) : sorted.reverse().find((one) => P.frame[one[1]] < state.frame);
  if (next) goToMoment(next);
}

function buildJoints() {
  const table = $("joint-table"), rows = [...HEAD.joints].sort((a, b) => a.score - b.score);
  const right = rows.length && rows[0].right !== null;
  const columns = [["Joint", ""], ["Score", ""], ...(right ? [["Likely right", ""]] : []), ["Low", ""], ...(HEAD.smoothed ? [["Filled", "minor"], ["Put right", "minor"], ["Outlier", "minor"], ["Off smooth", "minor"]] : [])];
  table.tHead.replaceChildren(make("tr", {}, ...columns.map(([text, className]) => make("th", {scope: "col", textContent: text, className}))));
  table.tBodies[0].replaceChildren(...rows.map((one) => {
    const button = make("button", {type: "button", textContent: wordsOf(one.joint)});
    button.addEventListener("click", () => update({joint: one.joint, track: state.track ?? HEAD.tracks[0]?.id ?? null}));
    const fill = make("i", {}), bar = make("span", {className: "bar", ariaHidden: "true"}, fill);
    fill.style.width = `${100 * one.score}%`;
    fill.style.background = scoreColour(one.score);
    const cells = [make("td", {}, button), make("td", {}, bar, one.score.toFixed(2)), ...(right ? [make("td", {textContent: percent(one.right), className: one.right < 0.6 ? "weak" : ""})] : []),
      make("td", {textContent: percent(one.low), className: one.low > 0.15 ? "weak" : ""}),
      ...(HEAD.smoothed ? ["filled", "repaired", "outliers", "away"].map((key) => make("td", {textContent: percent(one[key]), className: "minor"})) : [])];
    const row = make("tr", {}, ...cells);
    row.dataset.joint = String(one.joint);
    return row;
  }));
}

/** Say in words what the chosen joint does in this frame. */
function showHere() {
  if (state.playing) return;
  const people = P.first[state.frame + 1] - P.first[state.frame];
  const row = state.track === null ? -1 : rowOf(state.frame, state.track);
  let text = people === 0 ? "Nobody in this frame." : `${people} ${people === 1 ? "person" : "people"} in this frame. Click a joint to follow it.`;
  if (HEAD.stills) text = `${HEAD.names[state.frame]}: ${people === 0 ? "nobody" : people === 1 ? "one person" : `${people} people`}.`;
  if (row >= 0 && state.joint !== null) {
    const [x, y] = jointAt(row, state.joint, state.layer === "raw"), done = doneTo(row, state.joint);
    text = `${nameOf(P.track[row])}, ${wordsOf(state.joint)}: x ${x.toFixed(1)}, y ${y.toFixed(1)}, score ${(P.score[state.joint][row] / 255).toFixed(2)}${done.length ? `, ${done.join(", ")}` : ""}.`;
  } else if (state.track !== null && row < 0 && !HEAD.stills) text += ` ${nameOf(state.track)} is not here.`;
  $("here").textContent = text;
  canvas.setAttribute("aria-label", text);
}

/** Every minute of a recording that is too long for one page. */
function setUpOverview() {
  if (!HEAD.overview.length) return;
  $("overview").hidden = false;
  const part = `${clockText(P.time[0])} to ${clockText(P.time[HEAD.frames - 1])}`;
  $("overview-note").textContent = `Each bar is a minute: its height is the share of joints in trouble (low, filled in, put right, left out), its colour the mean score. Below it: how many people. Framed: the part shown on this page, ${part}.`;
  const drawAll = () => {
    const all = $("overview-canvas"), width = all.clientWidth, height = 90, context = fitted(all, width, height);
    const begin = HEAD.overview[0][0], end = HEAD.overview[HEAD.overview.length - 1][0] + 60, at = (/** @type {number} */ s) => ((s - begin) / (end - begin)) * width;
    const bar = Math.max(1, at(begin + 60) - 0.5), most = Math.max(...HEAD.overview.map((/** @type {number[]} */ one) => one[2] / Math.max(1, one[1])), 1e-9);
    for (const [start, frames, people, score, trouble] of HEAD.overview) {
      context.fillStyle = scoreColour(score);
      context.fillRect(at(start), 70 - 66 * Math.min(1, 0.04 + trouble), bar, 66 * Math.min(1, 0.04 + trouble));
      context.fillStyle = css("--dim");
      const crowd = (14 * people) / Math.max(1, frames) / most;
      context.fillRect(at(start), 74, bar, crowd);
    }
    context.strokeStyle = css("--accent");
    context.lineWidth = 2;
    context.strokeRect(at(P.time[0]) + 1, 1, Math.max(3, at(P.time[HEAD.frames - 1]) - at(P.time[0]) - 2), height - 2);
  };
  const worst = HEAD.overview.reduce((/** @type {number[]} */ a, /** @type {number[]} */ b) => (b[4] > a[4] ? b : a));
  $("overview-canvas").setAttribute("aria-label", `${HEAD.overview.length} minutes; most trouble at ${clockText(worst[0])}: ${percent(worst[4])} of the joints`);
  new ResizeObserver(drawAll).observe($("overview"));
}
