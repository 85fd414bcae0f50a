import { channelPath } from './readers.js';

/** Every way in, in the order of the tabs, with a line for a shell. `curl` may show a token; `npx everywire` reads it from the environment. */
const ways = [
  ['poll', ({ curl, url }) => `${curl} '${url}'`, 'polling'],
  ['longpoll', ({ curl, url }) => `${curl} '${url}?wait=30s'`, 'polling'],
  ['stream', ({ curl, url }) => `${curl} -N -H 'Accept: application/x-ndjson' '${url}'`, 'stream'],
  ['sse', ({ curl, url }) => `${curl} -N -H 'Accept: text/event-stream' '${url}'`, 'sse'],
  ['websocket', ({ subscribe }) => subscribe('ws'), 'websocket'],
  ['multiplex', ({ subscribe }) => subscribe('ws', '/**'), 'websocket'],
  ['socketio', ({ subscribe }) => subscribe('sio+http'), 'socketio'],
  ['stomp', ({ subscribe }) => subscribe('stomp+ws'), 'stomp'],
  ['mqtt', ({ subscribe }) => subscribe('mqtt+ws'), 'mqtt'],
  [
    'grpc',
    ({ curl, origin, channel }) =>
      `${curl} -H 'Content-Type: application/json' -d '${JSON.stringify({ channel, since: 'earliest' })}' ${origin}/everywire.v1.Messaging/Read`,
    'grpc',
  ],
  [
    'webhook',
    ({ curl, origin, channel }) =>
      `${curl} -H 'Content-Type: application/json' -d '${JSON.stringify({ url: 'https://example.com/hook', filter: channel })}' ${origin}/webhooks`,
    'webhooks',
  ],
];

/** The tabs with all the ways (WAI-ARIA: arrow keys move between tabs). */
export class Ways {
  #page;
  #parts;
  #tabs = [];
  #chosen = 0;
  #channel = '';

  constructor(page, element) {
    this.#page = page;
    this.#parts = {
      list: element.querySelector('[role=tablist]'),
      panel: element.querySelector('[role=tabpanel]'),
      about: element.querySelector('.about'),
      docs: element.querySelector('.docs'),
    };
    this.#parts.line = page.commandLine(element.querySelector('.command'));
    for (const [index, [name]] of ways.entries()) {
      const tab = document.createElement('button');
      tab.type = 'button';
      tab.id = `way-${name}`;
      tab.setAttribute('role', 'tab');
      tab.setAttribute('aria-controls', 'way');
      tab.addEventListener('click', () => this.#choose(index));
      tab.addEventListener('keydown', (event) => this.#move(event));
      this.#tabs.push(tab);
    }
    this.#parts.list.append(...this.#tabs);
  }

  /** Writes everything again, as after a change of language or channel. */
  show(channel) {
    this.#channel = channel;
    const page = this.#page;
    const [name, lineOf, docs] = ways[this.#chosen];
    for (const [index, [each]] of ways.entries()) {
      const tab = this.#tabs[index];
      tab.textContent = page.say(`${each}Tab`);
      tab.setAttribute('aria-selected', String(index === this.#chosen));
      tab.tabIndex = index === this.#chosen ? 0 : -1;
    }
    const { panel, about, docs: link, line } = this.#parts;
    panel.setAttribute('aria-labelledby', `way-${name}`);
    about.textContent = page.say(`${name}About`);
    link.textContent = page.say('docsOf', { name: page.say(`${name}Tab`) });
    link.href = `/docs/${docs}.md`;
    const path = channelPath(channel);
    const { origin } = location;
    line.show(
      lineOf({
        curl: page.curl(),
        origin,
        // A quote in a line for a shell would end its argument.
        channel: channel.replaceAll("'", ''),
        url: `${origin}${path}`,
        subscribe: (scheme, more = '') =>
          `npx everywire subscribe '${schemeUrl(scheme, origin, path)}${more}'`,
      }),
    );
  }

  #choose(index) {
    this.#chosen = index;
    this.show(this.#channel);
    this.#tabs[index].focus();
  }

  #move(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const end = { Home: 0, End: ways.length - 1 }[event.key];
    if (step === undefined && end === undefined) return;
    event.preventDefault();
    this.#choose(end ?? (this.#chosen + step + ways.length) % ways.length);
  }
}

/** On the command line the path is the channel, and the scheme picks the transport. */
function schemeUrl(scheme, origin, path) {
  const secure = origin.startsWith('https:') ? 's' : '';
  return `${scheme}${secure}${origin.slice(origin.indexOf(':'))}${path.slice('/channels'.length)}`;
}
