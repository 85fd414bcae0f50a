import type { Scenario } from '../run.ts';
import { ceiling } from './ceiling.ts';
import { channels } from './channels.ts';
import { crowd } from './crowd.ts';
import { fanout } from './fanout.ts';
import { idle } from './idle.ts';
import { offline } from './offline.ts';
import { polls } from './polls.ts';
import { publish } from './publish.ts';
import { slow } from './slow.ts';
import { storm } from './storm.ts';
import { tokens } from './tokens.ts';
import { webhooks } from './webhooks.ts';

/** In the order in which they run. */
export const scenarios: readonly Scenario[] = [
  ceiling,
  fanout,
  publish,
  polls,
  idle,
  crowd,
  storm,
  offline,
  slow,
  channels,
  webhooks,
  tokens,
];
