/**
 * How this page is admitted. While authentication is off it does nothing. Otherwise requests carry the token that the
 * user typed in, and everything waits for that. It stays in the memory of the page.
 */

let token;
/** The token is valid, or none is needed. Unknown before the server has answered. */
let isOpen = false;
let isWanted = false;
let tellWanted = () => undefined;
let admit;
let admitted = new Promise((resolve) => (admit = resolve));

/** An answer of the server that is a refusal. */
export class Refused extends Error {}

export async function refusalOf(answer) {
  const { detail, title } = await answer.json();
  return new Refused(detail ?? title);
}

export const hasToken = () => token !== undefined;

/** `listener` learns whether a token is wanted: there is no token, or it is no longer valid. */
export function onTokenWanted(listener) {
  tellWanted = listener;
}

export function useToken(text) {
  token = text.trim();
  open();
}

/** Asks once, so that the readers need not find out by being refused. */
export async function findOut(url) {
  try {
    const answer = await send(url);
    if (answer.status !== 401) open();
  } catch (error) {
    console.warn('The server cannot be reached:', error);
    // The readers try again by themselves.
    open();
  }
}

/** `fetch` with what this page has to show. */
export async function send(url, init = {}) {
  const shown = token;
  const headers = { ...init.headers, ...(shown === undefined ? {} : { Authorization: `Bearer ${shown}` }) };
  const answer = await fetch(url, { ...init, headers });
  // Another token may have come while this one was refused.
  if (answer.status === 401 && shown === token) close();
  return answer;
}

/** Resolves when there is something to show, or nothing needs to be. */
export async function waitForAdmission() {
  // It may have been refused again before its turn came.
  while (!isOpen) await admitted;
}

/** For what cannot set a header: the query that opens one EventSource or WebSocket. */
export async function ticketQuery() {
  await waitForAdmission();
  if (token === undefined) return {};
  const answer = await send('/tickets', { method: 'POST' });
  if (!answer.ok) throw await refusalOf(answer);
  const { ticket } = await answer.json();
  return { ticket };
}

function open() {
  isOpen = true;
  admit();
  tell(false);
}

function close() {
  if (isOpen) admitted = new Promise((resolve) => (admit = resolve));
  isOpen = false;
  tell(true);
}

function tell(wanted) {
  if (wanted === isWanted) return;
  isWanted = wanted;
  tellWanted(wanted);
}
