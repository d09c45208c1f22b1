// Scenarios of pleme.js on a socket and a clock that the scenario moves: `node client_scenarios.mjs NAME`.
// A scenario that does not hold ends the process with what differed.
import assert from "node:assert/strict";

let now = 1_000_000;
let timers = [];
let timerIds = 0;
globalThis.setTimeout = (run, delay = 0) => {
  timers.push({ id: (timerIds += 1), at: now + delay, run });
  return timerIds;
};
globalThis.clearTimeout = (id) => {
  timers = timers.filter((timer) => timer.id !== id);
};
Date.now = () => now;
Math.random = () => 0.5;
const page = new EventTarget();
page.visibilityState = "visible";
globalThis.document = page;

const { Pleme } = await import("../../pleme_redis_django/static/pleme_redis_django/pleme.js");

/** Let every promise that can go on do so. */
async function settle() {
  for (let i = 0; i < 50; i += 1) await Promise.resolve();
}

/** Let time pass; the server pings in between. */
async function pass(seconds) {
  const end = now + seconds * 1000;
  while (now < end) {
    const until = Math.min(end, now + 20_000);
    const due = timers.filter((timer) => timer.at <= until).sort((a, b) => a.at - b.at)[0];
    timers = timers.filter((timer) => timer !== due);
    now = due?.at ?? until;
    due?.run();
    await settle();
    sockets.at(-1)?.ping();
  }
}

const sockets = [];

class FakeSocket {
  readyState = 0;
  sent = [];

  constructor() {
    sockets.push(this);
  }

  send(text) {
    if (text !== "{}") this.sent.push(JSON.parse(text));
  }

  close() {
    this.readyState = 3;
  }

  /** Accept, and answer `connect`. */
  async open() {
    this.readyState = 1;
    this.onopen();
    await this.answer("connect", { conn: "c1", user: "1", product: "acme", ping: 25, pong: 8 });
  }

  /** The server pings: it lives, whatever it owes. */
  ping() {
    if (this.readyState === 1) this.onmessage({ data: "{}" });
  }

  async say(...messages) {
    this.onmessage({ data: messages.map((message) => JSON.stringify(message)).join("\n") });
    await settle();
  }

  /** Take the oldest command of that name that nobody took yet. */
  take(name) {
    const index = this.sent.findIndex((command) => name in command);
    assert.notEqual(index, -1, `no ${name} was sent, but ${JSON.stringify(this.sent)}`);
    return this.sent.splice(index, 1)[0];
  }

  async answer(name, body) {
    await this.say({ id: this.take(name).id, [name]: body });
  }

  async refuse(name, code, temp) {
    await this.say({ id: this.take(name).id, error: { code, msg: "of the test", temp } });
  }

  async drop(code = 1006) {
    this.readyState = 3;
    this.onclose({ code, reason: "" });
    await settle();
  }
}

const E = "e1";
const pub = (channel, offset, epoch = E) => ({ ch: channel, pos: [epoch, offset], at: now, d: offset });

async function online() {
  const pleme = new Pleme({ url: "ws://test/", WebSocket: FakeSocket });
  await sockets.at(-1).open();
  return [pleme, sockets.at(-1)];
}

function listen(pleme, pattern, options = {}) {
  const heard = [];
  const onResync = (why) => heard.push(why);
  const subscription = pleme.subscribe(pattern, (event) => heard.push(event.data), { onResync, ...options });
  return { heard, subscription };
}

const page1 = (v, users = {}) => ({ v, users, next: null });
const change = (v, join = {}, leave = {}) => ({ pres: { ch: "room:1", v, join, update: {}, leave } });

const scenarios = {
  async "overlapping patterns each get all, once, in order"() {
    const [pleme, socket] = await online();
    const wide = listen(pleme, "order:*", { since: [E, 100] });
    await socket.answer("sub", { pos: [E, 100], recovered: true, pubs: [] });
    const narrow = listen(pleme, "order:7", { since: [E, 100] });
    await socket.say({ pub: pub("order:7", 103) });
    assert.deepEqual(narrow.subscription.position, [E, 100]);
    const missed = [101, 102, 103, 104].map((offset) => pub("order:7", offset));
    await socket.answer("sub", { pos: [E, 104], recovered: true, pubs: missed });
    // The bus was behind the log: for the wider pattern this is news.
    await socket.say({ pub: pub("order:7", 104) }, { pub: pub("order:7", 105) });
    assert.deepEqual(wide.heard, [103, 104, 105]);
    assert.deepEqual(narrow.heard, [101, 102, 103, 104, 105]);
  },

  async "a subscription without its reply goes on where it was"() {
    const [pleme, socket] = await online();
    listen(pleme, "order:*");
    await socket.answer("sub", { pos: [E, 100] });
    const narrow = listen(pleme, "order:7", { since: [E, 100] });
    await socket.say({ pub: pub("order:7", 106) });
    await socket.drop();
    await pass(1);
    await sockets[1].open();
    sockets[1].take("sub");
    assert.deepEqual(sockets[1].take("sub").sub, { ch: "order:7", since: [E, 100] });
    assert.deepEqual(narrow.heard, []);
  },

  async "an answer after 11 s counts"() {
    const [pleme, socket] = await online();
    const { heard } = listen(pleme, "order:*", { since: [E, 1] });
    const room = pleme.presence("room:1");
    const published = pleme.publish("order:1", 1);
    await pass(11);
    await socket.answer("sub", { pos: [E, 2], recovered: true, pubs: [pub("order:1", 2)] });
    await socket.answer("pres", page1(1, { 2: [] }));
    await socket.answer("pub", { pos: [E, 3] });
    await socket.say({ pub: pub("order:1", 3) });
    assert.deepEqual(heard, [2, 3]);
    assert.deepEqual([...room.users.keys()], ["2"]);
    assert.deepEqual(await published, [E, 3]);
    assert.equal(socket.sent.length, 0);
  },

  async "a late refusal that is temporary is asked again"() {
    const [pleme, socket] = await online();
    for (const head of ["a", "b", "c", "d"]) listen(pleme, `${head}:*`);
    for (let i = 0; i < 4; i += 1) {
      await pass(5);
      await socket.refuse("sub", 100, true);
    }
    await pass(2);
    const asked = socket.sent.map((command) => command.sub.ch).sort();
    assert.deepEqual(asked, ["a:*", "b:*", "c:*", "d:*"]);
  },

  async "a command without an answer for a minute ends the connection"() {
    const [pleme, socket] = await online();
    listen(pleme, "order:*");
    await pass(30);
    assert.equal(sockets.length, 1);
    await pass(32);
    assert.equal(socket.readyState, 3);
    await sockets[1].open();
    assert.equal(sockets[1].take("sub").sub.ch, "order:*");
  },

  async "what was unsubscribed is not asked for again"() {
    const [pleme, socket] = await online();
    const { subscription } = listen(pleme, "order:*");
    const room = pleme.presence("room:1");
    await socket.refuse("sub", 100, true);
    await socket.refuse("pres", 100, true);
    subscription.unsubscribe();
    room.leave();
    socket.sent = [];
    await pass(3);
    assert.deepEqual(socket.sent, []);
  },

  async "a retry does not ask twice after a reconnect"() {
    const [pleme, socket] = await online();
    listen(pleme, "order:*");
    await socket.refuse("sub", 100, true);
    await socket.drop();
    await pass(0.3);
    await sockets[1].open();
    await pass(3);
    assert.equal(sockets[1].sent.filter((command) => command.sub).length, 1);
  },

  async "a lost room keeps the subscription of its name"() {
    const [pleme, socket] = await online();
    const errors = [];
    pleme.on("error", (error) => errors.push([error.code, error.channel]));
    const { heard } = listen(pleme, "room:1");
    const room = pleme.presence("room:1");
    await socket.answer("sub", { pos: [E, 1] });
    await socket.answer("pres", page1(5, { 2: [] }));
    await socket.say({ unsub: { pres: "room:1", code: 103, why: "" } }, { pub: pub("room:1", 2) }, change(6, { 3: [] }));
    assert.deepEqual(heard, [2]);
    assert.equal(room.users.size, 0);
    const again = pleme.presence("room:1");
    await socket.answer("pres", page1(7, { 2: [] }));
    await socket.say({ unsub: { ch: "room:1", code: 103, why: "" } }, { pub: pub("room:1", 3) }, change(8, { 3: [] }));
    assert.deepEqual(heard, [2]);
    assert.deepEqual([...again.users.keys()], ["2", "3"]);
    assert.deepEqual(errors, [[103, "room:1"], [103, "room:1"]]);
  },

  async "a version that is not the next one calls for a snapshot"() {
    const [pleme, socket] = await online();
    const room = pleme.presence("room:1", { join: false });
    await socket.answer("pres", page1(50));
    for (const version of [1, 53, 49]) {
      await socket.say(change(version, { 2: [] }));
      await socket.answer("pres", page1(version, { 2: [] }));
      assert.deepEqual([...room.users.keys()], ["2"]);
    }
    await socket.say(change(50, {}, { 2: ["c2"] }));
    assert.equal(room.users.size, 0);
    assert.equal(socket.sent.length, 0);
  },

  async "what came during a snapshot is not applied twice"() {
    const [pleme, socket] = await online();
    const room = pleme.presence("room:1");
    await socket.say(change(6, { 2: [] }), change(7, {}, { 2: ["c2"] }), change(8, { 3: [] }));
    await socket.answer("pres", page1(7, { 4: [] }));
    assert.deepEqual([...room.users.keys()], ["4", "3"]);
    assert.equal(socket.sent.length, 0);
  },

  async "a resync during a snapshot takes another one"() {
    const [pleme, socket] = await online();
    const room = pleme.presence("room:1");
    await socket.answer("pres", { v: 5, users: { 2: [] }, next: "7" });
    await socket.say({ resync: { pres: "room:1" } });
    await socket.answer("pres", { v: 5, users: {}, next: null });
    await socket.answer("pres", page1(9, { 3: [] }));
    assert.deepEqual([...room.users.keys()], ["3"]);
  },

  async "a hidden tab says so on each connection"() {
    const [pleme, socket] = await online();
    page.visibilityState = "hidden";
    page.dispatchEvent(new Event("visibilitychange"));
    await pass(61);
    socket.take("idle");
    await socket.drop();
    await pass(5);
    await sockets[1].open();
    sockets[1].take("idle");
    page.visibilityState = "visible";
    page.dispatchEvent(new Event("visibilitychange"));
    sockets[1].take("active");
    await sockets[1].drop();
    await pass(5);
    await sockets[2].open();
    assert.equal(sockets[2].sent.length, 0);
  },

  async "a tab that is opened hidden becomes idle"() {
    page.visibilityState = "hidden";
    const [, socket] = await online();
    await pass(61);
    socket.take("idle");
  },

  async "clients of a server that drops its sockets come back spread"() {
    const [pleme, socket] = await online();
    const delays = [];
    pleme.on("offline", ({ retryInMs }) => delays.push(retryInMs));
    await pass(40);
    await socket.drop(1006);
    await pass(3);
    await sockets[1].open();
    await sockets[1].drop(1006);
    assert.deepEqual(delays, [2000, 250]);
  },
};

const name = process.argv[2];
if (name === undefined) console.log(JSON.stringify(Object.keys(scenarios)));
else await scenarios[name]();
