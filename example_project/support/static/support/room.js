// A chat room: stored messages come with the page, new ones over the socket.
import { nameOf, pleme, showPeople } from "./live.js";

const page = document.getElementById("room");
const { channel, user } = page.dataset;
const log = document.getElementById("log");
const form = document.getElementById("form");
const text = document.getElementById("text");
const typingLine = document.getElementById("typing");
const time = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const shown = new Set();

function add(message) {
  if (shown.has(message.id)) return;
  shown.add(message.id);
  const item = document.createElement("li");
  item.className = message.author === user ? "mine" : "";
  const head = document.createElement("p");
  const author = document.createElement("b");
  author.textContent = message.author;
  const when = document.createElement("time");
  when.dateTime = message.sent_at;
  when.textContent = time.format(new Date(message.sent_at));
  head.append(author, " ", when);
  const body = document.createElement("p");
  body.className = "text";
  body.textContent = message.text;
  item.append(head, body);
  log.append(item);
  log.parentElement.scrollTop = log.parentElement.scrollHeight;
}

async function reload() {
  const answer = await fetch(page.dataset.messages);
  if (answer.ok) (await answer.json()).messages.forEach(add);
}

JSON.parse(document.getElementById("messages").textContent).forEach(add);
pleme.subscribe(channel, ({ data }) => add(data), { onResync: reload });
// What was said between the page and the subscription.
pleme.on("online", reload);

const people = showPeople(channel, user, document.getElementById("people"), document.getElementById("count"));
const typing = pleme.typing(channel);
typing.on("change", (users) => {
  const names = users.map((id) => nameOf(people, id));
  typingLine.textContent = names.length === 0 ? "" : `${names.join(", ")} ${names.length === 1 ? "is" : "are"} typing`;
});
text.addEventListener("input", () => typing.keystroke());
text.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    form.requestSubmit();
  }
});
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const said = new FormData(form);
  text.value = "";
  typing.stop();
  const answer = await fetch(page.dataset.say, { method: "POST", body: said }).catch(() => null);
  if (answer?.ok) add(await answer.json());
  else {
    text.value = said.get("text");
    typingLine.textContent = "Not sent. Try again.";
  }
});

const orders = document.getElementById("orders");
pleme.subscribe("order:created", ({ data }) => {
  const item = document.createElement("li");
  const link = document.createElement("a");
  link.href = page.dataset.order.replace("NUMBER", encodeURIComponent(data.number));
  link.textContent = data.number;
  item.append(link, ` ${data.customer}`);
  orders.prepend(item);
  while (orders.children.length > 8) orders.lastElementChild.remove();
});
