import type { Host } from '../../core/seams/transport.ts';
import type { WebSocketLimits } from '../../websocket/limits.ts';
import type { PartsLimits } from '../parts/limits.ts';

export type WebSocketHost = Host<WebSocketLimits & PartsLimits>;
