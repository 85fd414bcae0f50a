import { describe, expect, it } from 'vitest';
import { pages } from '../../src/page/index.ts';

const served = new Map(pages().map((page) => [page.path, page]));
const html = served.get('/')!.body.toString();

interface Texts {
  readonly texts: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
}
// A name that the compiler does not follow: what runs in browsers has no types.
const textsFile: string = new URL('../../src/page/public/texts.js', import.meta.url).href;
const { texts } = (await import(textsFile)) as Texts;

describe('the welcome page', () => {
  it('requests only files that the server serves', () => {
    const wanted = new Set(
      // The pages of the documentation are text, with examples for other programs.
      [...served.values()]
        .filter(({ contentType }) => !contentType.startsWith('text/plain'))
        .flatMap(({ body }) =>
          [...body.toString().matchAll(/(?:src=|href=|from )["']([^"']+)["']/g)].map((match) =>
            match[1]!.replace(/^\.\//, '/page/'),
          ),
        ),
    );
    const apiPaths = ['/openapi.json', '/metrics', '/readyz', '/channels'];
    expect([...wanted].filter((path) => !served.has(path)).sort()).toEqual(apiPaths.sort());
    expect([...served.keys()].filter((path) => path !== '/' && !wanted.has(path))).toEqual([]);
  });

  it('has the documentation, and its list leads to each page', () => {
    const list = served.get('/docs')!.body.toString();
    const docs = [...served.keys()].filter((path) => path.startsWith('/docs/'));
    expect(docs.length).toBeGreaterThan(15);
    for (const path of docs) expect(list).toContain(`<a href="${path}">`);
  });

  it('has no inline script and no inline style, which its content security policy forbids', () => {
    expect(html).not.toMatch(/<script(?![^>]*\ssrc=)|<style|\sstyle=|\son\w+=|javascript:/i);
    for (const { headers } of served.values()) {
      const policy = headers['Content-Security-Policy'];
      expect(policy).toContain("default-src 'none'");
      expect(policy).not.toMatch(/unsafe|\*|data:|https?:/);
    }
  });

  it('says the same things in both languages', () => {
    const { en, ko } = texts;
    expect(Object.keys(ko!)).toEqual(Object.keys(en!));
    for (const [key, text] of Object.entries(en!)) expect(typeof ko![key], key).toBe(typeof text);
    const named = [...html.matchAll(/data-text="([^"]+)"/g)].map((match) => match[1]!);
    expect(named.filter((key) => typeof en![key] !== 'string')).toEqual([]);
  });
});
