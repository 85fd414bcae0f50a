import { refusalOf, Refused, send, ticketQuery, waitForAdmission } from './admission.js';

/**
 * A reader follows one channel over one transport. It calls `hear.opened()`, `hear.message(envelope)`,
 * `hear.gap(notice)` and `hear.lost(why)`; `hear.place()` is the cursor to resume from. After a loss it comes back by
 * itself; `stop()` ends it for good. `why` is the server's reason for a refusal; without one, the server was not reached.
 */

const comeBackMs = 1_000;
/** Below the server's bound, and below the minute after which proxies cut. */
const waitSeconds = 25;

/** EventSource and WebSocket do not say why they failed: a plain request for the same channel does. */
async function whyRefused(channel) {
  try {
    const answer = await send(address(channel, { limit: 1 }), { cache: 'no-store' });
    return answer.ok || answer.status === 401 ? undefined : (await refusalOf(answer)).message;
  } catch {
    return undefined;
  }
}

/** Each level is encoded by itself, and `'` as well, so that a shell can quote the address. */
export function channelPath(channel) {
  const encode = (level) => encodeURIComponent(level).replaceAll("'", '%27');
  return `/channels/${channel.split('/').map(encode).join('/')}`;
}

function address(channel, query) {
  return `${channelPath(channel)}?${new URLSearchParams(query)}`;
}

export function followSse(channel, hear) {
  const names = new Set(['message']);
  let source;
  const attempts = new Attempts(hear, async () => {
    const ticket = await ticketQuery();
    return () => {
      source = new EventSource(address(channel, { format: 'envelope', ...hear.place(), ...ticket }));
      source.onopen = () => hear.opened();
      source.onerror = () => {
        hear.lost();
        // It comes back by itself with Last-Event-ID, but gives up for good on an answer such as 503, or 401 for a
        // ticket that was used.
        if (source.readyState === EventSource.CLOSED) attempts.failed(channel);
      };
      source.addEventListener('everywire.gap', ({ data }) => hear.gap(JSON.parse(data)));
      for (const name of names) source.addEventListener(name, take);
    };
  });
  const take = ({ data }) => hear.message(JSON.parse(data));
  const stop = () => {
    attempts.stop();
    source?.close();
  };
  attempts.begin();
  return {
    stop,
    /** An EventSource only hears of events whose names it knows; going back to the cursor brings what it dropped. */
    learn(name) {
      // The server sends these as `message`: EventSource dispatches them itself.
      if (names.has(name) || name === 'open' || name === 'error') return;
      names.add(name);
      stop();
      attempts.begin();
    },
  };
}

export function followWebSocket(channel, hear) {
  let socket;
  const attempts = new Attempts(hear, async () => {
    const ticket = await ticketQuery();
    return () => {
      const path = address(channel, { format: 'envelope', ...hear.place(), ...ticket });
      socket = new WebSocket(location.origin.replace(/^http/, 'ws') + path);
      socket.onopen = () => hear.opened();
      socket.onmessage = ({ data }) => {
        const frame = JSON.parse(data);
        if (frame.op === 'gap') hear.gap(frame);
        else hear.message(frame);
      };
      socket.onclose = () => {
        hear.lost();
        attempts.failed(channel);
      };
    };
  });
  attempts.begin();
  return {
    stop() {
      attempts.stop();
      if (socket === undefined) return;
      // A socket that closes slowly may still bring messages, which the cursor would then bring again.
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.close();
    },
  };
}

/** Tries to connect until it is stopped. `prepare` finds what is needed and gives back what then opens the connection. */
class Attempts {
  #hear;
  #prepare;
  #timer;
  /** Of the attempt that counts; one that is still being prepared when it is stopped opens nothing. */
  #turn = 0;

  constructor(hear, prepare) {
    this.#hear = hear;
    this.#prepare = prepare;
  }

  async begin() {
    this.#turn += 1;
    const turn = this.#turn;
    try {
      const open = await this.#prepare();
      if (turn === this.#turn) open();
    } catch (error) {
      if (turn !== this.#turn) return;
      console.warn('Connecting failed; trying again:', error);
      this.#hear.lost(error instanceof Refused ? error.message : undefined);
      this.again();
    }
  }

  /** The connection did not come about, or broke: says why, where the server does. */
  async failed(channel) {
    const turn = this.#turn;
    const why = await whyRefused(channel);
    if (turn !== this.#turn) return;
    if (why !== undefined) this.#hear.lost(why);
    this.again();
  }

  again() {
    this.#timer = setTimeout(() => void this.begin(), comeBackMs);
  }

  stop() {
    this.#turn += 1;
    clearTimeout(this.#timer);
  }
}

export function followLongPoll(channel, hear) {
  const ending = new AbortController();
  void pollOnAndOn(channel, hear, ending.signal);
  return { stop: () => ending.abort() };
}

async function pollOnAndOn(channel, hear, signal) {
  // The first request does not wait, so that it is known at once that the server answers.
  let wait = {};
  while (!signal.aborted) {
    try {
      await waitForAdmission();
      if (signal.aborted) return;
      const page = await poll(address(channel, { ...wait, ...hear.place() }), signal);
      if (signal.aborted) return;
      if (wait.wait === undefined) hear.opened();
      wait = { wait: `${waitSeconds}s` };
      if (page.gap !== undefined) hear.gap(page.gap);
      for (const message of page.messages) hear.message(message);
      hear.moved(page.cursor);
    } catch (error) {
      if (signal.aborted) return;
      console.warn('Long polling failed; trying again:', error);
      hear.lost(error instanceof Refused ? error.message : undefined);
      wait = {};
      await new Promise((resolve) => setTimeout(resolve, comeBackMs));
    }
  }
}

async function poll(url, signal) {
  const answer = await send(url, { signal, cache: 'no-store', headers: { Accept: 'application/json' } });
  if (!answer.ok) throw await refusalOf(answer);
  return answer.json();
}
