import { existsSync, readdirSync, readFileSync } from 'node:fs';

export interface DocPage {
  readonly path: string;
  readonly contentType: string;
  readonly body: Buffer;
}

/** In the repository, and in the published package. */
const folders = [new URL('../../../../docs/', import.meta.url), new URL('docs/', import.meta.url)];

/** The pages of the documentation as text, and `/docs`, which lists them. Empty where they are not installed. */
export function docPages(): readonly DocPage[] {
  const folder = folders.find((each) => existsSync(each));
  const names = folder === undefined ? [] : readdirSync(folder).filter((name) => name.endsWith('.md'));
  const docs = names.sort().map((name) => {
    const body = readFileSync(new URL(name, folder));
    const title = /^# (.+)$/m.exec(body.toString())?.[1] ?? name;
    return { path: `/docs/${name}`, contentType: 'text/plain; charset=utf-8', body, title };
  });
  const rows = docs.map(({ path, title }) => `      <li><a href="${path}">${escapeHtml(title)}</a></li>`);
  const index = `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <meta name="viewport" content="width=device-width, initial-scale=1" />
    <meta name="color-scheme" content="light dark" />
    <title>Everywire: documentation</title>
    <link rel="icon" href="/page/icon.svg" type="image/svg+xml" />
    <link rel="stylesheet" href="/page/page.css" />
  </head>
  <body>
    <h1>Documentation</h1>
    <ul>
${rows.join('\n')}
    </ul>
    <p><a href="/">Everywire</a> · <a href="/openapi.json">OpenAPI</a></p>
  </body>
</html>
`;
  return [{ path: '/docs', contentType: 'text/html; charset=utf-8', body: Buffer.from(index) }, ...docs];
}

function escapeHtml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
