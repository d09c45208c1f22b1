// An order's page: a job reports its progress, and everybody who looks at the order sees it.
import { pleme, showPeople } from "./live.js";

const { number, user } = document.getElementById("order").dataset;
const form = document.getElementById("prepare");
const step = document.getElementById("step");
const bar = document.getElementById("bar");
const button = form.querySelector("button");

function follow(job) {
  button.disabled = true;
  const subscription = pleme.subscribe(`job:${job}`, ({ data }) => {
    if (data.progress) {
      bar.max = data.progress.total;
      bar.value = data.progress.done;
      step.textContent = `${data.progress.note} (${data.progress.done} of ${data.progress.total})`;
    }
    if (data.event === "failed") step.textContent = "failed";
    if (["completed", "failed", "cancelled"].includes(data.event)) {
      button.disabled = false;
      subscription.unsubscribe();
    }
  });
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const answer = await fetch(form.action, { method: "POST", body: new FormData(form) });
  if (!answer.ok) return;
  const { job } = await answer.json();
  pleme.publish(`viewing:${number}`, { job });
  follow(job);
});
pleme.subscribe(`viewing:${number}`, ({ data, user: publisher }) => publisher !== pleme.session?.user && follow(data.job));
pleme.subscribe(`order:${number}:*`, ({ data }) => {
  step.textContent = data.state;
  bar.value = bar.max;
});
showPeople(`viewing:${number}`, user, document.getElementById("people"));
