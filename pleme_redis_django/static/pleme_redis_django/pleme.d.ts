/** Types of pleme.js, the client of the protocol pleme.v1. */

/** A place in the log of a head: [epoch, offset]. Keep it as it is. */
export type Position = [epoch: string, offset: number];

export interface PlemeEvent<Data = unknown> {
  channel: string;
  data: Data;
  /** The id of the user who published, stamped by the server; null when the server did. */
  user: string | null;
  publishedAt: Date;
  position: Position;
}

export interface Session {
  conn: string;
  user: string | null;
  product: string;
}

export interface PresenceEntry<Meta = Record<string, unknown>> {
  /** One of the user's connections that shows this metadata. */
  c: string;
  m: Meta;
  /** Present when no connection of the user is active. */
  idle?: true;
}

export interface PlemeOptions {
  /** Default: ws(s)://this.host/ws/pleme/ */
  url?: string;
  /** The WebSocket class, where there is no global one. */
  WebSocket?: unknown;
  /** A name for the server's logs. */
  client?: string;
  /** How long a tab may be hidden until the user counts as idle. Default: 60000. */
  idleAfterMs?: number;
}

export declare class PlemeError extends Error {
  /** An error code of the protocol; 0: no answer in time, or offline. */
  code: number;
  temporary: boolean;
  /** The channel, pattern or room that it is about, when it came as an "error" event. */
  channel?: string;
}

export interface Subscription {
  readonly pattern: string;
  /** Where a later page goes on with `since`: behind the last event that was handed on. */
  readonly position: Position | null;
  unsubscribe(): void;
}

export interface Room<Meta = Record<string, unknown>> {
  readonly name: string;
  readonly users: ReadonlyMap<string, PresenceEntry<Meta>[]>;
  on(name: "change", listener: (change: { joined: string[]; updated: string[]; left: string[] }) => void): () => void;
  update(meta: Meta): Promise<unknown>;
  refresh(): Promise<void>;
  leave(): void;
}

export interface Conversation {
  readonly name: string;
  readonly users: string[];
  on(name: "change", listener: (users: string[]) => void): () => void;
  keystroke(): void;
  stop(): void;
}

export declare class Pleme {
  constructor(options?: PlemeOptions);
  readonly session: Session | null;
  readonly isOnline: boolean;
  on(name: "online", listener: (session: Session) => void): () => void;
  on(name: "offline", listener: (detail: { code: number; why: string; retryInMs: number }) => void): () => void;
  on(name: "closed", listener: (detail: { code: number; why: string }) => void): () => void;
  on(name: "error", listener: (error: PlemeError) => void): () => void;
  subscribe<Data = unknown>(
    pattern: string,
    onEvent: (event: PlemeEvent<Data>) => void,
    options?: { onResync?: (reason: "epoch" | "trimmed" | "limit" | "lost") => void; since?: Position | null },
  ): Subscription;
  publish(channel: string, data: unknown, options?: { key?: string; echo?: boolean }): Promise<Position>;
  presence<Meta = Record<string, unknown>>(room: string, options?: { meta?: Meta; join?: boolean }): Room<Meta>;
  typing(conversation: string): Conversation;
  history<Data = unknown>(
    pattern: string,
    options?: { since?: Position | null; limit?: number },
  ): Promise<{ events: PlemeEvent<Data>[]; position: Position; more: boolean }>;
  close(): void;
}

/** Tell whether a pattern covers a channel. */
export declare function covers(pattern: string, channel: string): boolean;
