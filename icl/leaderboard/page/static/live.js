// A page that is served asks its own server now and then how far the run is; a file never does.

const ASK_MS = 2000;

function progressBox() {
  const live = store.index.live;
  if (!live) return null;
  const box = h("div.progress", { id: "progress", role: "status" });
  drawProgress(box, live.progress);
  return box;
}

function duration(seconds) {
  if (seconds === null || seconds === undefined) return "?";
  const whole = Math.round(seconds);
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  const two = (n) => String(n).padStart(2, "0");
  return hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}

function drawProgress(box, runs) {
  fill(
    box,
    runs.map((run) => {
      const bar = h("progress", { max: run.total || 1, value: run.done, "aria-label": `${run.name}: predictions` });
      const parts = [`${run.done.toLocaleString("en")} of ${run.total.toLocaleString("en")} predictions`];
      if (run.rate) parts.push(`${compact(run.rate)} a second`, `${duration(run.left)} left`);
      parts.push(run.state, run.step || null);
      const name = run.href ? h("a", { href: run.href }, run.name) : h("strong", {}, run.name);
      const problem = run.problem ? h("div.warn", {}, run.problem) : null;
      return h("div", {}, name, " ", bar, " ", h("span.dim", {}, parts.filter(Boolean).join(" · ")), problem);
    }),
  );
}

// The page of a folder: its runs, each with how far it is.
function drawRuns(main) {
  fill(main, h("h1", {}, store.index.title), progressBox());
}

async function ask() {
  try {
    const answer = await fetch(`state?v=${store.index.live.version}`);
    if (answer.ok) {
      const said = await answer.json();
      const box = document.getElementById("progress");
      if (box) drawProgress(box, said.progress);
      if (said.version !== store.index.live.version) await refresh();
      document.body.classList.remove("lost");
    }
  } catch {
    document.body.classList.add("lost"); // the server has gone: what is here stays
  }
  setTimeout(ask, ASK_MS);
}

async function refresh() {
  const answer = await fetch("index");
  if (!answer.ok) return;
  takeIndex(await answer.json());
  const { parts } = readRoute();
  const typing = document.activeElement?.closest("input, select, dialog");
  if (!typing && parts[0] !== "prediction") await draw({ keep: true });
}
