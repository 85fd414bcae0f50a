import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

const source = (path: string): string => JSON.stringify(new URL(`../src/${path}`, import.meta.url).href);

/** Runs without what Node has and browsers have not; `tsc -p packages/protocol` checks the types alike. */
const program = `
for (const name of ['Buffer', 'process', 'global', 'setImmediate', 'clearImmediate']) delete globalThis[name];
const core = await import(${source('index.ts')});
const http = await import(${source('http/index.ts')});
const v1 = await import(${source('everywire-v1/index.ts')});

const payload = new Uint8Array([0, 255, 128]);
const fields = { channel: 'a', offset: 1, cursor: 'c', id: 'i', timeMs: 0, type: 'image/png' };
const envelope = core.writeEnvelope(fields, core.payloadMember(fields.type, payload));
const event = new TextEncoder().encode(http.sseMessage('c', undefined, envelope));
const [item] = new http.SseReader().push(event).map((one) => http.sseItem(one, core.parseExactly));
const command = v1.parseCommand('{"id":1,"op":"publish","channel":"a","data":1.0}', { jsonDepthMax: 8 });
core.checkChannel('방/'.repeat(15), { nameBytesMax: 255, nameLevelsMax: 16 });
console.log(JSON.stringify({
  payload: [...core.payloadOf(item.envelope)],
  data: command.publication.payload,
  comeBack: core.comeBackAfter({ closeCode: 1013 }),
}));
`;

test('everything runs without Node', async () => {
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', program]);
  expect(JSON.parse(stdout)).toEqual({
    payload: [0, 255, 128],
    data: { kind: 'json', text: '1.0' },
    comeBack: 'later',
  });
});
