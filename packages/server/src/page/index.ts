import { readFileSync } from 'node:fs';
import { docPages } from './docs.ts';

/** A document that the HTTP front serves as it is. */
export interface FixedPage {
  readonly path: string;
  readonly contentType: string;
  readonly body: Buffer;
  /** Further header fields. */
  readonly headers: Readonly<Record<string, string>>;
}

/**
 * No source from elsewhere and no inline code, so a message can only be text on this page (CSP 3). `'self'` in
 * connect-src covers the WebSocket of the same origin too (CSP 3 §6.7.2.8).
 */
const contentSecurityPolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

const headers = { 'Content-Security-Policy': contentSecurityPolicy, 'Referrer-Policy': 'no-referrer' };

const files: readonly (readonly [path: string, file: string, contentType: string])[] = [
  ['/', 'index.html', 'text/html; charset=utf-8'],
  ['/page/page.css', 'page.css', 'text/css; charset=utf-8'],
  ['/page/page.js', 'page.js', 'text/javascript; charset=utf-8'],
  ['/page/admission.js', 'admission.js', 'text/javascript; charset=utf-8'],
  ['/page/lane.js', 'lane.js', 'text/javascript; charset=utf-8'],
  ['/page/readers.js', 'readers.js', 'text/javascript; charset=utf-8'],
  ['/page/ways.js', 'ways.js', 'text/javascript; charset=utf-8'],
  ['/page/texts.js', 'texts.js', 'text/javascript; charset=utf-8'],
  ['/page/icon.svg', 'icon.svg', 'image/svg+xml'],
];

/** The welcome page: it publishes, and shows the message arrive over three transports side by side. */
export function pages(): readonly FixedPage[] {
  const own = files.map(([path, file, contentType]) => {
    return { path, contentType, body: readFileSync(new URL(`public/${file}`, import.meta.url)) };
  });
  return [...own, ...docPages()].map((page) => ({ ...page, headers }));
}
