import { describe, expect, test } from 'vitest';
import { runCampaign, type Result } from './engine/campaign.ts';
import type { Job } from './engine/messages.ts';
import { harnessFile, harnessNames, regressionsOf } from './harnesses.ts';

/**
 * Every decoder, for a moment, from the same seed: what broke it once, and some thousands of new inputs. Deep is what
 * `npm run fuzz` is for. Above it the engine itself: it finds what is planted, because it is guided.
 */

const job = (name: string, file: string, more: Partial<Job> = {}): Job => ({
  name,
  file,
  inputs: [],
  seed: 1,
  runsMax: undefined,
  durationMsMax: 60_000,
  isGuided: true,
  ...more,
});

const summary = ({ findings }: Result) => findings.map(({ kind, signature }) => `${kind}: ${signature}`);

describe('the engine', () => {
  const nested = (more: Partial<Job>) =>
    job('nested', 'test/fuzz/planted/nested-harness.ts', { runsMax: 250_000, ...more });

  test('finds a fault behind six right bytes, which chance alone does not; the same run gives the same', async () => {
    const jobs = [nested({}), nested({ name: 'again' }), nested({ name: 'unguided', isGuided: false })];
    const [guided, again, unguided] = await runCampaign(jobs);
    expect(summary(guided!)).toEqual(['exception: RangeError at nested-branches.ts:22']);
    expect(Buffer.from(guided!.findings[0]!.input)).toEqual(
      Buffer.from([0xc3, 0x17, 0x9a, 0x5e, 0xe1, 0x2d]),
    );
    expect(again!.report?.corpusDigest).toBe(guided!.report?.corpusDigest);
    expect(again!.report?.runs).toBe(guided!.report?.runs);
    expect(summary(unguided!)).toEqual([]);
    expect(guided!.report!.branchesTaken).toBeGreaterThan(unguided!.report!.branchesTaken);
  }, 120_000);

  test('reports an input that is slow, pollutes, never ends, takes all memory, ends the thread or grows, and continues with the rest', async () => {
    const faulty = (word: string) =>
      job(word, 'test/fuzz/planted/faults-harness.ts', { inputs: [Buffer.from(word)], runsMax: 1 });
    const words = ['slow', 'pollute', 'hang', 'explode', 'exit', 'fine'];
    const leak = job('leak', 'test/fuzz/planted/leak-harness.ts', { runsMax: 3_000 });
    const results = await runCampaign([...words.map(faulty), leak], { hangMs: 5_000 });
    const told = results.map(({ name, findings }) =>
      [name, ...findings.map(({ kind, input }) => `${kind} ${Buffer.from(input).toString()}`)].join(': '),
    );
    expect(told).toEqual([
      'slow: slow slow',
      'pollute: pollution pollute',
      'hang: hang hang',
      'explode: memory explode',
      'exit: exception exit',
      'fine',
      // No single input is to blame.
      'leak: memory ',
    ]);
  }, 120_000);
});

test('no decoder fails, hangs, grows or breaks a promise', async () => {
  const names = harnessNames();
  const results = await runCampaign(
    names.map((name) => job(name, harnessFile(name), { inputs: regressionsOf(name) })),
  );
  expect(results.map(({ name }) => name)).toEqual(names);
  const findings = results.flatMap(({ name, findings }) =>
    findings.map(({ kind, detail, input }) => ({
      name,
      kind,
      detail,
      input: Buffer.from(input).toString('base64'),
    })),
  );
  expect(findings).toEqual([]);
  // A harness whose inputs are all refused at the door would find nothing either.
  expect(results.filter(({ report }) => report!.accepted < 10).map(({ name }) => name)).toEqual([]);
}, 180_000);
