// Begins everything, and listens to the keys.

function renamed() {
  draw();
  buildPeople();
  buildMoments();
  showHere();
}

/** @param {KeyboardEvent} event */
function onKey(event) {
  const target = /** @type {HTMLElement} */ (event.target);
  if (event.ctrlKey || event.metaKey || event.altKey || target.matches("input[type=text], select")) return;
  const onButton = target.matches("button, a, summary"), onRange = target.matches("input");
  const step = event.shiftKey ? 10 : 1;
  /** @type {Record<string, () => void>} */
  const keys = {
    " ": () => (state.playing ? pause() : play()),
    ArrowLeft: () => seek(state.frame - step), ArrowRight: () => seek(state.frame + step),
    Home: () => seek(0), End: () => seek(HEAD.frames - 1),
    ",": () => changeSpeed(-1), ".": () => changeSpeed(1),
    n: () => stepMoment(1), p: () => stepMoment(-1), l: cycleLoop, f: toggleFull,
    1: () => update({layer: "smoothed"}), 2: () => update({layer: HEAD.smoothed ? "raw" : "smoothed"}), 3: () => update({layer: HEAD.smoothed ? "both" : "smoothed"}),
    b: () => update({boxes: !state.boxes}), t: () => update({trails: !state.trails}), h: () => update({heat: !state.heat}),
  };
  const act = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!act || (onButton && event.key === " ") || (onRange && /^(Arrow|Home|End| )/.test(event.key))) return;
  event.preventDefault();
  act();
}

/** @param {number} step */
function changeSpeed(step) {
  const speeds = [...$("speed").options].map((option) => Number(option.value));
  const next = speeds[Math.max(0, Math.min(speeds.length - 1, speeds.indexOf(state.speed) + step))];
  $("speed").value = String(next);
  update({speed: next});
}

async function begin() {
  setUpHead();
  const bytes = bytesOf("poses");
  if (!bytes) throw new Error("the poses are missing");
  P = readPoses(await inflate(bytes));
  $("main").hidden = false;
  if (!HEAD.frames) throw new Error("the file of poses has no frames");
  setUpPhotos();
  await openFilm();
  setUpPlayer();
  setUpOverview();
  setUpLanes();
  setUpLists();
  setUpCurves();
  await setUpWhy();
  setUpTakeaway();
  document.addEventListener("keydown", onKey);
  if (!followHash()) seek(0);
  draw();
  document.documentElement.dataset.ready = "true";
}

begin().catch((error) => {
  $("failure").hidden = false;
  $("failure").textContent = `This page cannot show its poses: ${error.message}. Make it again with tpose report, or open it in a current Chromium, Firefox or Safari.`;
  document.documentElement.dataset.ready = "failed";
});
