import { findOut, hasToken, onTokenWanted, send, useToken } from './admission.js';
import { Lane } from './lane.js';
import { channelPath, followLongPoll, followSse, followWebSocket } from './readers.js';
import { Ways } from './ways.js';
import { rememberedLanguage, rememberLanguage, say } from './texts.js';

/** Carries the name under which this page knows when it sent a message. */
const markHeader = 'page-message';
const marksMax = 1_000;

const find = (selector) => document.querySelector(selector);
const channelInput = find('#channel');
const messageInput = find('#message');
const receipt = find('#receipt');
const tokenInput = find('#token');
/** Cheap, and refused without a token while authentication is on. */
const probe = '/channels?limit=1';

let language = rememberedLanguage();
/** The text of the status line, so that it can be repeated in the other language. */
let told;
const sentAtMs = new Map();

const page = {
  say: (key, values) => say(language, key, values),
  duration: (durationMs) => `${durationMs.toFixed(durationMs < 10 ? 1 : 0)} ms`,
  sentAtMs: ({ headers }) => sentAtMs.get(headers?.[markHeader]),
  commandLine,
  curl,
  learn: (eventName) => lanes.forEach((lane) => lane.learn(eventName)),
};

const publishLine = commandLine(find('#publish-command'));
const lanes = [
  new Lane(page, { transport: 'sse', name: 'sseName', follow: followSse }),
  new Lane(page, { transport: 'websocket', name: 'websocketName', follow: followWebSocket }),
  new Lane(page, { transport: 'longpoll', name: 'longpollName', follow: followLongPoll }),
];

const ways = new Ways(page, find('#ways'));

/** The beginning of a command line; the token itself is nothing for a shell's history. */
function curl() {
  return hasToken() ? 'curl -H "Authorization: Bearer $EVERYWIRE_TOKEN"' : 'curl';
}

/** A line for a shell with a button that copies it. */
function commandLine(place) {
  const code = document.createElement('code');
  const button = document.createElement('button');
  button.type = 'button';
  place.append(code, button);
  button.addEventListener('click', async () => {
    try {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = page.say('copied');
    } catch (error) {
      // Only secure origins have a clipboard; a selection can still be copied by hand.
      console.warn('The clipboard is not available:', error);
      getSelection().selectAllChildren(code);
    }
  });
  return {
    show(text) {
      code.textContent = text;
      button.textContent = page.say('copy');
    },
  };
}

/** A new mark, and from when. */
function noteSent() {
  const mark = crypto.randomUUID?.() ?? `${performance.timeOrigin + performance.now()}`;
  if (sentAtMs.size >= marksMax) sentAtMs.delete(sentAtMs.keys().next().value);
  sentAtMs.set(mark, performance.now());
  return mark;
}

async function publish(text) {
  const mark = noteSent();
  const answer = await send(channelPath(channelInput.value), {
    method: 'POST',
    headers: {
      'Content-Type': 'text/plain; charset=utf-8',
      'Idempotency-Key': mark,
      [`Everywire-Meta-${markHeader}`]: mark,
    },
    body: text,
  });
  return [await answer.json()];
}

/** One request, whose messages are stored in the order that they have in it. */
async function publishBatch(texts) {
  const channel = channelInput.value;
  const messages = texts.map((data) => {
    const mark = noteSent();
    const type = 'text/plain; charset=utf-8';
    return { channel, data, type, key: mark, headers: { [markHeader]: mark } };
  });
  const answer = await send('/publish', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(messages),
  });
  const body = await answer.json();
  return Array.isArray(body) ? body : [body];
}

/** Publishes, and tells how that went. */
async function publishAll(texts) {
  const beganAtMs = performance.now();
  try {
    const answers = await (texts.length === 1 ? publish(texts[0]) : publishBatch(texts));
    const refusal = answers.find(({ offset }) => offset === undefined);
    if (refusal !== undefined) tell('refused', { why: refusal.detail ?? refusal.title });
    else {
      const offset = Math.max(...answers.map((answer) => answer.offset));
      const took = page.duration(performance.now() - beganAtMs);
      tell(texts.length === 1 ? 'stored' : 'storedMany', { offset, took });
    }
  } catch (error) {
    console.warn('Publishing failed:', error);
    tell('unreachable');
  }
}

function tell(key, values) {
  told = { key, values };
  receipt.className = key === 'stored' || key === 'storedMany' ? 'receipt good' : 'receipt bad';
  receipt.textContent = page.say(key, values);
}

function show() {
  document.documentElement.lang = language;
  for (const element of document.querySelectorAll('[data-text]')) {
    element.textContent = page.say(element.dataset.text);
  }
  for (const button of document.querySelectorAll('[data-language]')) {
    button.setAttribute('aria-pressed', String(button.dataset.language === language));
  }
  if (told !== undefined) receipt.textContent = page.say(told.key, told.values);
  publishLine.show(`${curl()} -d hello '${location.origin}${channelPath(channelInput.value)}'`);
  lanes.forEach((lane) => lane.show());
  ways.show(channelInput.value);
}

function begin() {
  lanes.forEach((lane) => lane.begin(channelInput.value));
  show();
}

for (const button of document.querySelectorAll('[data-language]')) {
  button.addEventListener('click', () => {
    language = button.dataset.language;
    rememberLanguage(language);
    show();
  });
}
find('#publish').addEventListener('submit', (event) => {
  event.preventDefault();
  void publishAll([messageInput.value]);
  messageInput.select();
});
find('#burst').addEventListener('click', () => {
  void publishAll(Array.from({ length: 10 }, (_, index) => `${messageInput.value} ${index + 1}`));
});
channelInput.addEventListener('change', () => {
  if (channelInput.reportValidity()) begin();
});

find('#admission').addEventListener('submit', (event) => {
  event.preventDefault();
  useToken(tokenInput.value);
  tokenInput.value = '';
  void findOut(probe);
  show();
});
onTokenWanted((isWanted) => {
  find('#admission').closest('.card').hidden = !isWanted;
  if (isWanted) tokenInput.focus();
});

channelInput.value = new URLSearchParams(location.search).get('channel') ?? 'demo';
messageInput.value = page.say('firstMessage');
find('#lanes').append(...lanes.map((lane) => lane.element));
begin();
void findOut(probe);
