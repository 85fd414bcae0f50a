import { everywireProtocol, writeCommand } from '@everywire/protocol/everywire-v1';
import { adapterLimits, type CheckedOptions } from './options.ts';
import { currentToken, refreshInMs } from './token.ts';

/** Nothing is called after `lost`, or after the connection was closed from this side. */
export interface ConnectionEvents {
  opened(): void;
  received(text: string): void;
  /** @param closeCode absent when this side noticed first */
  lost(reason: string, closeCode?: number): void;
}

const refreshMsMin = 500;

/** One WebSocket to Everywire. It notices when the server is silent, and renews its token before the token ends. */
export class Connection {
  readonly #options: CheckedOptions;
  readonly #events: ConnectionEvents;
  readonly #socket: WebSocket;
  #isClosed = false;
  #heardSincePing = true;
  readonly #connectTimer: NodeJS.Timeout;
  #pingTimer: NodeJS.Timeout | undefined;
  #refreshTimer: NodeJS.Timeout | undefined;

  constructor(options: CheckedOptions, token: string | undefined, events: ConnectionEvents) {
    this.#options = options;
    this.#events = events;
    const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
    const url = `${options.url.replace(/^http/, 'ws')}/ws`;
    const socket = (this.#socket = new WebSocket(url, { protocols: [everywireProtocol], headers }));
    this.#connectTimer = setTimeout(
      () => this.#lost('the connection attempt timed out'),
      adapterLimits.connectTimeoutMs,
    );
    socket.onopen = () => {
      clearTimeout(this.#connectTimer);
      this.#pingTimer = setInterval(() => this.#ping(), adapterLimits.pingEveryMs);
      this.#refreshBeforeEnd(token);
      this.#events.opened();
    };
    socket.onmessage = ({ data }) => {
      this.#heardSincePing = true;
      if (typeof data === 'string') this.#events.received(data);
    };
    socket.onclose = ({ code, reason }) => {
      this.#lost(`the connection ended with ${code} ${reason}`.trimEnd(), code);
    };
  }

  send(text: string): void {
    this.#socket.send(text);
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#connectTimer);
    clearInterval(this.#pingTimer);
    clearTimeout(this.#refreshTimer);
    const socket = this.#socket;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }

  #lost(reason: string, closeCode?: number): void {
    this.close();
    this.#events.lost(reason, closeCode);
  }

  #ping(): void {
    if (!this.#heardSincePing) {
      this.#lost('the server was silent for too long');
      return;
    }
    this.#heardSincePing = false;
    this.send(writeCommand({ op: 'ping', id: '"ping"' }));
  }

  /** The connection ends with its token, so the next token is sent before. */
  #refreshBeforeEnd(token: string | undefined): void {
    if (typeof this.#options.token !== 'function' || token === undefined) return;
    const inMs = refreshInMs(token, Date.now());
    if (inMs === undefined) return;
    clearTimeout(this.#refreshTimer);
    this.#refreshTimer = setTimeout(() => void this.#refresh(), Math.max(inMs, refreshMsMin));
  }

  async #refresh(): Promise<void> {
    try {
      const token = (await currentToken(this.#options.token))!;
      if (this.#isClosed) return;
      this.send(writeCommand({ op: 'auth', id: '"auth"', token }));
      this.#refreshBeforeEnd(token);
    } catch (cause) {
      if (this.#isClosed) return;
      const detail = 'The token function failed; it is called again before the token ends.';
      this.#options.onProblem({ kind: 'refused', detail, cause });
      this.#refreshTimer = setTimeout(() => void this.#refresh(), adapterLimits.backoffMsMax);
    }
  }
}
