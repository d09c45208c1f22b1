// Drives an operation on many jobs: one batch a request, with a bar, a stop button and a way to go on.

const form = document.getElementById("pleme-bulk");
const panel = document.getElementById("pleme-bulk-progress");

if (form && panel) {
  const bar = panel.querySelector("progress");
  const status = panel.querySelector("[role=status]");
  const stop = document.getElementById("pleme-stop");
  const submit = form.querySelector("input[type=submit]");
  const total = Number(form.dataset.total);
  const isCapped = "isCapped" in form.dataset;
  let changed = 0;
  let isStopped = false;

  const number = (value) => value.toLocaleString("en-US");
  const soFar = () => `${number(changed)} of ${number(total)}${isCapped ? "+" : ""} done`;

  async function doBatch() {
    const headers = { Accept: "application/json" };
    // What fetch() itself says of a lost connection is another text in each browser.
    const response = await fetch(form.action, { method: "POST", body: new FormData(form), headers }).catch(() => {
      throw new Error("No connection.");
    });
    if (response.redirected || response.status === 403) throw new Error("You are signed out, or may no longer do this.");
    if (response.status === 400) throw new Error((await response.json()).error);
    if (!response.ok) throw new Error(`The server answered with status ${response.status}.`);
    return response.json();
  }

  async function run() {
    isStopped = false;
    submit.disabled = true;
    panel.hidden = stop.hidden = false;
    status.textContent = soFar();
    while (!isStopped) {
      const batch = await doBatch();
      changed += batch.changed;
      form.elements.cursor.value = batch.cursor;
      if (batch.is_last) return finish();
      if (changed < total) bar.value = changed;
      else bar.removeAttribute("value");
      status.textContent = `${soFar()}…`;
    }
    pause(`Stopped. ${soFar()}.`);
  }

  function finish() {
    bar.max = bar.value = Math.max(changed, 1);
    const left = total - changed;
    const others = left > 0 && !isCapped ? ` ${number(left)} had changed meanwhile and were skipped.` : "";
    status.textContent = `Finished: ${number(changed)} done.${others}`;
    stop.hidden = true;
    submit.hidden = true;
  }

  function pause(text) {
    status.textContent = text;
    stop.hidden = true;
    submit.disabled = false;
    submit.value = "Go on";
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    run().catch((error) => pause(`${error.message} ${soFar()}.`));
  });
  stop.addEventListener("click", () => {
    isStopped = true;
    status.textContent = "Stopping after this batch…";
  });
}
