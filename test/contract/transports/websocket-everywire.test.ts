import { everywireDriver } from '../../drivers/websocket.ts';
import { transportContract } from '../transport.contract.ts';

transportContract({ driver: everywireDriver });
