import assert from 'node:assert/strict';
import { JsonFault } from '@everywire/protocol';
import { checkDraft } from '../../../packages/server/src/core/log/drafts.ts';
import { defaultLimits } from '../../../packages/server/src/config/limits.ts';
import type { PublishDraft } from '../../../packages/server/src/core/seams/session-api.ts';
import { cloudEventDraft } from '@everywire/wires/webhook';
import { parseJsonBytes } from '../../../packages/server/src/http/json-bytes.ts';
import {
  draftOfRequest,
  entryOfBody,
  type PublishBody,
} from '../../../packages/server/src/http/publish-request.ts';
import type { Harness } from '../harness.ts';
import { takenOrRefused } from '../tools.ts';

const stamp = { id: '01JD0000000000000000000000', nowMs: 1_800_000_000_000, from: undefined };

/** What comes by HTTP to be published: fields, an empty line, a body. The first line of the fields may be a content type. */
export const harness: Harness = {
  name: 'http-publish',
  inputBytesMax: 700,
  seeds: [
    'content-type: application/json\neverywire-event: greeting\neverywire-ttl: 60s\neverywire-meta-lang: ko\nidempotency-key: k1\neverywire-retain: true\n\n{"a":1}',
    'content-type: application/cloudevents+json\n\n{"specversion":"1.0","id":"1","source":"/s","type":"t","data":{"a":1},"subject":"x","sequence":5,"ok":true}',
    'content-type: application/cloudevents+json\n\n{"specversion":"1.0","id":"1","source":"/s","type":"everywire.message","datacontenttype":"text/plain","data":"hi"}',
    'content-type: application/cloudevents+json\n\n{"specversion":"1.0","id":"1","source":"/s","type":"t","data_base64":"AAEC"}',
    'content-type: application/cloudevents-batch+json\n\n[]',
    'content-type: text/plain\nce-specversion: 1.0\nce-id: 1\nce-source: /s%20x\nce-type: t\nce-name: %F0%9F%98%80\n\nbody',
    'content-type: x/publish\n\n[{"channel":"a","data":{"x":[1]},"event":"e","headers":{"h":"v"},"key":"k","retain":true,"ttl":60},{"channel":"b","base64":"AAEC","type":"image/png"},{"channel":"c","data":"text","type":"text/plain"}]',
    'everywire-meta-__proto__: x\n\n\u0000\u0001',
  ],
  dictionary: [
    'ce-',
    'specversion',
    'data_base64',
    'datacontenttype',
    '"data"',
    'everywire-',
    'everywire-meta-',
    '%ED%A0%80',
    '\n\n',
  ],
  run: (input) => {
    const text = input.toString('latin1');
    const end = text.indexOf('\n\n');
    const head = end < 0 ? text : text.slice(0, end);
    const body = end < 0 ? Buffer.alloc(0) : input.subarray(end + 2);
    const rawHeaders: string[] = [];
    const fields = new Map<string, string>();
    for (const line of head.split('\n')) {
      const colon = line.indexOf(':');
      if (colon < 1) continue;
      const name = line.slice(0, colon).toLowerCase();
      const value = line.slice(colon + 1).trim();
      rawHeaders.push(name, value);
      if (!fields.has(name)) fields.set(name, value);
    }
    const headers = Object.fromEntries(fields);
    let taken = 0;
    const check = (draft: PublishDraft | undefined): void => {
      if (draft === undefined) return;
      const checked = takenOrRefused(() => checkDraft(draft, stamp, defaultLimits));
      if (checked === undefined) return;
      taken += 1;
      for (const [name] of checked.headers ?? []) assert.doesNotMatch(name, /^everywire-/i);
      if (checked.expiresAtMs !== undefined) assert.ok(checked.expiresAtMs > stamp.nowMs);
    };
    check(takenOrRefused(() => draftOfRequest({ headers, rawHeaders }, body)));
    check(takenOrRefused(() => cloudEventDraft(headers, body, defaultLimits)));
    for (const [at, entry] of entriesOf(body).entries())
      check(takenOrRefused(() => entryOfBody(entry, at).draft));
    return taken > 0;
  },
};

/** Entries of `POST /publish` that have the shape which its schema asks for. */
function entriesOf(body: Buffer): readonly PublishBody[] {
  const parsed = parseJsonBytes(body, {
    depthMax: defaultLimits.jsonDepthMax,
    isRaw: (name, depth) => name === 'data' && depth === 2,
  });
  if (parsed instanceof JsonFault || !Array.isArray(parsed)) return [];
  return (parsed as unknown[]).filter((entry): entry is PublishBody => {
    if (entry === null || typeof entry !== 'object' || Array.isArray(entry)) return false;
    const { channel, base64, type, event, headers, key, retain, ttl } = entry as Record<string, unknown>;
    const isText = (value: unknown): boolean => value === undefined || typeof value === 'string';
    return (
      typeof channel === 'string' &&
      [base64, type, event, key].every(isText) &&
      (retain === undefined || typeof retain === 'boolean') &&
      (ttl === undefined || typeof ttl === 'string' || typeof ttl === 'number') &&
      (headers === undefined ||
        (headers !== null &&
          typeof headers === 'object' &&
          !Array.isArray(headers) &&
          Object.values(headers).every((value) => typeof value === 'string')))
    );
  });
}
