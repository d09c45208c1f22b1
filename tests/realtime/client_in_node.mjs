// Drives pleme.js from Node: `node --experimental-websocket client_in_node.mjs URL ORIGIN COOKIE`.
// Speaks with its test by lines: it writes what happened, and reads "go" to go on.
import { createInterface } from "node:readline";
import { Pleme, covers } from "../../pleme_redis_django/static/pleme_redis_django/pleme.js";

const [url, origin, cookie] = process.argv.slice(2);

class SocketWithSession extends WebSocket {
  constructor(address, protocol) {
    super(address, { protocols: [protocol], headers: { cookie, origin } });
  }
}

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const tell = (name, detail = null) => console.log(JSON.stringify([name, detail]));

for (const [pattern, channel, expected] of JSON.parse((await lines.next()).value)) {
  if (covers(pattern, channel) !== expected) tell("covers is wrong", [pattern, channel]);
}
const pleme = new Pleme({ url, WebSocket: SocketWithSession });
pleme.on("online", (session) => tell("online", session.user));
pleme.on("offline", ({ code, retryInMs }) => tell("offline", [code, retryInMs]));
pleme.on("closed", ({ code }) => tell("closed", code));
pleme.on("error", (error) => tell("error", [error.code, error.channel]));
pleme.subscribe("order:*", (event) => tell("event", event.data), { onResync: (why) => tell("resync", why) });
pleme.subscribe("order:*:paid", () => { throw new Error("of a listener"); });
process.on("uncaughtException", (error) => tell("uncaught", error.message));
pleme.subscribe("secret:*", () => {});
const room = pleme.presence("room:1", { meta: { name: "node" } });
room.on("change", () => tell("room", [...room.users.keys()].sort()));
const conversation = pleme.typing("order:1");
conversation.on("change", (users) => tell("typing", users));

for await (const line of lines) {
  if (line === "publish") tell("published", (await pleme.publish("room:1", { from: "node" })).length);
  else if (line === "type") conversation.keystroke();
  else if (line === "history") tell("history", (await pleme.history("order:*")).events.map((event) => event.data));
  else if (line.startsWith("random ")) Math.random = () => Number(line.slice(7));
  else if (line === "close") pleme.close();
}
