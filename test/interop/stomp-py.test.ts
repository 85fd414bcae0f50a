import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { debianPython, stompForPython } from '../../scripts/tools.ts';
import { Inbox } from '../drivers/inbox.ts';
import { startTestServer, type TestServer } from '../support/server.ts';
import { describeWith } from './tool-suite.ts';

const program = fileURLToPath(new URL('./program/stomp_peer.py', import.meta.url));
interface Told {
  readonly kind: 'connected' | 'message' | 'receipt' | 'error';
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** A process with stomp.py in it, and what it tells. */
class Peer {
  readonly told = new Inbox<Told>();
  readonly child: ChildProcessWithoutNullStreams;

  constructor(url: string, version: string) {
    this.child = spawn(debianPython, [program, new URL(url.replace('stomp', 'http')).port, version]);
    createInterface({ input: this.child.stdout }).on('line', (line) =>
      this.told.push(JSON.parse(line) as Told),
    );
    this.child.on('exit', (code) => this.told.end(new Error(`stomp.py ended with ${code}`)));
  }

  /** Calls a method of its connection. */
  call(method: string, args: Readonly<Record<string, unknown>>): void {
    this.child.stdin.write(`${JSON.stringify([method, args])}\n`);
  }

  /** Its next event, which has to be of that kind. */
  async next(kind: Told['kind']): Promise<Told> {
    const told = await this.told.next();
    expect(told.kind, JSON.stringify(told)).toBe(kind);
    return told;
  }
}

describeWith(stompForPython, 'stomp.py', () => {
  let server: TestServer;
  const peers: Peer[] = [];
  beforeAll(async () => {
    server = await startTestServer({});
  });
  afterEach(() => {
    for (const { child } of peers.splice(0)) child.kill('SIGKILL');
  });
  afterAll(() => server.stop());

  async function connected(version: string): Promise<Peer> {
    const peer = new Peer(server.stomp!, version);
    peers.push(peer);
    expect((await peer.next('connected')).headers['version']).toBe(version);
    return peer;
  }

  describe.each(['1.0', '1.1', '1.2'])('in %s', (version) => {
    it('publishes and reads, with headers', async () => {
      const peer = await connected(version);
      const destination = `/topic/py-${version.replace('.', '-')}`;
      peer.call('subscribe', { destination, id: '1', ack: 'auto', headers: { receipt: 'subscribed' } });
      await peer.next('receipt');
      peer.call('send', {
        destination,
        body: '여기 hello',
        content_type: 'text/plain',
        headers: { lang: 'ko:KR' },
      });
      const { headers, body } = await peer.next('message');
      expect(body).toBe('여기 hello');
      expect(headers).toMatchObject({
        destination,
        'content-type': 'text/plain',
        lang: 'ko:KR',
        offset: '1',
      });
    });

    it('gets a job of a queue again when its first consumer is killed', async () => {
      const destination = `/queue/py-${version.replace('.', '-')}`;
      const first = await connected(version);
      first.call('subscribe', { destination, id: '1', ack: 'client-individual' });
      first.call('send', { destination, body: 'job' });
      await first.next('message');
      const second = await connected(version);
      second.call('subscribe', { destination, id: '1', ack: 'client-individual', headers: { receipt: 's' } });
      await second.next('receipt');
      first.child.kill('SIGKILL');
      const { headers, body } = await second.next('message');
      expect([body, headers['redelivered']]).toEqual(['job', 'true']);
      const id = version === '1.2' ? headers['ack'] : headers['message-id'];
      second.call('ack', version === '1.1' ? { id, subscription: '1' } : { id });
      second.call('send', { destination, body: 'next', headers: { receipt: 'sent' } });
      const after = [await second.told.next(), await second.told.next()].map(({ kind }) => kind);
      expect(after.sort()).toEqual(['message', 'receipt']);
    });

    it('commits, and gets an error that names its mistake', async () => {
      const peer = await connected(version);
      const destination = `/topic/py-tx-${version.replace('.', '-')}`;
      peer.call('subscribe', { destination, id: '1', headers: { receipt: 'subscribed' } });
      await peer.next('receipt');
      peer.call('begin', { transaction: 't' });
      for (const body of ['1', '2']) peer.call('send', { destination, body, transaction: 't' });
      peer.call('commit', { transaction: 't' });
      expect((await peer.next('message')).body).toBe('1');
      expect((await peer.next('message')).body).toBe('2');
      peer.call('send', { destination: '/exchange/amq.topic/x', body: 'x' });
      expect((await peer.next('error')).headers['message']).toBe('unsupported');
    });
  });
});
