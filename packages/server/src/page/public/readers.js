/**
 * A reader follows one channel over one transport. `hear` is told `opened()`, `message(envelope)`, `gap(notice)` and
 * `lost()`; `hear.place()` is where to go on. After a loss it comes back by itself; `stop()` ends it for good.
 */

const comeBackMs = 1_000;
/** Below the server's bound, and below the minute after which proxies cut. */
const waitSeconds = 25;

/** Each level is encoded by itself, and `'` as well, so that the address can stand in a shell's quotes. */
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
  let timer;
  const open = () => {
    source = new EventSource(address(channel, { format: 'envelope', ...hear.place() }));
    source.onopen = () => hear.opened();
    source.onerror = () => {
      hear.lost();
      // It comes back by itself with Last-Event-ID, but gives up for good on an answer such as 503.
      if (source.readyState === EventSource.CLOSED) timer = setTimeout(open, comeBackMs);
    };
    source.addEventListener('everywire.gap', ({ data }) => hear.gap(JSON.parse(data)));
    for (const name of names) source.addEventListener(name, take);
  };
  const take = ({ data }) => hear.message(JSON.parse(data));
  const stop = () => {
    clearTimeout(timer);
    source.close();
  };
  open();
  return {
    stop,
    /** An EventSource only hears of events whose names it knows; going back to the cursor brings what it dropped. */
    learn(name) {
      if (names.has(name)) return;
      names.add(name);
      stop();
      open();
    },
  };
}

export function followWebSocket(channel, hear) {
  let socket;
  let timer;
  const open = () => {
    const path = address(channel, { format: 'envelope', ...hear.place() });
    socket = new WebSocket(location.origin.replace(/^http/, 'ws') + path);
    socket.onopen = () => hear.opened();
    socket.onmessage = ({ data }) => {
      const frame = JSON.parse(data);
      if (frame.op === 'gap') hear.gap(frame);
      else hear.message(frame);
    };
    socket.onclose = () => {
      hear.lost();
      timer = setTimeout(open, comeBackMs);
    };
  };
  open();
  return {
    stop() {
      clearTimeout(timer);
      // A socket that closes slowly may still bring messages, which the cursor would then bring again.
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.close();
    },
  };
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
      hear.lost();
      wait = {};
      await new Promise((resolve) => setTimeout(resolve, comeBackMs));
    }
  }
}

async function poll(url, signal) {
  const answer = await fetch(url, { signal, cache: 'no-store', headers: { Accept: 'application/json' } });
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.detail ?? body.title);
  return body;
}
