import { stompTcpDriver, stompWebSocketDriver } from '../../drivers/stomp.ts';
import { transportContract } from '../transport.contract.ts';

for (const driver of [stompTcpDriver, stompWebSocketDriver]) transportContract({ driver });
