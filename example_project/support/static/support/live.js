// What the pages share: one connection, its state in the header, and the people of a room.
import { Pleme } from "../pleme_redis_django/pleme.js";

export const pleme = new Pleme({ client: "novaskyn support" });

const state = document.getElementById("state");
function show(name, text) {
  state.dataset.state = name;
  state.textContent = text;
}
pleme.on("online", () => show("online", "live"));
pleme.on("offline", () => show("offline", "reconnecting"));
pleme.on("closed", ({ code }) => {
  show("closed", "signed out");
  if (code === 4001 || code === 4005) location.assign("/support/login/");
});

/** Keep a list of who is in a room; each person once, however many tabs. */
export function showPeople(channel, name, list, count) {
  const room = pleme.presence(channel, { meta: { name } });
  const draw = () => {
    const people = [...room.users].map(([id, entries]) => ({
      id,
      name: String(entries[0]?.m.name ?? id),
      idle: entries.every((entry) => entry.idle),
    }));
    people.sort((one, other) => one.name.localeCompare(other.name));
    list.replaceChildren(...people.map(({ name: label, idle }) => {
      const item = document.createElement("li");
      item.dataset.idle = idle;
      item.textContent = idle ? `${label} (away)` : label;
      return item;
    }));
    if (count) count.textContent = people.length;
  };
  room.on("change", draw);
  return room;
}

/** The name of a user who is in a room. */
export function nameOf(room, user) {
  return String(room.users.get(user)?.[0]?.m.name ?? "someone");
}
