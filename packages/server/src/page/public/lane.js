import { channelPath } from './readers.js';

const rowsMax = 50;
/** Messages from before the page was opened, for a start. */
const firstPlace = { since: 'last-3' };

/** One transport on the page: its messages, its cursor, and a button to cut it. */
export class Lane {
  #page;
  #name;
  #transport;
  #follow;
  #parts;
  #reader;
  #channel;
  #state;
  #cursor;
  #received;
  #missing;
  #lastOffset;
  #latencyMs;
  #openedAtMs;
  /** The server's reason while it refuses this lane. */
  #why;

  /** `page` says texts, and knows when what was published here was sent. */
  constructor(page, { transport, name, follow }) {
    this.#page = page;
    this.#transport = transport;
    this.#name = name;
    this.#follow = follow;
    const element = document.querySelector('#lane').content.firstElementChild.cloneNode(true);
    element.dataset.transport = transport;
    this.element = element;
    this.#parts = Object.fromEntries(
      ['state', 'cut', 'why', 'about', 'received', 'latency', 'missing', 'cursor', 'messages', 'command'].map(
        (part) => [part, element.querySelector(`.${part}`)],
      ),
    );
    this.#parts.cut.addEventListener('click', () =>
      this.#reader === undefined ? this.connect() : this.cut(),
    );
    this.#parts.line = page.commandLine(this.#parts.command);
  }

  /** Begins anew on a channel. */
  begin(channel) {
    this.#reader?.stop();
    this.#reader = undefined;
    this.#channel = channel;
    this.#cursor = undefined;
    this.#received = 0;
    this.#missing = 0;
    this.#lastOffset = undefined;
    this.#latencyMs = undefined;
    this.#parts.messages.replaceChildren();
    this.connect();
  }

  connect() {
    this.#become('connecting');
    const reader = this.#follow(this.#channel, {
      place: () => (this.#cursor === undefined ? firstPlace : { after: this.#cursor }),
      opened: () => {
        this.#openedAtMs = performance.now();
        this.#become('live');
      },
      lost: (why) => this.#become(why === undefined ? 'connecting' : 'refused', why),
      message: (envelope) => this.#take(envelope),
      gap: (notice) => this.#takeGap(notice),
      moved: (cursor) => {
        this.#cursor = cursor;
        this.show();
      },
    });
    this.#reader = reader;
    this.show();
  }

  cut() {
    this.#reader.stop();
    this.#reader = undefined;
    this.#become('cut');
  }

  learn(eventName) {
    this.#reader?.learn?.(eventName);
  }

  /** Writes everything again, as after a change of language. */
  show() {
    const page = this.#page;
    const parts = this.#parts;
    const name = page.say(this.#name);
    const isCut = this.#reader === undefined;
    this.element.dataset.state = this.#state;
    this.element.querySelector('h3').textContent = name;
    parts.state.textContent = page.say(this.#state === 'refused' ? 'refusedState' : this.#state);
    parts.why.textContent = this.#why ?? '';
    parts.about.textContent = page.say(this.#transport);
    parts.cut.textContent = page.say(isCut ? 'doReconnect' : 'doCut');
    parts.cut.setAttribute('aria-label', page.say(isCut ? 'reconnectOf' : 'cutOf', { name }));
    parts.received.textContent = String(this.#received);
    parts.latency.textContent = this.#latencyMs === undefined ? '–' : page.duration(this.#latencyMs);
    parts.missing.textContent = String(this.#missing);
    parts.missing.classList.toggle('bad', this.#missing > 0);
    parts.cursor.textContent = this.#cursor ?? '–';
    parts.messages.setAttribute('aria-label', page.say('messagesOf', { name }));
    parts.messages.dataset.empty = page.say('empty');
    for (const row of parts.messages.querySelectorAll('.from-log')) row.textContent = page.say('caughtUp');
    parts.line.show(this.#tryIt());
  }

  #become(state, why) {
    // While it tries again, the last refusal is still all that is known.
    if (state === 'connecting' && this.#state === 'refused' && this.#reader !== undefined) return;
    this.#state = state;
    this.#why = why;
    this.show();
  }

  #take(envelope) {
    const { offset, cursor } = envelope;
    // Offsets have no holes, so the page can tell by itself whether something is missing.
    if (this.#lastOffset !== undefined) this.#missing += Math.max(0, offset - this.#lastOffset - 1);
    this.#lastOffset = offset;
    this.#cursor = cursor;
    this.#received += 1;
    const { data, base64 } = envelope;
    this.#addRow(
      `${offset}`,
      base64 ?? (typeof data === 'string' ? data : JSON.stringify(data)),
      this.#whenOf(envelope),
    );
    this.#pulse();
    this.show();
    if (envelope.event !== undefined) this.#page.learn(envelope.event);
  }

  /** The latency of what this page sent, the time of what others did, `undefined` for what waited in the log. */
  #whenOf(envelope) {
    const sentAtMs = this.#page.sentAtMs(envelope);
    if (sentAtMs === undefined) {
      const publishedAtMs = Date.parse(envelope.time) - performance.timeOrigin;
      return publishedAtMs < this.#openedAtMs ? undefined : new Date(envelope.time).toLocaleTimeString();
    }
    if (sentAtMs < this.#openedAtMs) return undefined;
    this.#latencyMs = performance.now() - sentAtMs;
    return this.#page.duration(this.#latencyMs);
  }

  #takeGap(notice) {
    this.#cursor = notice.cursor;
    this.#lastOffset = notice.to;
    this.#addRow('!', this.#page.say('gap', notice), '', 'gap');
    this.show();
  }

  /** `when` undefined: it came out of the log, where it had waited. */
  #addRow(number, text, when, kind = 'row') {
    const row = document.createElement('li');
    row.className = kind;
    const cells = [
      ['b', number, 'number'],
      ['span', text, 'text'],
      ['i', when ?? this.#page.say('caughtUp'), when === undefined ? 'from-log' : 'when'],
    ];
    for (const [tag, content, className] of cells) {
      const cell = document.createElement(tag);
      cell.textContent = content;
      cell.className = className;
      row.append(cell);
    }
    this.#parts.messages.prepend(row);
    while (this.#parts.messages.children.length > rowsMax) this.#parts.messages.lastElementChild.remove();
  }

  #pulse() {
    const wire = this.element.querySelector('.wire i');
    wire.classList.remove('pulse');
    // The animation only begins again once the style without it has been computed.
    void wire.offsetWidth;
    wire.classList.add('pulse');
  }

  /** The same place in a shell. */
  #tryIt() {
    const after = this.#cursor === undefined ? '' : `after=${this.#cursor}`;
    const url = `${location.origin}${channelPath(this.#channel)}`;
    switch (this.#transport) {
      case 'sse':
        return `${this.#page.curl()} -N -H 'Accept: text/event-stream' '${url}${after && `?${after}`}'`;
      case 'longpoll':
        return `${this.#page.curl()} '${url}?wait=30s${after && `&${after}`}'`;
      default: {
        const target = url.replace(/^http/, 'ws').replace('/channels/', '/');
        return `npx everywire subscribe ${after && `--${after.replace('=', ' ')} `}'${target}'`;
      }
    }
  }
}
