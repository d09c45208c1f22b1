/**
 * pleme.js: the client of the protocol pleme.v1. One ES module, no dependency, for browsers and Node.
 *
 *     import { Pleme } from "/static/pleme_redis_django/pleme.js";
 *     const pleme = new Pleme();                              // wss://this.host/ws/pleme/
 *     pleme.subscribe("order:*", (event) => show(event.channel, event.data), { onResync: reload });
 *
 * It connects again by itself, goes on where it was, and says so when the server could not.
 */

const SUBPROTOCOL = "pleme.v1";
const PING = "{}";
const FIRST_DELAY_MS = 500;
const LAST_DELAY_MS = 20_000;
// A server that is deployed again closes all its sockets at once (1012, IANA's registry of close codes):
// its clients come back spread over this time, shorter than the 5 s after which presence sees them leave.
const SERVICE_RESTART = 1012;
const RESTART_SPREAD_MS = 4000;
// Some servers (daphne) drop their sockets instead: a lost connection (1006) that was good for this long.
const LOST = 1006;
const LONG_LIFE_MS = 30_000;
const COMMAND_TIMEOUT_MS = 10_000;
// What is asked again until it is answered: a server that lives answers in the end, however slow it is. Past
// this time the connection is given up, and everything is asked on the next one.
const ANSWER_DEADLINE_MS = 60_000;
const PUBLISH_DEADLINE_MS = 60_000;
const IDLE_AFTER_MS = 60_000;

/** Tell whether a message at `position` comes after `since`; of another epoch nothing can be said. */
function isAfter(position, since) {
  return since === null || position[0] !== since[0] || position[1] > since[1];
}

/** An error reply of the server, or (code 0) a command that got no answer. */
export class PlemeError extends Error {
  constructor(code, message, temporary) {
    super(message);
    this.name = "PlemeError";
    this.code = code;
    this.temporary = temporary;
  }
}

/** Tell whether a pattern covers a channel: "*" is one segment, and a last "*" one or more. */
export function covers(pattern, channel) {
  if (pattern === channel) return true;
  if (!pattern.includes("*")) return false;
  const wanted = pattern.split(":");
  const given = channel.split(":");
  for (let i = 0; i < wanted.length; i += 1) {
    if (i >= given.length) return false;
    if (wanted[i] === "*" && i === wanted.length - 1) return true;
    if (wanted[i] !== "*" && wanted[i] !== given[i]) return false;
  }
  return wanted.length === given.length;
}

class Emitter {
  #listeners = new Map();

  /** Call `listener` at each event of that name; returns a function that ends it. */
  on(name, listener) {
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners.add(listener));
    return () => listeners.delete(listener);
  }

  emit(name, detail) {
    for (const listener of [...(this.#listeners.get(name) ?? [])]) call(listener, detail);
  }
}

/** A listener that throws is reported as uncaught, and stops neither the others nor the socket. */
function call(listener, ...details) {
  try {
    listener(...details);
  } catch (error) {
    if (typeof reportError === "function") reportError(error);
    else queueMicrotask(() => { throw error; });
  }
}

/**
 * One connection to the server; events: "online" (session), "offline" ({code, why, retryInMs}),
 * "closed" ({code, why}: the server said not to come back), "error" (PlemeError of a subscription or room).
 */
export class Pleme extends Emitter {
  /** {conn, user, product} while online, else null. */
  session = null;
  #options;
  #socket = null;
  #ids = 0;
  #pending = new Map();
  #subscriptions = new Map();
  #rooms = new Map();
  #conversations = new Map();
  #publishes = new Map();
  #attempts = 0;
  #onlineSince = null;
  #isAway = false;
  #retryTimer = null;
  #silenceTimer = null;
  #idleTimer = null;
  #bye = null;
  #isClosed = false;
  #pingMs = 25_000;
  #pongMs = 8_000;
  #undo = [];

  /** Options: url, WebSocket (a class), client (a name for the server's logs), idleAfterMs. Connects at once. */
  constructor(options = {}) {
    super();
    this.#options = { WebSocket: globalThis.WebSocket, client: "pleme.js/1", idleAfterMs: IDLE_AFTER_MS, ...options };
    this.#options.url ??= defaultUrl();
    this.#watchPage();
    this.#open();
  }

  /** Tell whether commands reach the server now. */
  get isOnline() {
    return this.session !== null;
  }

  /**
   * Call `onEvent({channel, data, user, publishedAt, position})` for what is published to a channel or pattern.
   * `onResync(reason)` is called when events were missed for good: load your state again.
   * `since` (a position) goes on where an earlier page was. Returns a Subscription.
   */
  subscribe(pattern, onEvent, { onResync = () => {}, since = null } = {}) {
    let shared = this.#subscriptions.get(pattern);
    if (!shared) {
      shared = { pattern, position: since, handles: new Set(), isLive: false, request: null };
      this.#subscriptions.set(pattern, shared);
      this.#sendSubscribe(shared);
    }
    const handle = { onEvent, onResync };
    shared.handles.add(handle);
    return {
      pattern,
      get position() {
        return shared.position;
      },
      unsubscribe: () => this.#unsubscribe(shared, handle),
    };
  }

  /**
   * Publish JSON-able data; resolves to its position. While offline it waits, and it is sent again after a
   * reconnect; its key keeps it from being published twice. Rejects after a minute, or when denied.
   */
  publish(channel, data, { key = randomKey(), echo = true } = {}) {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#publishes.delete(key);
        reject(new PlemeError(0, "not published in time", true));
      }, PUBLISH_DEADLINE_MS);
      const settle = (how, value) => {
        clearTimeout(timer);
        this.#publishes.delete(key);
        how(value);
      };
      const fields = { ch: channel, d: data, key, echo };
      this.#publishes.set(key, { fields, resolve: (v) => settle(resolve, v), reject: (e) => settle(reject, e) });
      this.#sendPublish(key);
    });
  }

  /** Join a room (or watch it: `join: false`) and know who is there. "@online" is the whole product. */
  presence(room, { meta = undefined, join = true } = {}) {
    if (!this.#rooms.has(room)) {
      const request = (fields) => this.#command("pres", fields, { isAskedAgain: true });
      const release = () => {
        this.#rooms.delete(room);
        if (this.isOnline) this.#command("unpres", { ch: room }).catch(() => {});
      };
      this.#rooms.set(room, new Room(room, { meta, join }, request, release, (error) => this.emit("error", error)));
      if (this.isOnline) this.#rooms.get(room).refresh();
    }
    return this.#rooms.get(room);
  }

  /** Who types in a conversation; subscribe to it, or be present in it, to be told. */
  typing(conversation) {
    if (!this.#conversations.has(conversation)) {
      const send = (on) => this.isOnline && this.#send({ typing: { ch: conversation, on } });
      this.#conversations.set(conversation, new Conversation(conversation, send, () => this.session?.user));
    }
    return this.#conversations.get(conversation);
  }

  /** Read what the server still has: {events, position, more}. */
  async history(pattern, { since = null, limit = 100 } = {}) {
    const page = await this.#command("history", { ch: pattern, since, limit });
    return { events: page.pubs.map(toEvent), position: page.pos, more: page.more };
  }

  /** Go offline for good. */
  close() {
    this.#end(1000, "closed by the page");
    this.#socket?.close(1000);
  }

  // The socket

  #open() {
    clearTimeout(this.#retryTimer);
    this.#retryTimer = null;
    this.#bye = null;
    const socket = new this.#options.WebSocket(this.#options.url, SUBPROTOCOL);
    this.#socket = socket;
    socket.onopen = () => this.#greet(socket);
    socket.onmessage = (message) => this.#receive(socket, message.data);
    socket.onclose = (event) => this.#lost(socket, event.code, event.reason);
    // Node (undici) sends no "close" when it could not connect.
    socket.onerror = () => socket.readyState === 1 || this.#lost(socket, 1006, "");
    this.#expectNews();
  }

  async #greet(socket) {
    try {
      const session = await this.#command("connect", { client: this.#options.client });
      if (socket !== this.#socket) return;
      this.#attempts = 0;
      this.#onlineSince = Date.now();
      this.#pingMs = session.ping * 1000;
      this.#pongMs = (session.pong ?? 8) * 1000;
      this.session = { conn: session.conn, user: session.user, product: session.product };
      if (this.#isAway) this.#send({ idle: {} });
      for (const shared of this.#subscriptions.values()) this.#sendSubscribe(shared);
      for (const room of this.#rooms.values()) room.refresh();
      for (const key of [...this.#publishes.keys()]) this.#sendPublish(key);
      this.emit("online", this.session);
    } catch {
      socket.close();
    }
  }

  #receive(socket, text) {
    if (socket !== this.#socket) return;
    this.#expectNews();
    for (const line of text.split("\n")) {
      if (line === PING) socket.send(PING);
      else this.#take(JSON.parse(line));
    }
  }

  #take(message) {
    if (message.id !== undefined) this.#settle(message);
    else if (message.pub) this.#onPub(message.pub);
    else if (message.pres) this.#rooms.get(message.pres.ch)?.apply(message.pres);
    else if (message.typing) this.#conversations.get(message.typing.ch)?.apply(message.typing);
    else if (message.resync) this.#onResync(message.resync);
    else if (message.unsub) this.#onUnsub(message.unsub);
    else if (message.bye) this.#bye = message.bye;
    else if (message.error) this.emit("error", toError(message.error));
  }

  #lost(socket, code, reason) {
    if (socket !== this.#socket) return;
    this.#socket = null;
    this.session = null;
    for (const shared of this.#subscriptions.values()) Object.assign(shared, { isLive: false, request: null });
    clearTimeout(this.#silenceTimer);
    for (const { reject } of this.#pending.values()) reject(new PlemeError(0, "the connection was lost", true));
    this.#pending.clear();
    for (const conversation of this.#conversations.values()) conversation.clear();
    const actual = this.#bye?.code ?? code;
    const why = this.#bye?.why ?? reason ?? "";
    if (this.#isClosed) return;
    if (actual >= 4000 && actual < 4100) {
      this.#end(actual, why);
      return;
    }
    const retryInMs = this.#delay(actual);
    this.#onlineSince = null;
    this.#retryTimer = setTimeout(() => this.#open(), retryInMs);
    this.emit("offline", { code: actual, why, retryInMs });
  }

  /** Full jitter (Brooker, "Exponential Backoff And Jitter", 2015); at once when the server asks for it. */
  #delay(code) {
    if (code >= 4200 && code < 4300) {
      const [low, high] = this.#bye?.retry_ms ?? [0, 1000];
      return low + Math.random() * (high - low);
    }
    const wasLong = this.#onlineSince !== null && Date.now() - this.#onlineSince > LONG_LIFE_MS;
    if (code === SERVICE_RESTART || (code === LOST && wasLong)) return Math.random() * RESTART_SPREAD_MS;
    const most = Math.min(LAST_DELAY_MS, FIRST_DELAY_MS * 2 ** this.#attempts);
    this.#attempts += 1;
    return Math.random() * most;
  }

  #end(code, why) {
    this.#isClosed = true;
    clearTimeout(this.#retryTimer);
    clearTimeout(this.#silenceTimer);
    clearTimeout(this.#idleTimer);
    for (const undo of this.#undo) undo();
    for (const { reject } of [...this.#publishes.values()]) reject(new PlemeError(0, `closed: ${why}`, false));
    this.emit("closed", { code, why });
  }

  /** A server that is silent for longer than its ping is gone, whatever the network says. */
  #expectNews() {
    clearTimeout(this.#silenceTimer);
    const socket = this.#socket;
    const waitMs = this.#pingMs + 2 * this.#pongMs;
    this.#silenceTimer = setTimeout(() => this.#giveUp(socket, "the server is silent"), waitMs);
  }

  #giveUp(socket, why) {
    socket.close();
    this.#lost(socket, 4201, why);
  }

  /** Come back at once when the tab or the network does; tell the server when the person is away. */
  #watchPage() {
    const listen = (target, name, listener) => {
      if (!target?.addEventListener) return;
      target.addEventListener(name, listener);
      this.#undo.push(() => target.removeEventListener(name, listener));
    };
    const now = () => {
      if (this.#retryTimer !== null) this.#open();
    };
    const look = () => {
      clearTimeout(this.#idleTimer);
      if (globalThis.document.visibilityState === "visible") {
        this.#isAway = false;
        now();
        if (this.isOnline) this.#send({ active: {} });
      } else {
        this.#idleTimer = setTimeout(() => {
          this.#isAway = true;
          if (this.isOnline) this.#send({ idle: {} });
        }, this.#options.idleAfterMs);
      }
    };
    listen(globalThis.window, "online", now);
    listen(globalThis.document, "visibilitychange", look);
    if (globalThis.document?.visibilityState === "hidden") look();
  }

  // Commands

  #send(message) {
    this.#socket.send(JSON.stringify(message));
  }

  /** `isAskedAgain`: it gets a minute, and then a new connection; other commands are rejected after 10 s. */
  #command(name, fields, { isAskedAgain = false } = {}) {
    return new Promise((resolve, reject) => {
      if (this.#socket === null || this.#socket.readyState !== 1) {
        reject(new PlemeError(0, "offline", true));
        return;
      }
      this.#ids += 1;
      const id = this.#ids;
      const socket = this.#socket;
      const timer = setTimeout(() => {
        if (isAskedAgain) this.#giveUp(socket, `no answer to ${name}`);
        this.#pending.delete(id);
        reject(new PlemeError(0, `no answer to ${name}`, true));
      }, isAskedAgain ? ANSWER_DEADLINE_MS : COMMAND_TIMEOUT_MS);
      const done = (how) => (value) => {
        clearTimeout(timer);
        how(value);
      };
      this.#pending.set(id, { name, resolve: done(resolve), reject: done(reject) });
      this.#send({ id, [name]: fields });
    });
  }

  #settle(message) {
    const pending = this.#pending.get(message.id);
    this.#pending.delete(message.id);
    if (message.error) pending?.reject(toError(message.error));
    else pending?.resolve(message[pending.name]);
  }

  // Subscriptions

  /**
   * Ask for a subscription, once for each connection. Until the reply it takes no pushes: those that come
   * are of other patterns, and the reply holds what it missed, in order.
   */
  async #sendSubscribe(shared) {
    if (!this.isOnline || shared.request !== null || this.#subscriptions.get(shared.pattern) !== shared) return;
    const request = (shared.request = {});
    const isWanted = () => shared.request === request && this.#subscriptions.get(shared.pattern) === shared;
    try {
      const fields = { ch: shared.pattern, since: shared.position };
      const reply = await this.#command("sub", fields, { isAskedAgain: true });
      if (!isWanted()) return;
      shared.isLive = true;
      for (const pub of reply.pubs ?? []) this.#deliver(shared, pub);
      shared.position = reply.pos;
      if (reply.recovered === false) for (const { onResync } of [...shared.handles]) call(onResync, reply.why);
    } catch (error) {
      if (isWanted()) this.#failed(shared, error);
    }
  }

  #failed(shared, error) {
    shared.request = null;
    if (error.code === 0) return; // sent again with the next connection
    if (error.temporary) setTimeout(() => this.#sendSubscribe(shared), FIRST_DELAY_MS * (1 + Math.random()));
    else this.emit("error", Object.assign(error, { channel: shared.pattern }));
  }

  #unsubscribe(shared, handle) {
    shared.handles.delete(handle);
    if (shared.handles.size > 0 || this.#subscriptions.get(shared.pattern) !== shared) return;
    this.#subscriptions.delete(shared.pattern);
    if (this.isOnline) this.#command("unsub", { ch: shared.pattern }).catch(() => {});
  }

  #onPub(pub) {
    for (const shared of [...this.#subscriptions.values()]) {
      if (!shared.isLive || !covers(shared.pattern, pub.ch)) continue;
      // The reply may have held what the bus brings for another pattern only now.
      if (isAfter(pub.pos, shared.position)) this.#deliver(shared, pub);
    }
  }

  #deliver(shared, pub) {
    shared.position = pub.pos;
    const event = toEvent(pub);
    for (const { onEvent } of [...shared.handles]) call(onEvent, event);
  }

  #onResync(resync) {
    if (resync.pres) {
      this.#rooms.get(resync.pres)?.refresh();
      return;
    }
    const shared = this.#subscriptions.get(resync.ch);
    if (!shared?.isLive) return; // its reply will say so
    shared.position = resync.pos;
    for (const { onResync } of [...shared.handles]) call(onResync, "lost");
  }

  #onUnsub(unsub) {
    if (unsub.pres) {
      this.#rooms.get(unsub.pres)?.drop();
      this.#rooms.delete(unsub.pres);
    } else {
      this.#subscriptions.delete(unsub.ch);
    }
    const channel = unsub.pres ?? unsub.ch;
    this.emit("error", Object.assign(new PlemeError(unsub.code, unsub.why, false), { channel }));
  }

  async #sendPublish(key) {
    const publish = this.#publishes.get(key);
    if (!publish || !this.isOnline) return;
    try {
      publish.resolve((await this.#command("pub", publish.fields, { isAskedAgain: true })).pos);
    } catch (error) {
      if (error.code === 0) return; // sent again with the next connection, until its deadline
      if (error.temporary) setTimeout(() => this.#sendPublish(key), FIRST_DELAY_MS * (1 + Math.random()));
      else publish.reject(error);
    }
  }
}

/** Who is in a room; event "change" ({joined, updated, left}: user ids; all empty after a snapshot). */
class Room extends Emitter {
  /** User id -> [{c: connection, m: metadata, idle?: true}]. */
  users = new Map();
  #name;
  #options;
  #request;
  #release;
  #fail;
  #version = null;
  #early = null;
  #isStale = false;
  #isTaking = false;
  #isDropped = false;

  constructor(name, options, request, release, fail) {
    super();
    this.#name = name;
    this.#options = options;
    this.#request = request;
    this.#release = release;
    this.#fail = fail;
  }

  get name() {
    return this.#name;
  }

  /** Say something else about oneself. */
  update(meta) {
    this.#options.meta = meta;
    return this.#request({ ch: this.#name, join: this.#options.join, meta });
  }

  /** Leave the room, and get no more pushes about it. */
  leave() {
    if (this.#isDropped) return;
    this.drop();
    this.#release();
  }

  /** Forget the members, and stop asking for them. */
  drop() {
    this.#isDropped = true;
    this.users.clear();
  }

  /** Take a new snapshot; changes that arrive meanwhile are applied to it. */
  async refresh() {
    if (this.#isDropped) return;
    this.#isStale = true;
    if (this.#isTaking) return; // what is being taken is taken once more
    this.#isTaking = true;
    try {
      while (this.#isStale && !this.#isDropped) {
        this.#isStale = false;
        await this.#takeSnapshot();
      }
    } catch (error) {
      if (this.#isDropped || error.code === 0) return; // asked again with the next connection
      if (error.temporary) setTimeout(() => this.refresh(), FIRST_DELAY_MS * (1 + Math.random()));
      else this.#fail(Object.assign(error, { channel: this.#name }));
    } finally {
      this.#early = null;
      this.#isTaking = false;
    }
  }

  async #takeSnapshot() {
    this.#early = [];
    const users = new Map();
    let page = await this.#request({ ch: this.#name, ...this.#options });
    const version = page.v;
    for (;;) {
      for (const [user, entries] of Object.entries(page.users)) users.set(user, entries);
      if (this.#isDropped || page.next === null) break;
      page = await this.#request({ ch: this.#name, cursor: page.next });
    }
    const early = this.#early;
    this.#early = null;
    if (this.#isDropped) return;
    this.#version = version;
    this.users = users;
    // What was sent before the snapshot was taken is in it.
    for (const change of early) if (change.v > this.#version) this.apply(change);
    this.emit("change", { joined: [], updated: [], left: [] });
  }

  apply(change) {
    if (this.#early !== null) {
      this.#early.push(change);
      return;
    }
    if (this.#version === null || this.#isDropped) return;
    if (change.v !== this.#version + 1) {
      this.refresh();
      return;
    }
    this.#version = change.v;
    for (const [user, entries] of Object.entries({ ...change.join, ...change.update })) this.users.set(user, entries);
    for (const user of Object.keys(change.leave)) this.users.delete(user);
    const [joined, updated, left] = [change.join, change.update, change.leave].map(Object.keys);
    this.emit("change", { joined, updated, left });
  }
}

/** Who types; event "change" (list of user ids). Ends by itself: a crash needs no stop. */
class Conversation extends Emitter {
  #send;
  #self;
  #timers = new Map();
  #saidAt = 0;

  constructor(name, send, self) {
    super();
    this.name = name;
    this.#send = send;
    this.#self = self;
  }

  /** The other users who type now. */
  get users() {
    return [...this.#timers.keys()];
  }

  /** Call it at each keystroke; it sends one sign in two seconds. */
  keystroke() {
    const now = Date.now();
    if (now - this.#saidAt < 2000) return;
    this.#saidAt = now;
    this.#send(true);
  }

  /** Call it when the message was sent. */
  stop() {
    if (this.#saidAt === 0) return;
    this.#saidAt = 0;
    this.#send(false);
  }

  apply({ u: user, on, ttl }) {
    if (user === this.#self()) return;
    clearTimeout(this.#timers.get(user));
    this.#timers.delete(user);
    if (on) this.#timers.set(user, setTimeout(() => this.apply({ u: user, on: false }), ttl));
    this.emit("change", this.users);
  }

  clear() {
    for (const timer of this.#timers.values()) clearTimeout(timer);
    if (this.#timers.size > 0) {
      this.#timers.clear();
      this.emit("change", []);
    }
  }
}

function toEvent(pub) {
  return {
    channel: pub.ch,
    data: pub.d,
    user: pub.u ?? null,
    publishedAt: new Date(pub.at),
    position: pub.pos,
  };
}

function toError({ code, msg, temp }) {
  return new PlemeError(code, msg, temp);
}

function randomKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function defaultUrl() {
  const { protocol, host } = globalThis.location;
  return `${protocol === "https:" ? "wss" : "ws"}://${host}/ws/pleme/`;
}
